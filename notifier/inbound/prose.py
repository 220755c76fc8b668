"""Find the failed recipients in a report written for people, and the words that belong to each.

Knows shapes, not products: a line that is an address, begins with one, labels one or answers for one. Decides no
reason.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from notifier.inbound.addresses import ADDRESS, addresses_in, is_role, plain, tidy
from notifier.inbound.labels import is_anothers, is_named, is_recipients
from notifier.inbound.paragraphs import without_passed, words_about
from notifier.inbound.signs import has_sign, pattern
from notifier.inbound.structure import Fields, read_fields

_LINES = 400
_WIDTH = 1000
_RECIPIENTS = 50

_TRACE = re.compile(
    r"(?im)^(?:return-path:\s{0,4}<?|received:\s{0,4}(?:from|by|\(|and|via)|dkim-signature:\s|x-received:\s|delivered-to:\s"
    r"|message-id:\s{0,4}<|mime-version:\s{0,4}1|domainkey-signature:\s|arc-seal:\s|x-originating-ip:\s)"
)
_ENVELOPE = re.compile(
    r"(?im)^(?:from|to|subject|date|cc|reply-to|sender|x-[\w-]+|content-[\w-]+|received|message-id|return-path)[ \t]?:"
)
_REPLY_CODE = re.compile(r"(?<![\d.])[45][0-7]\d(?:[ \-:,]|$)|(?<![\d.])[45]\.\d{1,2}\.\d{1,3}\b")
_EXPANDED = re.compile(
    r"\((?:expanded|generated|forwarded|redirected|alias) (?:from|to|by)[:\s]\s{0,4}([^()\n]{1,300})\)?",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"^[>\"')\]]{0,3}\s{0,4}(?:[:;,]|\.\.\.|$|\(|-{1,2}\s|=>|\bwas\b|\bon\b|\bis\b|\bhas\b|\t|<)"
)
_GENERATED = re.compile(r"\s{1,20}(?:generated|expanded|forwarded) (?:by|from) <?", re.IGNORECASE)
_ORIGINAL = re.compile(r"[ \t]{0,20}original (?:recipient )?address:[ \t]{0,8}<?", re.IGNORECASE)
_PROGRAM = re.compile(r"[ \t]{0,20}(?:(?:pipe|save) to )?[<\"']{0,2}[|/:]\S?")
_YOURS_TO = re.compile(
    r"(?:by you|\byou (?:have )?(?:sent|wrote|addressed|tried to send)) (?:to|for)\W{0,3}$", re.IGNORECASE
)
_BETWEEN = re.compile(r"[>\"')\]]{0,2}\s{0,3}(?:[,;]|\b(?:and|und|et|y|e)\b)\s{0,3}[<\"'(\[]{0,2}")
_LEAD = re.compile(r"[\W_]{0,12}")
_TO = re.compile(r"\W{0,12}(?:to|for|an|para|à)\W{0,12}", re.IGNORECASE)
_NAME = re.compile(r"\s{0,20}(?:[^\s:.,;@]{1,30}[ \t,]{1,2}){1,4}[(<\[][ \t]{0,2}(?:mailto:)?")
_TYPE = re.compile(r"\b(?:smtp|mailto|rfc822|internet)[:;][ \t]{0,2}$", re.IGNORECASE)
_NO_MARKS = re.compile(r"[\w\s].*")
_COLON = re.compile(r"[:\uff1a]\s{0,4}[<\"'(\[]{0,3}$")
_COMMAND = re.compile(r"rcpt to:?\s{0,3}<?$", re.IGNORECASE)
_REFUSED = re.compile(r"^\W{0,6}(?:<<<|<-|received|out:|s:)?\W{0,6}[45]\d\d[ -]", re.IGNORECASE)

_BEGINS, _LABELLED, _ANSWERED, _COMMANDED, _SPOKEN, _SENT_TO, _INLINE = 5, 5, 4, 4, 4, 3, 2
_IS_ORIGINAL, _IS_OWN, _IS_ROLE, _IS_OTHERS = 3, -7, -5, -6
_ENOUGH = 4
_SURE = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A recipient named in prose, with the words about them."""

    address: str
    aliases: tuple[str, ...]
    words: str
    score: int
    is_announced: bool = False
    """Stands alone below a line that says what failed, and ends with a colon."""


@dataclass(slots=True)
class _Seen:
    """Where an address was seen first, and the best shape it was seen in."""

    address: str
    line: int
    score: int
    shape: int
    form: tuple[str, str]
    """What stands before and behind it on its line, but names and blanks."""
    again: list[int] = field(default_factory=list)
    """Later lines that begin with it: Exchange lists recipients for people, then for administrators."""


def _copy_line() -> Any:
    return pattern("copy_line", before=r"^[ \t>|*#=_.~+-]{0,40}", behind=r"[ \t:.=_*#|>-]{0,60}$")


def split_at_copy(text: str) -> tuple[str, Fields]:
    """Part a report from the copy of the message below it; return also the copy's header fields."""
    starts = [found.start() for found in (_copy_line().search(text), _trace(text)) if found]
    if not starts:
        return text, Fields()
    start = min(starts)
    rest = text[start:]
    if fields := _first_fields(rest):
        return text[:start], fields
    return text[:start], Fields()


def _trace(text: str) -> re.Match[str] | None:
    """Find where header fields of a message begin: one that only travelled mail has, among others."""
    for found in _TRACE.finditer(text):
        around = text[max(0, found.start() - 300) : found.end() + 1500]
        if len(_ENVELOPE.findall(around)) >= 2:  # noqa: PLR2004 - one alone may be quoted in a sentence
            return found
    return None


def _first_fields(text: str) -> Fields | None:
    """Return the first block of header fields that names a sender, a recipient or an id."""
    for block in text[:20000].split("\n\n")[:8]:
        lines = [line for line in block.split("\n") if line.strip()]
        body = "\n".join(line.lstrip(">| ") if line[:1] in ">|" else line for line in lines)
        indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
        fields = read_fields("\n".join(line[indent:] for line in body.split("\n")) if indent else body)
        if any(fields.get(name) for name in ("from", "to", "message-id", "received", "subject")):
            return fields
    return None


def mentions(text: str, *, original: tuple[str, ...], own: tuple[str, ...]) -> list[Mention]:
    """Return the recipients a report's text names as failed, in order.

    Args:
        text: The report without the copy of the message.
        original: Addresses the message was sent to, as its copy says.
        own: Addresses of its sender: never the failed ones, unless the message was sent to them.
    """
    lines = without_passed([line[:_WIDTH] for line in text.split("\n")[:_LINES]])
    sent_to, ours = {plain(one) for one in original}, {plain(one) for one in own}
    seen: dict[str, _Seen] = {}
    aliases: dict[str, list[str]] = {}
    last: str | None = None
    for number, line in enumerate(lines):
        joined = f"{line} {lines[number + 1].strip()}" if "(" in line and number + 1 < len(lines) else line
        for expanded in _EXPANDED.finditer(joined):
            if (last and not _is_programs(lines, number)) or ADDRESS.search(line[: expanded.start()]):
                aliases.setdefault(plain(last or ""), []).extend(addresses_in(expanded[1]))
        end, shape, form = -1, _INLINE, ("", "")
        for found in ADDRESS.finditer(line):
            address = tidy(found[0])
            key = plain(address)
            is_named_so = _is_alias(line, found.start(), lines[number - 1] if number else "")
            is_programs = is_named_so and (last is None or _is_programs(lines, number))
            if is_named_so and not is_programs:
                aliases.setdefault(last or key, []).append(address)
                continue
            if end < 0 or not _BETWEEN.fullmatch(line[end : found.start()]):
                is_sure = is_programs or _is_refused(lines, number, found)
                shape, form = _BEGINS if is_sure else _shape(line, found), _form(line, found)
            end = found.end()
            score = shape + _standing(key, sent_to, ours, address)
            _see(seen, key, _Seen(address, number, score, shape, form))
            last = key
    chosen = _chosen(list(seen.values()))
    # Whom another was expanded from did not fail beside them.
    named = {plain(one.address) for one in chosen}
    sources = {plain(name) for key in named for name in aliases.get(key, ()) if plain(name) != key}
    chosen = [one for one in chosen if plain(one.address) not in sources] or chosen
    return [
        Mention(
            address=one.address,
            aliases=tuple(dict.fromkeys(aliases.get(plain(one.address), ()))),
            words=words_about(lines, one, chosen),
            score=one.score,
            is_announced=_is_announced(lines, one),
        )
        for one in chosen
    ]


def _see(seen: dict[str, _Seen], key: str, new: _Seen) -> None:
    """Keep where an address was seen, in the best shape it was seen in."""
    held = seen.get(key)
    if held is None:
        if len(seen) < _RECIPIENTS:
            seen[key] = new
        return
    if new.shape == _BEGINS == held.shape:
        held.again.append(new.line)
    if new.shape > held.shape:
        held.line, held.shape, held.form = new.line, new.shape, new.form
    held.score = max(held.score, new.score)


def _is_alias(line: str, start: int, before: str) -> bool:
    """Whether an address stands in a bracket, or on a line, that says where the recipient came from."""
    if _GENERATED.fullmatch(line[:start]):
        return True
    if _ORIGINAL.fullmatch(line[:start]) and "@" in before:
        return True
    lead = (before[-60:] + " " + line[:start])[-80:]
    return (
        re.search(r"\((?:expanded|generated|forwarded|redirected) (?:from|to|by)[:\s]\s{0,12}<?$", lead)
        is not None
    )


def _is_programs(lines: list[str], number: int) -> bool:
    """Whether the recipient named last is a program or a file, so that whose it is was the recipient."""
    before = (
        line for line in reversed(lines[max(0, number - 4) : number]) if line.strip()[:1] not in {"", "("}
    )
    return _PROGRAM.match(next(before, "")) is not None


def _is_refused(lines: list[str], number: int, found: re.Match[str]) -> bool:
    """Whether a transcript names an address in RCPT, and its next line refuses it."""
    after = lines[number + 1] if number + 1 < len(lines) else ""
    return _REFUSED.match(after) is not None and _COMMAND.search(lines[number][: found.start()]) is not None


def _shape(line: str, found: re.Match[str]) -> int:
    """Score how a line names an address."""
    before, behind = _TYPE.sub("", line[: found.start()]), line[found.end() :]
    if _COMMAND.search(before):
        return _COMMANDED
    if is_anothers(before):
        return _SPOKEN if _YOURS_TO.search(before) else _IS_OTHERS
    is_last = not behind.strip(" \t<>\"')]*.,;|")
    if not _LEAD.sub("", before):
        return _BEGINS if is_last or _BEHIND.match(behind) else _ANSWERED
    if is_recipients(before):
        return _SENT_TO if _TO.fullmatch(before) else _LABELLED
    if is_last and _NAME.fullmatch(before):
        return _BEGINS
    return _shape_within(line, before)


def _form(line: str, found: re.Match[str]) -> tuple[str, str]:
    """Return how a line names an address, to tell the lines of one list; each may give a reason of its own."""
    return line[: found.start()].strip(), _NO_MARKS.sub("", line[found.end() :].strip()[:2])


def _shape_within(line: str, before: str) -> int:
    """Score a line that names an address somewhere inside."""
    if _COLON.search(before) and has_sign("opening", before):
        return _LABELLED
    if _REPLY_CODE.search(line):
        return _ANSWERED
    return _SPOKEN if is_named(before) or has_sign("opening", line) else _INLINE


def _standing(key: str, sent_to: set[str], ours: set[str], address: str) -> int:
    """Score whose address it is."""
    if key in sent_to:
        return _IS_ORIGINAL
    if key in ours:
        return _IS_OWN
    return _IS_ROLE if is_role(address) else 0


def _chosen(seen: list[_Seen]) -> list[_Seen]:
    """Return those that failed: of sure and doubtful ones the sure."""
    best = max((one.score for one in seen), default=0)
    if best < _ENOUGH:
        # A message to oneself: the failed address is ours as well.
        return [one for one in seen if one.shape >= _SENT_TO and one.score > _IS_ROLE]
    floor = max(_ENOUGH, best - 2) if best >= _SURE else _ENOUGH
    # The copy names one of them, and the rest were hidden or a list's: a list has one form.
    forms = {one.form for one in seen if one.score == best and one.shape == _BEGINS}
    return sorted(
        (
            one
            for one in seen
            if one.score >= floor or (one.score >= _BEGINS and one.shape == _BEGINS and one.form in forms)
        ),
        key=lambda one: one.line,
    )


def _is_announced(lines: list[str], one: _Seen) -> bool:
    """Whether a line holds the address alone, and the one above says what failed and ends with a colon."""
    if ADDRESS.sub("", lines[one.line]).replace("mailto:", "").strip(" \t<>[]()*-\u2022"):
        return False
    above = next((line.rstrip() for line in reversed(lines[: one.line]) if line.strip()), "")
    return above[-1:] in {":", "\uff1a"} and has_sign("opening", above) and not has_sign("sender_word", above)
