"""A provider goes down in the midst of sending, another stands in: nothing is lost, nothing sent twice (O7)."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from typing import Any, LiteralString

import pytest

from notifier.messages import ChannelName
from tests.command import shipped
from tests.contracts.smtp_server import Act, At, Close, Reset, SmtpServer, _Script
from tests.faults.sabotage import apply
from tests.services import Flow, MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

ORDERS, TAKES = 40, 8


@pytest.fixture
def spare() -> Iterator[SmtpServer]:
    """The provider that stands in."""
    with SmtpServer() as server:
        yield server


def work_on(flows: list[Flow], until_none: LiteralString, *, seconds: float = 30) -> None:
    """Let two processes send and sweep, as beat would have it, until there is none of that."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(len(flows)) as pool:
        while flows[0].query(until_none) and time.monotonic() < end:
            for _ in pool.map(lambda flow: flow.services.deliver.run(ChannelName.EMAIL, "normal"), flows):
                pass
            flows[0].services.sweep.run()
            time.sleep(0.1)  # as beat's tick: nothing is waited for here


class Dying(_Script):
    """Takes some mails, hangs up behind the dot of the last, and from then on at one step of each dialogue.

    Where that is the greeting, dialogues that had theirs before end at their next mail.
    """

    def __init__(self, takes: int, at: At, cut: Act) -> None:
        super().__init__()
        self._left, self._cut = takes, cut
        self._ends = {at, At.MAIL} if at is At.GREETING else {at}
        self.is_well = False

    def act(self, at: At, good: Act, recipient: str = "") -> Act:  # noqa: ARG002 - the server's
        """Return what any server would do, or the end of the connection."""
        with self.lock:
            if self.is_well:
                return good
            if at is At.DOT:
                self._left -= 1
                if self._left == 0:
                    return Close()
            return self._cut if at in self._ends and self._left <= 0 else good


@pytest.mark.parametrize(("at", "cut"), [(At.GREETING, Close()), (At.MAIL, Reset()), (At.DATA, Close())])
def test_a_provider_that_dies_under_load_loses_and_doubles_nothing(
    make_flow: MakeFlow, smtp: SmtpServer, spare: SmtpServer, at: At, cut: Close | Reset
) -> None:
    """What may have arrived waits for its own provider, and is known there again by its id."""
    smtp.script = dying = Dying(TAKES, at, cut)
    settings = over(make_flow, spare)
    flows = [make_flow(**settings), make_flow(**settings)]
    flows[0].ingest(*(shipped(flows[0], f"o-{n}", f"c{n}@example.org") for n in range(ORDERS)))

    work_on(flows, "SELECT 1 FROM work WHERE NOT may_have_arrived")
    dying.is_well = True
    flows[0].query("UPDATE relay_pause SET until = now() RETURNING 1")
    work_on(flows, "SELECT 1 FROM work")

    assert flows[0].query("SELECT relay, may_have_arrived FROM work") == []
    mails = [(one.recipient, message_id(one.data)) for one in (*smtp.received, *spare.received)]
    assert Counter(address for address, _ in set(mails)) == Counter(
        f"c{n}@example.org" for n in range(ORDERS)
    )
    # Only what may have arrived came twice, to the same provider.
    assert len(mails) - len(set(mails)) <= 2
    assert len({one.recipient for one in spare.received}) == len(spare.received) >= ORDERS - TAKES - 2
    assert set(flows[0].states()) == {"sent"}


@pytest.mark.parametrize("sabotage", ["", "hand_over_all"])
def test_what_may_have_arrived_is_handed_to_nobody_else(
    make_flow: MakeFlow, smtp: SmtpServer, spare: SmtpServer, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """Another provider would send it a second time."""
    apply(sabotage, monkeypatch.setattr)
    flow = make_flow(**over(make_flow, spare))
    smtp.on(At.DOT, Close())
    flow.ingest(shipped(flow, "o-1", "c1@example.org"))
    flow.services.deliver.run(ChannelName.EMAIL, "normal")
    flow.query("UPDATE work SET due_at = now() RETURNING 1")
    flow.query(
        "UPDATE relay_pause SET since = now() - interval '1 hour', until = now() + interval '1 hour' RETURNING 1"
    )

    flow.services.flows._routing._fresh_until = 0.0  # what is known of relays is a second old

    flow.services.sweep.run()
    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    assert len(smtp.received) == 1
    assert len(spare.received) == (1 if sabotage else 0)


def over(make_flow: MakeFlow, spare: SmtpServer) -> dict[str, Any]:
    """Return settings for two providers, of which one stands in for the other."""
    relay = make_flow().services.settings.relays["default"].model_dump()
    return {
        "relays": {"main": relay, "spare": relay | {"port": spare.port}}, "relay": "main",
        "routes": [{"channel": "email", "use": ["main"], "failover": ["spare"]}], "failover_after": "500ms",
        "delivery": {"normal": {"first": "1s"}},
    }  # fmt: skip


def message_id(data: bytes) -> str:
    """Return a mail's Message-ID."""
    return str(message_from_bytes(data)["Message-ID"])
