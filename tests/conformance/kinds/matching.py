"""Matchers: how they are written, and what they match."""

from notifier.events import Json
from notifier.rules.alerting.matchers import Matcher, MatcherError, parse_matcher, parse_matchers
from tests.conformance.outcomes import Outcome, compared, failed
from tests.conformance.vectors import Vector


def matcher_parse(vector: Vector) -> Outcome:
    """A text is read as these matchers, or refused; the words of a refusal are our own."""
    text = vector.when["text"]
    try:
        matchers = (parse_matcher(text),) if vector.given.get("exactly_one") else parse_matchers(text)
    except MatcherError as error:
        return compared(vector.want["valid"], False, f"valid ({error})")
    if not vector.want["valid"]:
        return failed(f"accepted as {[str(matcher) for matcher in matchers]}")
    return compared(vector.want["matchers"], [_shown(matcher) for matcher in matchers], "matchers")


def matcher_match(vector: Vector) -> Outcome:
    """One matcher meets one value."""
    matcher = Matcher(**{"name": "label", **vector.given["matcher"]})
    return compared(vector.want["match"], matcher.matches({matcher.name: vector.when["value"]}), "match")


def _shown(matcher: Matcher) -> Json:
    return {"name": matcher.name, "op": matcher.op, "value": matcher.value}


KINDS = {"matcher_parse": matcher_parse, "matcher_match": matcher_match}
