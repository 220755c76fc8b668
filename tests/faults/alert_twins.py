"""Several notifiers on one database whose hosts go down and come back, and what may be said of that.

Used by the races; knows the reasons a group can have to speak, by what people knew before.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from notifier.clock import VirtualClock
from tests.faults.test_twins import at_once
from tests.services import ROOT, Flow, MakeFlow

HOSTS, SITES, RACERS = 48, 12, 3
"""No more hosts than a message carries."""
OPERATORS = ["one@example.org", "two@example.org"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a group said."""

    group: str
    number: int
    why: str
    firing: frozenset[str]
    resolved: frozenset[str]


class Twins:
    """Several notifiers on one database, with one clock, and hosts that go down and come back."""

    def __init__(self, make_flow: MakeFlow, folder: Path, rules: str, *, count: int = RACERS) -> None:
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(rules)
        (folder / "events").symlink_to(ROOT / "config" / "events")
        self.clock = VirtualClock(datetime.now(UTC))
        lists = {"operators": OPERATORS}
        self.flows = [make_flow(clock=self.clock, config_dir=folder, lists=lists) for _ in range(count)]
        self.one: Flow = self.flows[0]

    def events(self, type_: str, hosts: Iterable[int]) -> list[dict[str, Any]]:
        """Return an event of each host."""
        made = []
        for host in hosts:
            event = self.one.sample(type_, subject=f"web-{host}", time=self.clock.now().isoformat())
            event["data"] = {**event["data"], "host": f"web-{host}", "location": f"site-{host % SITES}"}
            made.append(event)
        return made

    def race(self, *calls: Callable[[Flow], object]) -> None:
        """Let each call run in a thread and a notifier of its own, all at once."""
        at_once(
            *(lambda call=call, flow=flow: call(flow) for call, flow in zip(calls, self.flows, strict=True))
        )

    def sweep_all(self) -> None:
        """Let all notifiers sweep at once until nothing is due."""
        for _ in range(20):
            self.race(*(lambda flow: flow.services.sweep.run() for _ in self.flows))
            if not self.is_due():
                return
        raise AssertionError("what is due stays due")

    def is_due(self) -> bool:
        """Tell whether a group or an alert is due."""
        now = self.clock.now()
        return bool(
            self.one.query(
                "SELECT 1 FROM alert_group WHERE due_at <= %s UNION SELECT 1 FROM alert WHERE due_at <= %s",
                now,
                now,
            )
        )

    def said(self) -> list[Message]:
        """Return what all groups said, in the order of their messages."""
        keyring = self.one.services.keyring
        found = []
        for external_id, data_key, sealed in self.one.query(
            "SELECT external_id, data_key, sealed FROM event WHERE source = 'notifier'"
        ):
            alert = orjson.loads(keyring.open_data_key(data_key).unseal(sealed, b"event"))["alert"]
            _, group, number = external_id.split(":")
            found.append(
                Message(
                    group=group, number=int(number), why=alert["reason"],
                    firing=frozenset(one["subject"] for one in alert["firing"]),
                    resolved=frozenset(one["subject"] for one in alert["resolved"]),
                )
            )  # fmt: skip
        return sorted(found, key=lambda one: (one.group, one.number))

    def reasons(self) -> Counter[tuple[str, str]]:
        """Return how often each group spoke for each reason."""
        return Counter((one.group, one.why) for one in self.said())

    def counts(self, *tables: str) -> list[int]:
        """Return how many rows the tables have."""
        return [self.one.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


WILD = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host, site: data.location}
    key: [host]
    severity: critical
    group_by: [site]
    first_after: 3s
    batch_every: 10s
    remind_after: 60s
    ttl: 90s
    recipients: [{list: operators}]
    channels: [email]
    routes:
      - route: first-half
        match: 'site=~"site-[0-5]"'
        continue: true
      - route: everything
        group_by: []
  - alert: site-down
    on: [network.disrupted, network.restored]
    resolved: network.restored
    labels: {site: data.device}
    key: [site]
    first_after: 0s
    batch_every: 10s
    recipients: [{list: operators}]
    channels: [email]
  - inhibit: site-mutes-servers
    source: rule="site-down"
    target: rule="server-down"
    equal: [site]
"""


def sites(twins: Twins, type_: str, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return an event about the network of each site."""
    made = []
    for number in numbers:
        event = twins.one.sample(type_, subject=f"site-{number}", time=twins.clock.now().isoformat())
        event["data"] = {**event["data"], "device": f"site-{number}"}
        made.append(event)
    return made


def flaws(said: Sequence[Message]) -> list[str]:
    """Return what is wrong with a group's messages, given in their order."""
    found = []
    if [one.number for one in said] != list(range(1, len(said) + 1)):
        found.append(f"numbers {[one.number for one in said]}")
    believed: frozenset[str] = frozenset()
    for one in said:
        if one.why not in reasons_for(one, believed):
            found.append(f"{one.number}: {one.why}, while {len(believed)} were known to fire")
        if wrong := one.resolved - believed:
            found.append(f"{one.number}: over, and never told before: {sorted(wrong)}")
        believed = (believed | one.firing) - one.resolved
    if believed:
        found.append(f"believed to the end: {sorted(believed)}")
    return found


def reasons_for(one: Message, believed: frozenset[str]) -> set[str]:
    """Return the reasons there can be for a message, by what people knew before it.

    A reminder that is due before the group's next turn has what is new in it.
    """
    reminder = {"reminder"} if one.firing & believed else set()
    if one.firing - believed:
        return {"new_member" if believed else "first"} | reminder
    if one.resolved:
        return {"member_resolved" if believed - one.resolved else "all_resolved"} | reminder
    return reminder
