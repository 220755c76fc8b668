"""One thing that a check of the configuration found: what, where, and how to mend it.

A value; looks for nothing itself.
"""

from dataclasses import dataclass
from typing import Literal

from notifier.errors import ConfigError

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or that could be better."""

    severity: Severity
    file: str | None
    line: int | None
    field: str | None
    problem: str
    mend: str | None

    @property
    def place(self) -> str:
        """Return ``file:line``, as far as known."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file or ""


def finding_of(error: ConfigError, severity: Severity = "error") -> Finding:
    """Return what an error says as a finding."""
    return Finding(
        severity=severity,
        file=str(error.file) if error.file else None,
        line=error.line,
        field=error.field,
        problem=error.problem,
        mend=error.mend,
    )
