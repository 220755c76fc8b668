"""Give recipients of a mail what they need to say that they want no more of its kind.

Makes links and headers while a message is written; what people ask for by them is ``link_requests``' part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.crypto import Keyring
from notifier.events import Json
from notifier.pipeline.composing.engagement import TrackPlan
from notifier.store.person_links import PersonLink
from notifier.tokens import (
    join_person_link,
    link_digest,
    mint_person_token,
    mint_unsubscribe_address,
    tag_message,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Whom a mail is for, and what of."""

    tenant: str
    person: UUID
    address_index: bytes
    category: str
    message: UUID
    locale: str
    can_refuse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonWays:
    """How a recipient may say what they want: two pages under one token, and the row that knows it."""

    link: PersonLink
    unsubscribe: str | None
    """None of a mail that cannot be refused."""
    preferences: str
    mail_to: str | None = None
    """Where a mail unsubscribes, whatever is in it; None where nobody takes it."""
    tracking: TrackPlan | None = None
    """What the mail tells; its reader is told so."""

    def to_json(self) -> dict[str, Json]:
        """Return what templates see as ``links``."""
        links = {"preferences": self.preferences}
        if self.unsubscribe is not None:
            links["unsubscribe"] = self.unsubscribe
        if self.tracking is not None:
            links["tracking"] = self.tracking.words
        return links

    def addresses(self) -> list[str]:
        """Return what only the reader may have."""
        return [self.preferences, *([self.unsubscribe] if self.unsubscribe is not None else [])]

    def headers(self) -> Mapping[str, str]:
        """Return what lets mail programs offer it themselves (RFC 2369, RFC 8058 §3.1).

        One click is announced over HTTPS only, as RFC 8058 has it. The link stands before the address: of several the
        leftmost is preferred (RFC 2369 §2), and it needs nobody's mail account. Some programs send no mail that has
        no subject.
        """
        if self.unsubscribe is None:
            return {}
        ways = [f"<{self.unsubscribe}>"]
        if self.mail_to is not None:
            ways.append(f"<mailto:{self.mail_to}?subject=unsubscribe>")
        headers = {"List-Unsubscribe": ", ".join(ways)}
        if self.unsubscribe.startswith("https://"):
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return headers


class PersonLinks:
    """Makes links.

    Args:
        keyring: Whose token key signs.
        public_url: Where people reach the web process.
        lifetime: How long after its newest mail a link may be used; CAN-SPAM asks for 30 days at least.
        mail_domain: Whose mails reach the listener; None where no mail unsubscribes.
    """

    def __init__(
        self, keyring: Keyring, *, public_url: str, lifetime: timedelta, mail_domain: str | None = None
    ) -> None:
        self._keyring, self._public_url, self._lifetime = keyring, public_url.rstrip("/"), lifetime
        self._mail_domain = mail_domain.encode("idna").decode() if mail_domain else None

    def of(self, to: Addressee, now: datetime) -> PersonWays:
        """Return the ways for a mail; the caller keeps the link before the mail leaves."""
        key = self._keyring.token_key
        token = mint_person_token(key, tenant=to.tenant, person=to.person, category=to.category)
        text = join_person_link(token, tag_message(key, token, to.message))
        link = PersonLink(
            digest=link_digest(token),
            tenant=to.tenant,
            person_id=to.person,
            address_index=to.address_index,
            category=to.category,
            locale=to.locale,
            expires_at=now + self._lifetime,
        )
        return PersonWays(
            link=link,
            unsubscribe=f"{self._public_url}/u/{text}" if to.can_refuse else None,
            preferences=f"{self._public_url}/p/{text}",
            mail_to=self._mail_to(token, to) if to.can_refuse else None,
        )

    def _mail_to(self, token: str, to: Addressee) -> str | None:
        if self._mail_domain is None:
            return None
        return mint_unsubscribe_address(self._keyring.return_path_key, token, to.message, self._mail_domain)
