"""The shipped rules for an order: what a buyer hears, in which order, and what is overtaken."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.decisions import AdvanceJourney, Decision, Facts, JourneyState, Verdict
from notifier.events import Event, Json
from notifier.rules.engine import route
from notifier.rules.journeys import apply_advance
from tests.shipped import catalog, rules

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
KEY = ("orders", "48213")


def decide(name: str, journeys: dict[tuple[str, str], JourneyState], at: datetime, **data: Json) -> Decision:
    """Route the type's sample for one order, and keep where the order then stands."""
    entry = catalog()[name]
    event = Event(
        id=f"{name}-{at.isoformat()}", source="shop", type=name, subject="48213", time=at,
        data={**entry.sample, **data},
    )  # fmt: skip
    decision = route(event, entry, Facts(journeys=journeys), rules(), at)
    for action in decision.actions:
        if isinstance(action, AdvanceJourney):
            journeys[KEY] = apply_advance(journeys.get(KEY), action)
    return decision


def told(*events: tuple[str, dict[str, Json]]) -> list[list[str]]:
    """Return the templates each event of one order leads to, one event an hour."""
    journeys: dict[tuple[str, str], JourneyState] = {}
    return [
        [
            notify.template
            for notify in decide(name, journeys, NOW + timedelta(hours=hour), **data).notifications
        ]
        for hour, (name, data) in enumerate(events)
    ]


def test_an_order_is_told_of_at_each_step() -> None:
    """Placed, shipped, out for delivery, delivered: four messages, one each."""
    assert told(
        ("order.placed", {}), ("order.shipped", {}), ("order.out_for_delivery", {}), ("order.delivered", {})
    ) == [["order/placed"], ["order/shipped"], ["order/out_for_delivery"], ["order/delivered"]]  # fmt: skip


@pytest.mark.parametrize("late", ["order.placed", "order.out_for_delivery"])
def test_nothing_is_told_that_was_overtaken(late: str) -> None:
    """A stage that arrives after the parcel itself is history only."""
    journeys: dict[tuple[str, str], JourneyState] = {}
    decide("order.delivered", journeys, NOW)

    decision = decide(late, journeys, NOW + timedelta(hours=1))

    assert decision.notifications == ()
    assert Verdict.AFTER_TERMINAL in {trace.verdict for trace in decision.trace}


def test_an_unsent_stage_can_be_superseded_by_a_later_one() -> None:
    """The message names its stage, which is what the gate looks at before it goes out."""
    (notify,) = decide("order.placed", {}, NOW).notifications

    assert notify.stage is not None
    assert (notify.stage.rule, notify.stage.stage) == ("orders", "placed")


def test_every_parcel_of_an_order_is_told_of() -> None:
    """The first of two parcels does not end the order: the second one is announced and delivered as well."""
    first: dict[str, Json] = {"is_last_parcel": False}

    assert told(
        ("order.out_for_delivery", first),
        ("order.delivered", first),
        ("order.out_for_delivery", {}),
        ("order.delivered", {}),
    ) == [["order/out_for_delivery"], ["order/delivered"], ["order/out_for_delivery"], ["order/delivered"]]
