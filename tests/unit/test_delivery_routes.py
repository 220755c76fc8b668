"""Which relay takes a message: routes, weights, and who stands in (O7)."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.delivery.routes import choose, fitting, has_stand_in
from notifier.events import Urgency
from notifier.ids import uuid7
from notifier.messages import ChannelName
from notifier.setting_tables import Route

RELAYS = st.sampled_from(["ses", "main", "backup", "spare"])


def route(use: object, *failover: str, **more: object) -> Route:
    """Return a route for email."""
    return Route.model_validate({"channel": "email", "use": use, "failover": failover, **more})


def every(_: str) -> bool:
    """Say that a relay works."""
    return True


def test_relays_get_their_weights_share_of_the_messages() -> None:
    """Four of five over one, the fifth over the other."""
    shared = route({"ses": 80, "main": 20})

    got = Counter(choose(shared, uuid7(), every) for _ in range(4000))

    assert 0.76 < got["ses"] / 4000 < 0.84


@settings(deadline=None)
@given(st.uuids(), st.dictionaries(RELAYS, st.integers(1, 100), min_size=2), RELAYS)
def test_only_what_was_a_relays_own_moves_when_it_drops_out(
    message: UUID, use: dict[str, int], gone: str
) -> None:
    """A message keeps its relay as long as that works."""
    before = choose(route(use), message, every)
    after = choose(route(use), message, lambda relay: relay != gone)

    assert before in {after, gone}
    assert after in use


@settings(deadline=None)
@given(
    st.uuids(), st.dictionaries(RELAYS, st.integers(1, 9), min_size=1), st.lists(RELAYS, unique=True),
    st.sets(RELAYS),
)  # fmt: skip
def test_a_message_goes_to_a_relay_of_its_route_that_works_if_any_does(
    message: UUID, use: dict[str, int], failover: list[str], working: set[str]
) -> None:
    """The route's own ones first; never to one the route does not name; where none works it waits at its own."""
    got = choose(route(use, *failover), message, working.__contains__)

    if working & set(use):
        assert got in working & set(use)
    elif working & set(failover):
        assert got == next(one for one in failover if one in working)
    else:
        assert got == choose(route(use), message, every)


@settings(deadline=None)
@given(st.uuids(), st.dictionaries(RELAYS, st.integers(1, 9), min_size=1), st.sets(RELAYS))
def test_something_can_go_another_way_where_and_only_where_another_relay_works(
    message: UUID, use: dict[str, int], working: set[str]
) -> None:
    """What says whether to look agrees with what is found."""
    relay = choose(route(use), message, every)
    working -= {relay}

    moves = choose(route(use), message, working.__contains__) != relay

    assert has_stand_in(route(use), relay, working.__contains__) == moves


ROUTES = (
    route(["vip"], tenants=["acme"], urgency=["urgent"]),
    route(["acme"], tenants=["acme"]),
    route(["urgent"], urgency=["urgent"]),
    route(["rest"]),
)


@pytest.mark.parametrize(
    ("tenant", "urgency", "relay"),
    [
        ("acme", "urgent", "vip"),
        ("acme", "bulk", "acme"),
        ("beta", "urgent", "urgent"),
        ("beta", "normal", "rest"),
    ],
)
def test_the_first_route_that_fits_holds(tenant: str, urgency: str, relay: str) -> None:
    """Tenants and urgencies narrow a route; without them it is for all."""
    found = fitting(ROUTES, ChannelName.EMAIL, Urgency(urgency), tenant)

    assert found is not None
    assert dict(found.use) == {relay: 1}
    assert fitting(ROUTES, ChannelName.SMS, Urgency(urgency), tenant) is None
