"""Who our mails come from, and how they are signed.

Shapes only: nothing is read from a key's file here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field, IPvAnyAddress, SecretStr, model_validator

from notifier.documents import Strict
from notifier.forms import Address, FeedbackId, Host, OneLine, Selector, wrong
from notifier.messages import MessageClass


class Sender(Strict):
    """Who the mails of one class come from; what is left out is as in ``mail``."""

    sender: Address | None = None
    sender_name: OneLine | None = None
    reply_to: Address | None = None


class Mail(Strict):
    """Who our mails come from."""

    domain: Host = "localhost"
    """The right-hand side of Message-IDs."""
    sender: Address = "notifier@localhost"
    sender_name: OneLine | None = None
    reply_to: Address | None = None
    envelope_sender: Address | None = None
    """Where bounces go; the sender where unset."""
    sending_addresses: tuple[IPvAnyAddress, ...] = ()
    """The addresses our mail reaches the world from, those of our relays: ``doctor`` looks at SPF and PTR for them."""
    verp: bool = True
    """Give each message a return path of its own below ``envelope_sender``, by which its bounce is known."""
    unsubscribe_domain: Host | None = None
    """Whose mails all reach the listener, so that a mail can unsubscribe; see ``Settings.unsubscribe_domain``."""
    senders: Mapping[MessageClass, Sender] = Field(default_factory=dict)
    """Gmail wants receipts and newsletters to come from different addresses."""
    feedback_id: FeedbackId | None = None
    """The last part of Feedback-ID; made of the sender's domain where unset."""


class DkimKey(Strict):
    """A private key, and the selector under which DNS has its public half."""

    selector: Selector
    key_file: Path | None = None
    key: SecretStr | None = None

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if (self.key_file is None) == (self.key is None):
            raise wrong("needs either key_file or key", "name the file of the private key: key_file")
        return self


class DkimPair(DkimKey):
    """An RSA key, and the Ed25519 key that signs beside it."""

    ed25519: DkimKey | None = None


class DkimTurn(DkimPair):
    """Keys that take over at a time."""

    active_from: AwareDatetime


class Dkim(DkimPair):
    """How the mails of a domain, and of those below it, are signed."""

    rotation: tuple[DkimTurn, ...] = ()
    """The keys that follow; the one whose time came last signs."""
