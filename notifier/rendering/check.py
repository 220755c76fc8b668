"""Try every template on its sample and report what its readers, or the mailbox providers, would mind.

Never sends and never changes a file; a finding says where, what, and the mend.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from notifier.errors import TemplateError
from notifier.events import Json
from notifier.messages import ChannelName, Rendered
from notifier.rendering.accessibility import faults, visible_text
from notifier.rendering.clients import ACCEPTED_FILE, gaps
from notifier.rendering.segments import foreign, segments
from notifier.rendering.sources import PARTS, Part
from notifier.rendering.templates import Templates

SEGMENTS: Final = 2
SUBJECT_LENGTH: Final = 90
"""Characters of a subject that most mailboxes still show on a wide screen."""

LIKENESS: Final = 0.6
"""The share of the HTML part's words that its text part must have as well."""

_WORD = re.compile(r"\w{4,}")
_CHANNELS = (ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL)


class Severity(StrEnum):
    """An error means a message would fail or mislead; a warning, that it could be better."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """What a rendered message is held to."""

    segments: int
    accepted: Collection[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to mend in a template."""

    file: str
    line: int | None = None
    severity: Severity
    text: str
    mend: str


def check(
    templates: Templates,
    samples: Mapping[str, Mapping[str, Json]],
    *,
    max_segments: int = SEGMENTS,
    accepted: Collection[str] | None = None,
) -> list[Finding]:
    """Render every template in every language on its sample; ``samples`` are contexts by template name.

    ``accepted``: what a mail may use although some programs ignore it, by its name at caniemail.com; None =
    whatever it likes.
    """
    findings = [*_notices(templates), *_misnamed(templates)]
    measure = _Measure(segments=max_segments, accepted=accepted)
    for name in templates.names():
        findings += _missing_files(templates, name)
        if name in samples:
            for locale in templates.locales(name):
                findings += _rendered(templates, name, locale, samples[name], measure)
        else:
            findings.append(_error(name, "there is no sample to try it on", "give the event type a sample"))
    return list(dict.fromkeys(findings))


def _notices(templates: Templates) -> Iterator[Finding]:
    for notice in templates.notices:
        yield _warning(notice.template, notice.reason, "see the rules on top of _layouts/base.html.j2")


def _misnamed(templates: Templates) -> Iterator[Finding]:
    known = ", ".join(f"{part}.j2" for part in Part)
    for path in templates.sources.unknown:
        yield _error(path, "no part of a message has this file name", f"use {known}, or a leading _")


def _missing_files(templates: Templates, name: str) -> Iterator[Finding]:
    files = templates.sources.files(name)
    for channel in _CHANNELS:
        for locale in templates.locales(name):
            there = [part for part in PARTS[channel] if (part, locale) in files]
            gone = [part for part in PARTS[channel] if part not in there]
            if not there and locale == templates.default_locale:
                mend = f"add {', '.join(f'{part}.j2' for part in gone)}"
                yield _warning(name, f"cannot go out by {channel}", mend)
            elif there and gone and not _is_covered(templates, name, channel, locale):
                # One language per message: the others' files would never be used.
                text = f"the {locale} {channel} lacks {', '.join(gone)}, so {locale} is never used for it"
                yield _error(name, text, f"add the missing {locale} file")


def _is_covered(templates: Templates, name: str, channel: ChannelName, locale: str) -> bool:
    """Say whether a region's gaps are filled by its language: de-AT by de."""
    files, language = templates.sources.files(name), locale.partition("-")[0]
    return all((part, locale) in files or (part, language) in files for part in PARTS[channel])


def _rendered(
    templates: Templates, name: str, locale: str, sample: Mapping[str, Json], measure: _Measure
) -> Iterator[Finding]:
    for channel in _CHANNELS:
        if not templates.has(name, channel):
            continue
        parts, _ = templates.sources.choose(name, channel, locale)
        try:
            content = templates.render(name, channel, locale, sample)
        except TemplateError as error:
            mend = (
                "add it to the sample, or test it with `is defined`" if error.variable else "correct the file"
            )
            yield _error(error.template, error.problem, mend, line=error.line)
            continue
        if channel is ChannelName.EMAIL:
            yield from _email(content, parts)
            if measure.accepted is not None:
                yield from _ignored(content.html or "", parts[Part.HTML], measure.accepted)
            yield from _inlining(templates, name, locale, sample, parts[Part.HTML])
        if channel is ChannelName.SMS:
            yield from _sms(content.text.strip(), parts[Part.SMS], measure.segments)


def _email(content: Rendered, parts: Mapping[Part, str]) -> Iterator[Finding]:
    html = content.html or ""
    for fault in faults(html):
        yield _error(parts[Part.HTML], fault.text, fault.mend)
    if len(content.subject) > SUBJECT_LENGTH:
        text = f"the subject has {len(content.subject)} characters; mailboxes show about {SUBJECT_LENGTH}"
        yield _warning(parts[Part.SUBJECT], text, "shorten it, the important words first")
    shown, written = _words(visible_text(html)), _words(content.text)
    share = len(shown & written) / len(shown) if shown else 1.0
    if share < LIKENESS:
        text = f"only {share:.0%} of the HTML part's words are in the text part: filters distrust that"
        yield _warning(parts[Part.TEXT], text, "say the same in both")


def _ignored(html: str, path: str, accepted: Collection[str]) -> Iterator[Finding]:
    for gap in gaps(html):
        if gap.feature not in accepted:
            text = f"{gap.title} ({gap.feature}) is ignored by {', '.join(gap.clients)}"
            yield _error(path, text, f"do without, or say in {ACCEPTED_FILE} why that does no harm")


def _inlining(
    templates: Templates, name: str, locale: str, sample: Mapping[str, Json], path: str
) -> Iterator[Finding]:
    for difference in templates.inlining_differences(name, locale, sample):
        text = f"inlining at load gives another document than inlining per message: {difference}"
        yield _error(path, text, "load the templates with samples, or keep class and style literal")


def _sms(text: str, path: str, max_segments: int) -> Iterator[Finding]:
    count, strange = segments(text), foreign(text)
    if count > max_segments:
        cause = f"; {strange!r} is not in the GSM alphabet, which halves a segment" if strange else ""
        yield _warning(path, f"takes {count} segments, more than {max_segments}{cause}", "shorten it")


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _error(file: str, text: str, mend: str, line: int | None = None) -> Finding:
    return Finding(file=file, line=line, severity=Severity.ERROR, text=text, mend=mend)


def _warning(file: str, text: str, mend: str) -> Finding:
    return Finding(file=file, severity=Severity.WARNING, text=text, mend=mend)
