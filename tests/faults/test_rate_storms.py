"""A provider that takes only so many a second and refuses the rest: all arrive, no try is spent (O7, law 9)."""

import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from notifier.messages import ChannelName
from tests.command import shipped
from tests.contracts.sms_server import Act as SmsAct
from tests.contracts.sms_server import Answer, SmsServer
from tests.contracts.smtp_server import Act, At, Say, SmtpServer, _Script
from tests.faults.sabotage import apply
from tests.services import Flow, MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

PER_SECOND = 12
SES = "454 4.7.0 Throttling failure: Maximum sending rate exceeded."
GMAIL = (
    "421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address."
)


class Quota:
    """Lets so many through in any second."""

    def __init__(self, per_second: int) -> None:
        self.per_second, self.refused = per_second, 0
        self._taken: deque[float] = deque()

    def takes(self) -> bool:
        """Say whether one more is within the limit."""
        now = time.monotonic()
        while self._taken and self._taken[0] < now - 1:
            self._taken.popleft()
        if len(self._taken) < self.per_second:
            self._taken.append(now)
            return True
        self.refused += 1
        return False


class LimitedScript(_Script):
    """An SMTP server's quota."""

    def limit(self, at: At, quota: Quota, refusal: str) -> None:
        """Refuse at this step whatever is beyond the quota."""
        self._at, self._quota, self._refusal = at, quota, refusal

    def act(self, at: At, good: Act, recipient: str = "") -> Act:
        """Return the refusal, or what any server would do."""
        with self.lock:
            if at is self._at and not self._quota.takes():
                return Say(self._refusal)
        return super().act(at, good, recipient)


class LimitedGateway(SmsServer):
    """Twilio, which answers 429 and says when to come back."""

    quota = Quota(PER_SECOND)

    def act(self, form: dict[str, str]) -> SmsAct:
        """Return the refusal, or what any gateway would do."""
        with self._lock:
            is_taken = self.quota.takes()
        if is_taken:
            return super().act(form)
        return Answer(
            429, '{"code": 20429, "message": "Too Many Requests", "status": 429}', {"Retry-After": "1"}
        )


def storm(flows: list[Flow], channel: ChannelName, lane: str, *, seconds: float = 45) -> list[float]:
    """Let two processes send, woken as beat would, until nothing waits; return the rates learned on the way.

    At no moment has a message that waits lost a try.
    """
    one = flows[0]
    rates: list[float] = []
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(len(flows)) as pool:
        while one.query("SELECT 1 FROM work LIMIT 1") and time.monotonic() < end:
            for _ in pool.map(lambda flow: flow.services.deliver.run(channel, lane), flows):
                pass
            assert one.query("SELECT count(*) FROM work WHERE attempt > 0") == [(0,)]
            rates += [row[0] for row in one.query("SELECT rate FROM throttle")]
            time.sleep(0.2)  # as beat's tick: nothing is waited for here
    return rates


@pytest.mark.parametrize(("at", "refusal"), [(At.DOT, SES), (At.MAIL, GMAIL)])
def test_a_storm_of_refusals_costs_mail_nothing_but_time(
    make_flow: MakeFlow, smtp: SmtpServer, at: At, refusal: str
) -> None:
    """All arrive once; the rate finds the limit within a few refusals and stays around it."""
    quota = Quota(PER_SECOND)
    smtp.script = script = LimitedScript()
    script.limit(at, quota, refusal)
    flows = [make_flow(), make_flow()]
    flows[0].ingest(*(shipped(flows[0], f"o-{n}", f"c{n}@example.org") for n in range(50)))

    rates = storm(flows, ChannelName.EMAIL, "normal")

    assert Counter(one.recipient for one in smtp.received) == Counter(f"c{n}@example.org" for n in range(50))
    assert set(flows[0].states()) == {"sent"}
    assert 0 < quota.refused < 30
    settled = rates[len(rates) // 2 :]
    assert PER_SECOND * 0.1 <= min(settled) <= max(settled) <= PER_SECOND * 1.5


def test_a_storm_of_429_costs_sms_nothing_but_time(make_flow: MakeFlow) -> None:
    """Retry-After rests the whole gateway; nobody is texted twice."""
    with LimitedGateway() as gateway:
        settings: dict[str, Any] = make_flow().services.settings.sms.model_dump()  # type: ignore[union-attr]
        flows = [make_flow(sms=settings | {"base_url": gateway.url}) for _ in range(2)]
        one = flows[0]
        one.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
        one.ingest(
            *({**one.sample("returns.approved"), "id": f"r-{n}", "subject": f"r-{n}"} for n in range(40))
        )
        while one.query("SELECT 1 FROM work WHERE channel = 'email' LIMIT 1"):
            one.services.deliver.run(ChannelName.EMAIL, "normal")
        waiting = one.query("SELECT count(*) FROM work WHERE channel = 'sms'")[0][0]

        rates = storm(flows, ChannelName.SMS, "normal")

        assert waiting > PER_SECOND
        assert len(gateway.received) == waiting
        assert gateway.quota.refused > 0
        assert {row[0] for row in one.query("SELECT destination FROM throttle")} == {"*"}
        assert min(rates) >= 1


@pytest.mark.parametrize("sabotage", ["", "rate_costs_tries"])
def test_a_refusal_for_the_rate_is_no_try(
    make_flow: MakeFlow, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """Else a storm would end in failures nobody is to blame for."""
    apply(sabotage, monkeypatch.setattr)
    flow = make_flow()
    smtp.on(At.RCPT, Say(SES))
    flow.ingest(shipped(flow, "o-1", "c1@example.org"))

    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    assert flow.query("SELECT attempt FROM work") == [(1 if sabotage else 0,)]
