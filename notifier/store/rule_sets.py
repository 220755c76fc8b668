"""Keep the rules that were adopted last, and what each worker says of those it runs.

Sealed texts in, sealed texts out; knows nothing of rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from notifier.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRules:
    """The row of ``rule_set``."""

    hash: str
    data_key: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one worker says: the hash it runs, since when its files are wrong, and where."""

    process: str
    hash: str
    refused_at: datetime | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesView:
    """The rules of all workers together: when others were adopted last; the hashes that run; how many refused."""

    adopted_at: datetime
    running: tuple[str, ...] = ()
    refused: int = 0


def keep_rules(connection: Connection, kept: KeptRules) -> None:
    """Keep a set in the place of the one before; its time stays where its rules say the same."""
    connection.execute(
        """INSERT INTO rule_set (hash, data_key, sealed) VALUES (%s, %s, %s)
           ON CONFLICT (is_only) DO UPDATE SET
             adopted_at = CASE WHEN rule_set.hash = excluded.hash THEN rule_set.adopted_at ELSE now() END,
             hash = excluded.hash, data_key = excluded.data_key, sealed = excluded.sealed""",
        [kept.hash, kept.data_key, kept.sealed],
    )


def kept_rules(connection: Connection) -> KeptRules | None:
    """Return the set that was adopted last."""
    row = connection.execute("SELECT hash, data_key, sealed FROM rule_set").fetchone()
    return KeptRules(hash=row[0], data_key=row[1], sealed=row[2]) if row else None


def stand(connection: Connection, one: Standing) -> None:
    """Note what a worker says now; forget those that were silent for a day."""
    connection.execute(
        """INSERT INTO rule_worker (process, hash, refused_at, places) VALUES (%s, %s, %s, %s)
           ON CONFLICT (process) DO UPDATE SET hash = excluded.hash, refused_at = excluded.refused_at,
             places = excluded.places, seen_at = now()""",
        [one.process, one.hash, one.refused_at, Jsonb(list(one.places))],
    )
    connection.execute("DELETE FROM rule_worker WHERE seen_at < now() - interval '1 day'")


def leave(connection: Connection, process: str) -> None:
    """Forget a worker that ends."""
    connection.execute("DELETE FROM rule_worker WHERE process = %s", [process])


def standings(connection: Connection) -> Sequence[Standing]:
    """Return what the workers say that live."""
    rows = connection.execute(
        """SELECT process, hash, refused_at, places FROM rule_worker
           WHERE seen_at > now() - interval '30 seconds' ORDER BY process"""
    ).fetchall()
    return [Standing(process=row[0], hash=row[1], refused_at=row[2], places=tuple(row[3])) for row in rows]


def view_rules(connection: Connection) -> RulesView | None:
    """Return the workers' rules together, as a role may that sees no row; None before the first start."""
    rows = connection.execute("SELECT adopted_at, hash, refused FROM notifier_rules()").fetchall()
    if not rows:
        return None
    running = [row for row in rows if row[1] is not None]
    return RulesView(
        adopted_at=rows[0][0],
        running=tuple(row[1] for row in running),
        refused=sum(row[2] for row in running),
    )
