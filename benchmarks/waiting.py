"""``python -m benchmarks waiting``: what a round of the sweep costs while a million things wait and none is due.

Real servers; the round runs in this process, as a worker runs it. Nothing is sent.
"""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, LiteralString

import click
import psycopg

from benchmarks.measure import quantile
from notifier.bootstrap import Services
from notifier.embedded.stack import Stack
from notifier.settings import load_settings

_ROUNDS = 100
_FILL: dict[str, LiteralString] = {
    "timer": """
        INSERT INTO timer (tenant, key, due_at, event_type, subject, data_key, sealed)
        SELECT 'default', 'stuck:returns:R-' || n, now() + interval '1 day' + n * interval '1 second',
               'returns.stuck', 'R-' || n, decode(repeat('00', 65), 'hex'), decode(repeat('00', 300), 'hex')
        FROM generate_series(%s + 1, %s) n""",
    # One alert waits for its absence for four timers that wait for a date.
    "alert": """
        INSERT INTO alert (id, tenant, rule, digest, status, occurrence, severity, subject, started_at, due_at,
                           data_key, sealed)
        SELECT gen_random_uuid(), 'default', 'server-down', sha256(n::text::bytea), 'firing', 1, 3, 'host-' || n,
               now(), now() + interval '1 day' + n * interval '1 second', decode(repeat('00', 65), 'hex'),
               decode(repeat('00', 700), 'hex')
        FROM generate_series(%s / 4 + 1, %s / 4) n""",
    "alert_group": """
        INSERT INTO alert_group (id, tenant, rule, route, digest, opened_at, first_at, told_at, number, due_at,
                                 data_key, sealed)
        SELECT gen_random_uuid(), 'default', 'server-down', '{}', sha256(n::text::bytea), now(), now(), now(), 1,
               now() + interval '1 day' + n * interval '1 second', decode(repeat('00', 65), 'hex'),
               decode(repeat('00', 200), 'hex')
        FROM generate_series(%s / 40 + 1, %s / 40) n""",
}


@click.command()
@click.option("--timers", default="10000,100000,1000000", show_default=True, help="How many wait, ascending.")
def waiting(timers: str) -> None:
    """Measure a sweep while timers, alerts and groups wait and nothing is due."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-waiting-"))
    figures: dict[str, object] = {}
    try:
        with Stack(folder) as stack:
            urls = stack.start_servers()
            os.environ |= stack.env
            services = Services(load_settings(), process="bench")
            services.sweep.run()  # it plans the schedules
            done = 0
            with psycopg.connect(urls.admin.rpartition("/")[0] + "/notifier", autocommit=True) as admin:
                for count in (int(one) for one in timers.split(",")):
                    _fill(admin, done, count)
                    done = count
                    found = _rounds(services)
                    click.echo(
                        f"{count} timers: " + ", ".join(f"{key} {value}" for key, value in found.items())
                    )
                    figures |= {f"waiting_{key}_{count}": value for key, value in found.items()}
            services.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(json.dumps(figures))


def _fill(admin: psycopg.Connection[Any], before: int, count: int) -> None:
    for statement in _FILL.values():
        admin.execute(statement, [before, count])
    # As autovacuum does within minutes.
    admin.execute("VACUUM ANALYZE timer, alert, alert_group")


def _rounds(services: Services) -> dict[str, object]:
    """Return the milliseconds of a round: the middle one, and the slowest but one in a hundred."""
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        found = services.sweep.run()
        seconds.append(time.perf_counter() - started)
        if found.keys() & {"timers", "alerts", "groups", "stumbled"}:
            raise click.ClickException(f"something was due: {dict(found)}")
    seconds.sort()
    return {
        "round_p50_ms": round(quantile(seconds, 0.5) * 1000, 1),
        "round_p99_ms": round(quantile(seconds, 0.99) * 1000, 1),
    }
