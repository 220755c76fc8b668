"""What an SPF record says of an address, and that no zone keeps the doctor asking."""

from collections import Counter

import dns.rdata
import pytest

from notifier.pipeline.checks import spf

LIMIT = 10 * (1 + 10)
"""Queries: ten terms (RFC 7208 §4.6.4), of which an ``mx`` asks for ten hosts."""
CIRCLE = "v=spf1 include:shop.test include:shop.test include:shop.test -all"


def verdict(record: str, answers: dict[str, list[str]]) -> tuple[str, int]:
    """Return the verdict on 192.0.2.1, and how often DNS was asked; ``answers`` by type, whatever the name."""
    asked: Counter[str] = Counter()

    def ask(name: str, kind: str) -> list[dns.rdata.Rdata]:
        asked[kind] += 1
        assert asked.total() <= LIMIT, f"still asks for {name}"
        return [dns.rdata.from_text("IN", kind, one) for one in answers.get(kind, [])]

    return spf.verdict(record, "shop.test", "192.0.2.1", ask), asked.total()


@pytest.mark.parametrize(
    ("record", "answers"),
    [
        (CIRCLE, {"TXT": [f'"{CIRCLE}"']}),
        ("v=spf1 redirect=shop.test", {"TXT": ['"v=spf1 redirect=shop.test"']}),
        ("v=spf1 " + " ".join(f"a:h{one}.test" for one in range(300)) + " +all", {}),
        ("v=spf1 " + " ".join(f"mx:h{one}.test" for one in range(30)), {"MX": ["10 m.test."] * 100}),
    ],
    ids=["a circle of includes", "a circle of redirects", "three hundred a", "thirty mx of a hundred"],
)
def test_a_record_without_end_is_given_up_as_receivers_do(record: str, answers: dict[str, list[str]]) -> None:
    """RFC 7208 §4.6.4: ten terms that ask DNS, in all records together; beyond them nothing passes."""
    found, asked = verdict(record, answers)

    assert found == spf.NEUTRAL
    assert asked <= LIMIT


@pytest.mark.parametrize("record", ["v=spf1 ip4:192.0.2.0/99 +all", "v=spf1 ip4 +all", "v=spf1 a/99 +all"])
def test_a_term_that_cannot_be_read_lets_nobody_send(record: str) -> None:
    """RFC 7208 §4.6: an error of syntax ends the look, whatever stands behind it."""
    assert verdict(record, {"A": ["192.0.2.9"]})[0] == spf.NEUTRAL


def test_the_tenth_look_up_still_counts() -> None:
    """Nine hosts that have no address, and one that has ours."""
    record = "v=spf1 " + " ".join(f"include:h{one}.test" for one in range(9)) + " a -all"

    assert verdict(record, {"A": ["192.0.2.1"]}) == (spf.PASS, 10)
