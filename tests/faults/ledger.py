"""The books: what producers were promised, what the relay accepted, what the database says.

Reads only, past notifier: promises from the producers, mails from the relay, rows as the superuser.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import psycopg

from tests.faults.recording_sink import Mail


class Way(StrEnum):
    """How an event was handed over, and so what its receipt promises."""

    STREAM = "stream"
    """Redis has it: gone if Redis loses its memory before it is ingested."""
    DURABLE = "durable"
    """Redis has it on disk: survives a kill of Redis, not a FLUSHALL."""
    OUTBOX = "outbox"
    """Committed in the producer's own database: survives everything."""


@dataclass(slots=True)
class Promises:
    """What the producers of one run asked for, and what they hold a receipt for."""

    source: str
    asked: dict[str, Way] = field(default_factory=dict)
    accepted: dict[str, Way] = field(default_factory=dict)
    handed_over_at: dict[str, float] = field(default_factory=dict)
    """By ``time.monotonic()``, taken before the call that brought the receipt: what was written just before Redis
    forgets can have its receipt just after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a run's faults may cost by the laws; nothing, unless it says so."""

    unknown: int = 0
    """Tries whose outcome may be unknown: connections to a relay, open when their owner was killed."""
    forgetful: frozenset[Way] = frozenset()
    """Ways whose events may be lost before they are ingested, because Redis was made to forget."""
    forgot_at: float = 0.0
    """When Redis last forgot: events handed over after it are safe again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What the database says about one source's events."""

    events: Counter[str]
    """Rows per event id."""
    buried: frozenset[str]
    notified: dict[str, int]
    """Notifications each event's decision asked for."""
    states: dict[str, list[str]]
    """Notification states per event id."""
    messages: dict[str, str]
    """Message id to event id."""
    work: int
    unknown: Counter[str]
    """Tries with unknown outcome, by message id."""

    @property
    def is_settled(self) -> bool:
        """Nothing is left to do for what was ingested."""
        return not self.work and not any("pending" in states for states in self.states.values())


_EVENTS = """
SELECT e.external_id, d.notified,
       array(SELECT n.state FROM notification n WHERE n.event_id = e.id),
       array(SELECT replace(m.id::text, '-', '') FROM message m WHERE m.event_id = e.id)
FROM event e LEFT JOIN decision d ON d.event_id = e.id WHERE e.source = %s
"""
_UNKNOWN = """
SELECT replace(a.message_id::text, '-', ''), count(*) FROM attempt a JOIN message m ON m.id = a.message_id
JOIN event e ON e.id = m.event_id WHERE e.source = %s AND a.outcome = 'unknown' GROUP BY 1
"""
_WORK = """
SELECT count(*) FROM work w JOIN message m ON m.id = w.message_id JOIN event e ON e.id = m.event_id
WHERE e.source = %s
"""


def read_rows(url: str, source: str) -> Rows:
    """Read one source's rows, as of one moment."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        events = connection.execute(_EVENTS, [source]).fetchall()
        unknown = connection.execute(_UNKNOWN, [source]).fetchall()
        work = connection.execute(_WORK, [source]).fetchone()
        buried = connection.execute(
            "SELECT external_id FROM dead_letter WHERE source = %s", [source]
        ).fetchall()
    states: dict[str, list[str]] = {}
    for external_id, _, found, _ in events:
        states.setdefault(external_id, []).extend(found)
    return Rows(
        events=Counter(row[0] for row in events),
        buried=frozenset(row[0] for row in buried),
        notified={row[0]: row[1] or 0 for row in events},
        states=states,
        messages={message: row[0] for row in events for message in row[3]},
        work=work[0] if work else 0,
        unknown=Counter(dict(unknown)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The three books side by side."""

    promises: Promises
    rows: Rows
    mails: Sequence[Mail]
    allowance: Allowance = Allowance()

    @property
    def missing(self) -> set[str]:
        """Events with a receipt that the database does not have."""
        return {one for one in self.promises.accepted if one not in self.rows.events}

    @property
    def excused(self) -> set[str]:
        """Missing events that Redis was made to forget."""
        promises, allowance = self.promises, self.allowance
        return {
            one
            for one in self.missing
            if promises.accepted[one] in allowance.forgetful
            and promises.handed_over_at[one] <= allowance.forgot_at
            and one not in self.rows.buried
        }

    @property
    def repeats(self) -> Counter[str]:
        """How often each message was accepted beyond the first time."""
        return Counter(
            {one: n - 1 for one, n in Counter(mail.message for mail in self.mails).items() if n > 1}
        )

    def flaws(self) -> list[str]:
        """Return every way in which the books do not agree with the promise."""
        rows, mailed = self.rows, Counter(mail.event for mail in self.mails)
        messages: dict[str, set[str]] = {}
        for mail in self.mails:
            messages.setdefault(mail.event, set()).add(mail.message)
        lost = self.missing - self.excused
        repeats, unknown = self.repeats, rows.unknown
        findings = {
            "lost: a receipt, but no event": lost,
            "buried among the dead letters": rows.buried & self.promises.asked.keys(),
            "stored more than once": {one for one, n in rows.events.items() if n > 1},
            "not told as the rules decided": {
                one
                for one, states in rows.states.items()
                if len(states) != rows.notified[one] * rows.events[one]
            },
            "never settled": {one for one, states in rows.states.items() if "pending" in states},
            "settled as something else than sent": {
                one for one, states in rows.states.items() if set(states) - {"pending", "sent"}
            },
            "settled as sent, but the relay never got it": {
                one for one, states in rows.states.items() if "sent" in states and not mailed[one]
            },
            "told twice, in two messages": {one for one, found in messages.items() if len(found) > 1},
            "mailed without an event": mailed.keys() - rows.events.keys(),
            "sent again although its outcome was known": {
                one for one, n in repeats.items() if n > unknown[one]
            },
        }
        flaws = [f"{name}: {len(found)}{_some(found)}" for name, found in findings.items() if found]
        if rows.work:
            flaws.append(f"work left: {rows.work}")
        if unknown.total() > self.allowance.unknown:
            flaws.append(
                f"unknown outcomes: {unknown.total()}, more than the {self.allowance.unknown} "
                "connections killed"
            )
        return flaws

    def table(self) -> str:
        """Return the books as text."""
        ways = Counter(self.promises.accepted.values())
        lines = [
            (
                "receipts given",
                len(self.promises.accepted),
                ", ".join(f"{n} {way}" for way, n in sorted(ways.items())),
            ),
            ("events stored", self.rows.events.total(), f"{len(self.rows.events)} ids"),
            ("  forgotten by Redis", len(self.excused), "before they were ingested"),
            ("  lost", len(self.missing - self.excused), "must be 0"),
            ("notifications", sum(map(len, self.rows.states.values())), _states(self.rows.states.values())),
            ("work left", self.rows.work, "must be 0"),
            ("mails accepted", len(self.mails), f"{len({mail.message for mail in self.mails})} Message-IDs"),
            ("  repeats", self.repeats.total(), "each after an unknown outcome"),
            (
                "unknown outcomes",
                self.rows.unknown.total(),
                f"at most {self.allowance.unknown}: connections killed",
            ),
        ]
        return "\n".join(f"{name:<24}{number:>8}   {words}" for name, number, words in lines)

    def check(self) -> None:
        """Compare the books.

        Raises:
            AssertionError: with all flaws and the table.
        """
        if flaws := self.flaws():
            raise AssertionError("\n".join(["the books do not agree:", *flaws, "", self.table()]))

    def check_for(self, flaw: str) -> None:
        """Compare the books where a safeguard is switched off, and this flaw must show; none, where it is not.

        Raises:
            AssertionError: with all flaws and the table.
        """
        if not flaw:
            self.check()
        elif not any(flaw in one for one in self.flaws()):
            raise AssertionError("\n".join([f"not found: {flaw}", *self.flaws(), "", self.table()]))


def _some(found: Iterable[str]) -> str:
    some = sorted(found)[:5]
    return f" ({', '.join(some)})"


def _states(states: Iterable[list[str]]) -> str:
    counts = Counter(state for found in states for state in found)
    return ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
