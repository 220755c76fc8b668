"""Decide which headers a mail gets by its class: what it is, for those who judge streams of mail.

Pure; List-Unsubscribe comes from elsewhere, since it carries a link for one person.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from notifier.messages import MessageClass

BULK = frozenset({MessageClass.SUBSCRIPTION, MessageClass.MARKETING})
"""Mail to many, which a person may end."""

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_SENDER_ID = re.compile(r"[A-Za-z0-9._-]{5,15}")
_PART_LIMIT = 60


@lru_cache(maxsize=1024)
def class_headers(
    message_class: MessageClass, *, type_name: str, tenant: str, sender: str, sender_id: str | None = None
) -> Mapping[str, str]:
    """Return ``Feedback-ID`` and, for mail to many alone, ``Precedence: bulk``.

    Feedback-ID is ``type:tenant:class:sender id`` (Gmail, support.google.com/a/answer/6254652): the same for mail after
    mail of one kind, and nothing of the recipient in it. RFC 3834 §3.1.8 has Precedence keep automatic answers away;
    on an invoice it would only look like bulk.

    Args:
        message_class: The class of the event's type.
        type_name: The event's type.
        tenant: For whom the mail is sent.
        sender: The address in From; its domain makes the sender id where none is set.
        sender_id: 5 to 15 characters.
    """
    identity = sender_id or _sender_id(sender)
    parts = (_part(type_name), _part(tenant), message_class.value, identity)
    headers = {"Feedback-ID": ":".join(parts)}
    if message_class in BULK:
        headers["Precedence"] = "bulk"
    return MappingProxyType(headers)


def _part(text: str) -> str:
    return _UNFIT.sub("-", text)[:_PART_LIMIT]


def _sender_id(sender: str) -> str:
    domain = sender.rpartition("@")[2].lower()
    if _SENDER_ID.fullmatch(domain):
        return domain
    digest = hashlib.blake2b(domain.encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()[:15]
