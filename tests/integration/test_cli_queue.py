"""What waits, how fast it goes and when it will be gone, for operators and for Prometheus (O7)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from notifier.store.roles import WEB
from notifier.store.soundings import sound
from notifier.web.metrics import _of_throttles
from tests.command import Run, command, lines, shipped
from tests.services import Flow, MakeFlow, as_role

pytestmark = pytest.mark.servers


@pytest.fixture
def limited(make_flow: MakeFlow) -> Flow:
    """A notifier whose relay has a limit for one provider."""
    relay = make_flow().services.settings.relays["default"].model_dump()
    return make_flow(relays={"default": relay | {"limits": {"per_destination": {"gmail": "14/s"}}}})


@pytest.fixture
def run(limited: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(limited.services)


def crowd(flow: Flow, count: int, destination: str, lane: str = "bulk", later: str = "0 s") -> None:
    """Let messages wait."""
    flow.query(
        """INSERT INTO work (message_id, tenant, channel, lane, relay, destination, due_at, expires_at)
           SELECT gen_random_uuid(), 'default', 'email', %s, 'default', %s, now() + %s::interval,
                  now() + interval '1 day' FROM generate_series(1, %s) RETURNING 1""",
        lane, destination, later, count,
    )  # fmt: skip


def gone_in(flow: Flow, run: Run) -> dict[tuple[str, str], int | None]:
    """Return in how many seconds each (lane, destination) will be gone."""
    now = flow.services.clock.now()
    return {
        (one["lane"], one["destination"]): one["drains_at"]
        and round((datetime.fromisoformat(one["drains_at"]) - now).total_seconds())
        for one in lines(run("queue", "--json"))
    }


def test_an_operator_sees_when_a_backlog_will_be_gone(limited: Flow, run: Run) -> None:
    """At the limit that holds; where there is none nobody can say before something went out."""
    crowd(limited, 8400, "gmail")
    crowd(limited, 7, "yahoo")
    now = limited.services.clock.now()

    gmail, yahoo = lines(run("queue", "--json"))

    assert (gmail["waiting"], gmail["rate"], gmail["rate_is"]) == (8400, 14.0, "limit")
    gone = datetime.fromisoformat(gmail["drains_at"]) - now
    assert timedelta(minutes=9, seconds=58) < gone < timedelta(minutes=10, seconds=30)
    assert (yahoo["waiting"], yahoo["rate"], yahoo["drains_at"]) == (7, None, None)
    assert "at 14/s" in run("queue").stdout
    assert "nobody can say" in run("queue").stdout


def test_without_a_limit_the_last_minute_says_how_fast_it_goes(limited: Flow, run: Run) -> None:
    """A guess, and told as one."""
    limited.ingest(*(shipped(limited, f"o-{n}", f"c{n}@example.org") for n in range(6)))
    limited.deliver()
    crowd(limited, 60, "other")

    (line,) = lines(run("queue", "--json"))

    assert (line["rate"], line["rate_is"]) == (0.1, "measured")
    assert "at about 0.1/s" in run("queue").stdout


def test_a_flow_that_rests_is_told_with_its_end(limited: Flow, run: Run) -> None:
    """Nothing goes before that."""
    crowd(limited, 10, "gmail")
    limited.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, reason) VALUES
           ('default', 'gmail', 2, 0.1, now() + interval '20 minutes', 'rate') RETURNING 1"""
    )

    (line,) = lines(run("queue", "--json"))

    assert line["rate"] == 2.0
    assert datetime.fromisoformat(line["drains_at"]) > datetime.fromisoformat(line["rests_until"])
    assert "rests until" in run("queue").stdout


def test_lanes_of_a_destination_go_one_after_the_other(limited: Flow, run: Run) -> None:
    """They share one limit; the more urgent one has it first."""
    for lane in ("urgent", "normal", "bulk"):
        crowd(limited, 1400, "gmail", lane)

    assert gone_in(limited, run) == {
        ("urgent", "gmail"): pytest.approx(100, abs=2),
        ("normal", "gmail"): pytest.approx(200, abs=2),
        ("bulk", "gmail"): pytest.approx(300, abs=2),
    }


def test_what_is_due_tomorrow_is_not_gone_today(limited: Flow, run: Run) -> None:
    """However little it is."""
    crowd(limited, 1, "gmail", later="20 hours")

    assert gone_in(limited, run) == {("bulk", "gmail"): pytest.approx(72_000, abs=60)}


def test_what_has_a_limit_delays_nobody_who_has_none(limited: Flow, run: Run) -> None:
    """And what it takes is not what the others could have: then nobody can say."""
    limited.ingest(*(shipped(limited, f"o-{n}", f"c{n}@example.org") for n in range(6)))
    limited.deliver()
    crowd(limited, 6, "other")
    limited.services.throttling._limits["default"].per_destination["gmail"] = 0.04  # type: ignore[index]
    crowd(limited, 1000, "gmail")

    found = gone_in(limited, run)

    assert found["bulk", "other"] == pytest.approx(100, abs=2)
    assert found["bulk", "gmail"] == pytest.approx(25_000, abs=60)
    limited.services.throttling._limits["default"].per_destination["gmail"] = 14.0  # type: ignore[index]
    assert gone_in(limited, run)["bulk", "other"] is None


def test_of_domains_with_a_flow_of_their_own_the_slowest_says_when_all_are_gone(
    limited: Flow, run: Run
) -> None:
    """They are told together; the relay's own pace says nothing of them."""
    crowd(limited, 100, "d:00ff")
    crowd(limited, 10, "d:11ff")
    limited.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, reason) VALUES
           ('default', 'd:00ff', 5, 0.1, now(), 'rate'), ('default', 'd:11ff', 0.1, 0.1, now(), 'rate') RETURNING 1"""
    )

    (line,) = lines(run("queue", "--json"))

    assert (line["waiting"], line["rate"], line["rate_is"]) == (110, 0.1, "limit")
    assert gone_in(limited, run) == {("bulk", "own"): pytest.approx(100, abs=2)}


def test_a_relay_that_rests_until_it_is_woken_has_no_end(limited: Flow, run: Run) -> None:
    """No date a century away."""
    crowd(limited, 1, "gmail")
    run("relay", "rest", "default")

    assert gone_in(limited, run) == {("bulk", "gmail"): None}
    assert "rests until it is woken" in run("queue").stdout


def test_prometheus_sees_learned_rates_and_no_domain_of_its_own_label(
    limited: Flow, database_url: str
) -> None:
    """As the web role; single domains are told together."""
    limited.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, reason) VALUES
           ('default', 'gmail', 2, 0.1, now() + interval '20 s', 'rate'),
           ('default', 'd:00ff', 1, 0.1, now(), 'rate'), ('default', 'd:11ff', 3, 0.1, now(), 'rate') RETURNING 1"""
    )

    levels = sound(as_role(database_url, WEB), timedelta(seconds=5)).throttles

    rate, rest = _of_throttles(levels)
    assert {(*one.labels.values(), one.value) for one in rate.samples} == {
        ("default", "gmail", 2.0), ("default", "own", 4.0),
    }  # fmt: skip
    assert max(one.value for one in rest.samples) > 10
