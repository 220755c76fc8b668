"""Keep where each subject stands, locked while a batch moves it on."""

from collections.abc import Iterable, Mapping

import orjson

from notifier.decisions import JourneyState
from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection

JourneyKey = tuple[str, str, str]
"""Tenant, journey rule, subject."""

_ENSURE = BulkInsert("journey", tenant="text", rule="text", subject="text", then="ON CONFLICT DO NOTHING")


def lock_journeys(connection: Connection, keys: Iterable[JourneyKey]) -> dict[JourneyKey, JourneyState]:
    """Lock the subjects, in key order, and return where those stand that have a stage."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    _ENSURE.run(connection, wanted)
    rows = connection.execute(
        """SELECT tenant, rule, subject, stage, stage_order, is_terminal, history::text FROM journey
           JOIN unnest(%b::text[], %b::text[], %b::text[]) AS wanted (tenant, rule, subject)
           USING (tenant, rule, subject)
           ORDER BY tenant, rule, subject FOR UPDATE OF journey""",
        [list(column) for column in zip(*wanted, strict=True)],
        prepare=True,
    ).fetchall()
    return {
        (row[0], row[1], row[2]): JourneyState(
            stage=row[3], order=row[4], is_terminal=row[5], history=tuple(orjson.loads(row[6]))
        )
        for row in rows
        if row[3] is not None
    }


def save_journeys(connection: Connection, states: Mapping[JourneyKey, JourneyState]) -> None:
    """Write the new places of subjects locked before."""
    if not states:
        return
    connection.execute(
        """UPDATE journey SET stage = new.stage, stage_order = new.stage_order,
                  is_terminal = new.is_terminal, history = new.history::jsonb, updated_at = now()
           FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::integer[], %b::boolean[], %b::text[])
                AS new (tenant, rule, subject, stage, stage_order, is_terminal, history)
           WHERE journey.tenant = new.tenant AND journey.rule = new.rule AND journey.subject = new.subject""",
        [list(column) for column in zip(*map(_row, states.items()), strict=True)],
        prepare=True,
    )


def _row(item: tuple[JourneyKey, JourneyState]) -> tuple[object, ...]:
    key, state = item
    history = orjson.dumps([dict(entry) for entry in state.history]).decode()
    return (*key, state.stage, state.order, state.is_terminal, history)
