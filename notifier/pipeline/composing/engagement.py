"""Let a mail tell when it is opened and followed: where tenant, class and the recipient's own consent allow it.

Each of the three is asked for each mail, and consent once more at each hit (``notifier.web.tracking``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import unquote, unquote_plus
from uuid import UUID

import orjson

from notifier.crypto import DataKey, Keyring
from notifier.logs import get_logger
from notifier.messages import MessageClass, Rendered
from notifier.rendering.tracked import add_marks, rewrite_links
from notifier.setting_tables import Tracking
from notifier.store import consents
from notifier.store.database import Database, DatabaseSlow, DatabaseUnavailable
from notifier.store.tracked import TrackedMessage
from notifier.tokens import TRAP, link_digest, link_seal_key, mint_tracking_token

log = get_logger("consent")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPlan:
    """What a mail tells."""

    opens: bool
    clicks: bool

    @property
    def words(self) -> str:
        """Return which disclosure of the layouts it needs."""
        return "both" if self.opens and self.clicks else "opens" if self.opens else "clicks"


class Tracker:
    """Decides which mails are tracked, and writes into them what tells.

    Args:
        database: Where consents are.
        keyring: Whose token key signs.
        tracking: What each tenant wants.
        public_url: Where mail programs reach the web process.
        lifetime: How long links lead anywhere.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        tracking: Mapping[str, Tracking],
        *,
        public_url: str,
        lifetime: timedelta,
    ) -> None:
        self._database, self._keyring, self._tracking = database, keyring, tracking
        self._public_url, self._lifetime = public_url.rstrip("/"), lifetime

    def plan(self, tenant: str, person: UUID, message_class: MessageClass) -> TrackPlan | None:
        """Return what a mail to a person may tell; None = nothing, without a look at the database as a rule.

        A database that is away costs what would be told, never the mail.
        """
        wanted = self._tracking.get(tenant)
        if wanted is None or not (wanted.opens or wanted.clicks) or message_class not in wanted.classes:
            return None
        try:
            with self._database.connection() as connection:
                allowed = consents.current(connection, tenant, person)
        except (DatabaseUnavailable, DatabaseSlow) as error:
            log.warning("consent.unasked", error=type(error).__name__)
            return None
        plan = TrackPlan(
            opens=wanted.opens and "tracking:opens" in allowed,
            clicks=wanted.clicks and "tracking:clicks" in allowed,
        )
        return plan if plan.opens or plan.clicks else None

    def apply(
        self,
        plan: TrackPlan,
        content: Rendered,
        *,
        secrets: Collection[str],
        tenant: str,
        person: UUID,
        message: UUID,
        made_at: datetime,
    ) -> tuple[Rendered, TrackedMessage] | None:
        """Return the mail with what tells, and what is to be kept of it; None for a mail without HTML."""
        if content.html is None:
            return None
        token = mint_tracking_token(self._keyring.token_key, message)
        html = content.html
        targets: tuple[str, ...] = ()
        if plan.clicks:
            done = rewrite_links(
                html,
                lambda number: f"{self._public_url}/c/{token}.{number}",
                lambda href: href.startswith(self._public_url) or _holds(href, secrets),
            )
            html, targets = done.html, done.targets
        html = add_marks(
            html,
            picture=f"{self._public_url}/o/{token}.gif" if plan.opens else None,
            trap=f"{self._public_url}/c/{token}.{TRAP}" if targets else None,
        )
        kept = TrackedMessage(
            digest=link_digest(token),
            tenant=tenant,
            person_id=person,
            message_id=message,
            targets=DataKey(link_seal_key(token), b"").seal(orjson.dumps(list(targets)), b"targets"),
            expires_at=made_at + self._lifetime,
        )
        return replace(content, html=html), kept


def _holds(href: str, secrets: Collection[str]) -> bool:
    """Tell whether a secret stands in a link, as it is or encoded (RFC 3986 §2.1, and as forms do it)."""
    return any(one in form for form in {href, unquote(href), unquote_plus(href)} for one in secrets)
