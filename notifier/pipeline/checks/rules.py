"""Look which rules the workers run: all the same, and those of their files.

Asks the database; reads no file.
"""

from collections.abc import Iterator

import psycopg

from notifier.errors import NotifierError
from notifier.pipeline.checks.verdict import Check, ok, warn
from notifier.store.database import Database
from notifier.store.rule_sets import Standing, standings

_MEND = "`notifier config check` says what is wrong; what was adopted before goes on"


def check_rules(database: Database) -> Iterator[Check]:
    """No worker runs older rules than its files hold, and none other rules than the next; nothing without workers."""
    try:
        with database.connection() as connection:
            found = standings(connection)
    except (NotifierError, psycopg.Error):
        return  # the checks of the database say so
    refused = [one for one in found if one.refused_at is not None]
    for one in refused:
        yield warn("rules", _refusal(one), _MEND)
    hashes = sorted({one.hash for one in found})
    if len(hashes) > 1:
        yield warn(
            "rules", f"workers run different ones: {', '.join(hashes)}",
            "give all workers the same config/rules; a change takes seconds to reach all",
        )  # fmt: skip
    elif hashes and not refused:
        yield ok("rules", f"{len(found)} workers run {hashes[0]}" if len(found) > 1 else f"{hashes[0]} run")


def _refusal(one: Standing) -> str:
    where = ", ".join(one.places[:3]) + (" …" if len(one.places) > 3 else "")  # noqa: PLR2004
    return f"{one.process} refused the files ({where}) and runs {one.hash}"
