"""Decide whether the service is ready: each check, and its reason.

Pure: takes what the probes answered, asks nothing itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from notifier.events import Json
from notifier.store.soundings import Sounding
from notifier.web.probes import Answer

SWEEP_LIMIT = timedelta(seconds=15)
"""The sweep runs each second; after this long without one nothing that is due starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be so."""

    ok: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """All checks by name."""

    checks: Mapping[str, Check]

    @property
    def is_ready(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks.values())

    def to_json(self) -> Json:
        """Return the answer's body."""
        checks = {name: {"ok": check.ok, "reason": check.reason} for name, check in self.checks.items()}
        return {"ready": self.is_ready, "checks": checks}


def judge(database: Answer[Sounding], redis: Answer[bool], *, newest: str) -> Readiness:
    """Weigh what the database and Redis answered; ``newest`` is the revision this release needs."""
    sounding = database.value
    reached = Check(ok=sounding is not None, reason=database.reason or "answers")
    return Readiness(
        checks={
            "database": reached,
            "schema": _schema(sounding, newest),
            "redis": Check(ok=redis.value is True, reason=redis.reason or "answers"),
            "sweep": _sweep(sounding),
        }
    )


def _schema(sounding: Sounding | None, newest: str) -> Check:
    if sounding is None:
        return Check(ok=False, reason="not known while the database is away")
    if sounding.revision is None:
        return Check(ok=False, reason="the database is empty; run `notifier migrate`")
    if sounding.revision != newest:
        return Check(
            ok=False, reason=f"at revision {sounding.revision}, needs {newest}; run `notifier migrate`"
        )
    return Check(ok=True, reason=f"at revision {newest}")


def _sweep(sounding: Sounding | None) -> Check:
    if sounding is None:
        return Check(ok=False, reason="not known while the database is away")
    if sounding.sweep_age is None:
        return Check(ok=False, reason="has never run; start beat and the core worker")
    seconds = sounding.sweep_age.total_seconds()
    if sounding.sweep_age > SWEEP_LIMIT:
        return Check(ok=False, reason=f"last ran {seconds:.0f} s ago; see to beat and the core worker")
    return Check(ok=True, reason=f"last ran {seconds:.0f} s ago")
