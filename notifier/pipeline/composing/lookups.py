"""Fetch live data when a message is rendered: by SQL or HTTP, within a time limit, once per chunk.

Each entry's query is the operator's, from the catalogue; only its parameters come from the event, bound,
never pasted.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import orjson
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from notifier.catalog import EventType, Lookup
from notifier.errors import Fault, Phase, Reply, TemporaryFailure
from notifier.events import Event, Json
from notifier.pipeline.composing.download import TooLong, download
from notifier.setting_tables import LookupSource
from notifier.store.database import sqlalchemy_url

_ANSWER_BYTES = 1_000_000
_ROWS = 1000


class SourceAway(TemporaryFailure):
    """The source itself does not answer, or too slowly: no other question would fare better."""


class Lookups:
    """The sources of live data, opened on first use."""

    def __init__(self, sources: Mapping[str, LookupSource]) -> None:
        self._sources = sources
        self._engines: dict[str, Engine] = {}

    def chunk(self) -> "ChunkLookups":
        """Return a view that asks each question once."""
        return ChunkLookups(self)

    def fetch(self, lookup: Lookup, parameters: Mapping[str, Json]) -> Json:
        """Answer one look-up.

        Raises:
            SourceAway: it cannot be reached, or is too slow.
            TemporaryFailure: it answers nonsense.
        """
        source = self._sources.get(lookup.source)
        if source is None:
            # Temporary: the operator adds the source, and the mail goes out.
            raise _failed(f"notifier.yaml has no lookups.{lookup.source}")
        try:
            if lookup.sql is not None:
                return self._query(lookup.source, source, lookup, parameters)
            return _request(source, lookup, parameters)
        except (OperationalError, httpx.TransportError) as error:
            raise _failed(_problem(lookup, error), SourceAway) from None
        except (
            SQLAlchemyError,
            httpx.HTTPError,
            httpx.InvalidURL,
            TooLong,
            ValueError,
            OverflowError,
        ) as error:
            raise _failed(_problem(lookup, error)) from None

    def _query(self, name: str, source: LookupSource, lookup: Lookup, parameters: Mapping[str, Json]) -> Json:
        engine = self._engines.get(name)
        if engine is None:
            engine = self._engines[name] = create_engine(
                sqlalchemy_url(source.url.get_secret_value()),
                poolclass=NullPool,
                connect_args={"connect_timeout": 3},
            )
        milliseconds = int(lookup.timeout.total_seconds() * 1000)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            rows = connection.execute(text(lookup.sql or ""), dict(parameters)).mappings().fetchmany(_ROWS)
        plain = [orjson.loads(orjson.dumps(dict(row), default=str)) for row in rows]
        return plain if lookup.many else (plain[0] if plain else None)


class ChunkLookups:
    """Answers shared by the messages of one chunk."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._answers: dict[tuple[str, str, bytes], Json | TemporaryFailure] = {}
        self._away: dict[str, SourceAway] = {}

    def live(self, entry: EventType, event: Event) -> dict[str, Json]:
        """Return the live data of one event by name.

        Raises:
            TemporaryFailure: a required look-up failed.
        """
        return {name: self._one(entry.type, name, lookup, event) for name, lookup in entry.lookup.items()}

    def _one(self, event_type: str, name: str, lookup: Lookup, event: Event) -> Json:
        parameters = {key: value_at(event, path) for key, path in lookup.params.items()}
        key = (event_type, name, orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS))
        if key not in self._answers:
            self._answers[key] = self._ask(lookup, parameters)
        answer = self._answers[key]
        if not isinstance(answer, TemporaryFailure):
            return answer
        if lookup.is_required:
            raise _failed(str(answer))  # a new one: an exception raised again drags its old traceback along
        return None

    def _ask(self, lookup: Lookup, parameters: Mapping[str, Json]) -> Json | TemporaryFailure:
        """Ask, unless the source was away a moment ago: one timeout per chunk is enough."""
        if lookup.source in self._away:
            return self._away[lookup.source]
        try:
            return self._lookups.fetch(lookup, parameters)
        except SourceAway as failure:
            self._away[lookup.source] = failure
            return failure
        except TemporaryFailure as failure:
            return failure


def _problem(lookup: Lookup, error: Exception) -> str:
    return f"the look-up in {lookup.source!r} failed: {type(error).__name__}"


def _failed(problem: str, kind: type[TemporaryFailure] = TemporaryFailure) -> TemporaryFailure:
    return kind(
        problem,
        fault=Fault.PROVIDER,
        reply=Reply(phase=Phase.LOCAL, text=problem),
        reason=f"lookup: {problem}",
    )


def value_at(event: Event, path: str) -> Json:
    """Return what stands at ``data.…`` or ``event.…``; None where nothing does."""
    head, *rest = path.split(".")
    value: Any = event.data if head == "data" else getattr(event, rest.pop(0), None) if rest else None
    for key in rest:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _request(source: LookupSource, lookup: Lookup, parameters: Mapping[str, Json]) -> Json:
    path = (lookup.url or "").format(**{key: quote(str(value), safe="") for key, value in parameters.items()})
    headers = {name: value.get_secret_value() for name, value in source.headers.items()}
    url = source.url.get_secret_value().rstrip("/") + "/" + path.lstrip("/")
    answer = download(url, seconds=lookup.timeout.total_seconds(), most=_ANSWER_BYTES, headers=headers)
    if answer.status != httpx.codes.OK:
        raise ValueError(f"the server answered {answer.status}")
    return orjson.loads(answer.content)
