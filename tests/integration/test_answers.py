"""What a producer hears who asks: of an event that was refused and sent again, what became of it at last."""

import time

import pytest

from notifier.client.wire import Ask, result_key
from notifier.events import Urgency
from tests.command import shipped
from tests.services import Flow

pytestmark = pytest.mark.servers


def ask(key: str, reply: str = "a") -> Ask:
    """A request for the decision about an event."""
    return Ask(
        tenant="default", source="test", id=key, until="decided", reply=result_key(reply),
        expires_at=time.time() + 60,
    )  # fmt: skip


def test_an_older_refusal_is_no_answer_while_the_corrected_event_waits(flow: Flow) -> None:
    """Correct it and send it again with the same id, says the refusal: who does and waits hears of that one."""
    right = shipped(flow, "A-1") | {"id": "o-1"}
    flow.ingest(right | {"type": "order.shiped"})
    flow.services.intake.put(Urgency.NORMAL, flow.payload(right))

    waiting = flow.services.answers.result(ask("o-1"))
    flow.services.ingest.run(Urgency.NORMAL)
    result = flow.services.answers.result(ask("o-1"))

    assert waiting is None
    assert result is not None
    assert (result.state, result.verdict) == ("decided", "notified")


def test_a_refusal_is_told_as_soon_as_nothing_older_waits(flow: Flow) -> None:
    """At once where the lane is empty; and whatever comes after the request holds nothing up."""
    wrong = shipped(flow, "A-1") | {"id": "o-1", "type": "order.shiped"}
    flow.ingest(wrong)
    idle = flow.services.answers.result(ask("o-1"))
    flow.services.intake.put(Urgency.NORMAL, flow.payload(wrong))
    busy = flow.services.answers.result(ask("o-1", "b"))
    (entry,) = flow.services.intake.read(Urgency.NORMAL, 10)
    flow.services.intake.put(Urgency.NORMAL, flow.payload(shipped(flow, "A-2")))
    flow.services.intake.done(Urgency.NORMAL, [entry])

    told = flow.services.answers.result(ask("o-1", "b"))

    assert (idle and idle.state, busy, told and told.state) == ("refused", None, "refused")
