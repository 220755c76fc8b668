"""Silences: what they match, and how they may be changed, ended and made."""

from datetime import datetime

from notifier.events import Json
from notifier.rules.alerting.matchers import Matcher, MatcherError
from notifier.rules.alerting.silences import UNSET, Silence, expired, may_update, problems_of
from tests.conformance.outcomes import Outcome, compared
from tests.conformance.vectors import ORIGIN, Vector, moment, moment_or_none


def silence_match(vector: Vector) -> Outcome:
    """Labels are silenced, time left aside."""
    silence = _silence(vector.given["silence"])
    return compared(vector.want["silenced"], silence.matches(vector.when["labels"]), "silenced")


def silence_update(vector: Vector) -> Outcome:
    """A silence may be changed under its id, or not."""
    old, new = _silence(vector.given["silence"]), _silence(vector.when["update"])
    return compared(vector.want["allowed"], may_update(old, new, moment(vector.given["now"])), "allowed")


def silence_expire(vector: Vector) -> Outcome:
    """A silence ended by hand has these times."""
    ended = expired(_silence(vector.given["silence"]), moment(vector.when["expire_at"]))
    want = {field: _time(vector.want[field]) for field in ("starts_at", "ends_at")}
    return compared(want, {"starts_at": ended.starts_at, "ends_at": ended.ends_at}, "times")


def silence_valid(vector: Vector) -> Outcome:
    """A silence is taken, or refused; the words of a refusal are our own."""
    try:
        problems = problems_of(_silence(vector.when["silence"]), ORIGIN)
    except MatcherError as error:
        problems = (str(error),)
    return compared(vector.want["valid"], not problems, f"valid ({'; '.join(problems)})")


def _silence(entry: Json) -> Silence:
    """Return the silence; who made it and why is not told in vectors, and asked for by us."""
    return Silence(
        id="s",
        matcher_sets=tuple(
            tuple(Matcher(**matcher) for matcher in matchers) for matchers in entry.get("matcher_sets") or ()
        ),
        starts_at=_time(entry.get("starts_at")),
        ends_at=_time(entry.get("ends_at")),
        created_by="somebody",
        comment="a vector",
        updated_at=moment_or_none(entry.get("updated_at")),
    )


def _time(seconds: float | None) -> datetime:
    return moment_or_none(seconds) or UNSET


KINDS = {
    "silence_match": silence_match,
    "silence_update": silence_update,
    "silence_expire": silence_expire,
    "silence_valid": silence_valid,
}
