"""Who is not written to, and what is not noted of readers: safe mode, suppression, tracking.

Shapes only: the verdicts are given by ``notifier.recipients``.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from notifier.documents import Strict
from notifier.forms import Address, OneLine, wrong
from notifier.messages import MessageClass
from notifier.setting_tables.values import PHONE, Wait

_PLACE = re.compile(r"[^\s@<>()\[\],;:*?]*@[^\s@<>()\[\],;:*?\"]+")
"""An address, or a domain with its sign: no name beside it, no pattern."""


class SafeModeSettings(Strict):
    """For staging: nobody is written to but whom this names."""

    allow: tuple[OneLine, ...] = ()
    """Addresses, numbers in E.164, and whole domains as ``@example.com``."""
    redirect_email: Address | None = None
    """Gets the mails for all others; without it they are not sent."""
    redirect_phone: str | None = Field(default=None, pattern=PHONE)
    """Gets the SMS for all others; without it they are not sent."""

    @field_validator("allow")
    @classmethod
    def _names_somebody(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what would match nobody: a number as people write it, a domain without its sign."""
        for one in allow:
            if one.startswith("+") and not re.fullmatch(PHONE, one):
                raise wrong("holds a number that is not E.164", "write it as +4915112345678")
            if "@" not in one and "." in one:
                raise wrong(f"{one!r} is nobody's address", f"write a whole domain as '@{one}'")
            if "@" in one and not _PLACE.fullmatch(one):
                raise wrong(
                    f"{one!r} is nobody's address", "write it alone, or a whole domain as '@example.com'"
                )
        return allow


class Tracking(Strict):
    """Whether a tenant's mails tell when they are opened and followed; each asks the recipient's consent too."""

    opens: bool = False
    clicks: bool = False
    classes: tuple[MessageClass, ...] = (MessageClass.SUBSCRIPTION, MessageClass.MARKETING)


class SuppressionPolicy(Strict):
    """Whom not to write to any more, and for how long."""

    complaint: Literal["refusable", "all", "category"] = "refusable"
    """What a complaint keeps back: all that may be refused, everything, or the category of the message."""
    soft_bounces: int = Field(default=5, ge=1, le=100)
    """So many bounces in a row that may pass, with no delivery between, and the address rests."""
    soft_window: Wait = timedelta(days=7)
    """Only bounces of so long count."""
    soft_rest: Wait = timedelta(days=14)
    """So long nothing is sent there then."""


class Suppression(SuppressionPolicy):
    """The same for all tenants but those that have their own."""

    tenants: Mapping[str, SuppressionPolicy] = Field(default_factory=dict)

    def of(self, tenant: str) -> SuppressionPolicy:
        """Return a tenant's policy."""
        return self.tenants.get(tenant, self)
