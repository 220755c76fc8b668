"""Keep caught mails: the newest in memory and, where a directory is given, as files over restarts.

Knows nothing of SMTP or pages.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from pathlib import Path

from notifier.events import Json
from notifier.ids import uuid7

_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One caught mail: its envelope and its bytes."""

    id: str
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @cached_property
    def parsed(self) -> EmailMessage:
        """The mail as the standard library reads it."""
        return message_from_bytes(self.raw, _class=EmailMessage, policy=default)

    @property
    def subject(self) -> str:
        """The subject as a person reads it."""
        return self.header("subject")

    def header(self, name: str) -> str:
        """Return a header as text, empty if it is missing or cannot be read."""
        try:
            value = str(self.parsed.get(name, ""))
        except (ValueError, IndexError, AttributeError):  # the parser gives up on some malformed headers
            return ""
        if _UNREADABLE in value:  # it reads ASCII only
            value = " ".join(self.headers()[name.lower()][0].split())
        return value

    def headers(self) -> dict[str, list[str]]:
        """Return every header by its name in lower case."""
        found: dict[str, list[str]] = {}
        for name, value in self.parsed.raw_items():
            found.setdefault(name.lower(), []).append(_text(str(value)).strip())
        return found

    def body(self, kind: str) -> str | None:
        """Return the ``plain`` or ``html`` body, None if there is none."""
        part = self.parsed.get_body(preferencelist=(kind,))
        if part is None:
            return None
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            return None
        try:
            return payload.decode(part.get_content_charset("utf-8"), "replace")
        except LookupError:  # a charset nobody knows
            return payload.decode("utf-8", "replace")

    def attachments(self) -> Iterator[tuple[str, str, int]]:
        """Yield name, type and size of each file that goes with the mail."""
        for part in self.parsed.walk():
            name = part.get_filename()
            payload = part.get_payload(decode=True)
            if name and isinstance(payload, bytes):
                yield name, part.get_content_type(), len(payload)

    def images(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield content id, type and bytes of each inline image."""
        for part in self.parsed.walk():
            cid = str(part.get("content-id", "")).strip().strip("<>")
            payload = part.get_payload(decode=True)
            if cid and part.get_content_maintype() == "image" and isinstance(payload, bytes):
                yield cid, part.get_content_type(), payload

    def to_json(self) -> dict[str, Json]:
        """Return what the list of the JSON API shows."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "from": self.sender,
            "to": list(self.recipients),
            "message_id": self.header("message-id").strip(),
            "subject": self.subject,
            "headers": self.headers(),
        }


def _text(value: str) -> str:
    """Return a raw header as text: it may be UTF-8 (RFC 6532), which the parser keeps as surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Mailbox:
    """The caught mails, oldest dropped beyond ``limit``."""

    def __init__(self, directory: Path | None = None, *, limit: int = 5_000) -> None:
        self._mails: OrderedDict[str, Mail] = OrderedDict()
        self._directory, self._limit = directory, limit
        self.total = 0
        """How many were ever added; grows also where old ones are dropped."""
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            for file in sorted(directory.glob("*.json")):
                self._keep(_read(file))

    def add(self, sender: str, recipients: tuple[str, ...], raw: bytes) -> Mail:
        """Keep a mail."""
        mail = Mail(id=str(uuid7()), at=datetime.now(UTC), sender=sender, recipients=recipients, raw=raw)
        if self._directory:
            _write(self._directory, mail)
        self._keep(mail)
        return mail

    def newest(self, *, to: str | None = None, limit: int | None = None) -> list[Mail]:
        """Return mails, the newest first; those of one recipient if named."""
        found = [mail for mail in reversed(self._mails.values()) if to is None or to in mail.recipients]
        return found[:limit]

    def get(self, mail_id: str) -> Mail | None:
        """Return one mail."""
        return self._mails.get(mail_id)

    def clear(self) -> None:
        """Drop every mail, the files too."""
        for mail_id in list(self._mails):
            self._drop(mail_id)

    def _keep(self, mail: Mail) -> None:
        self._mails[mail.id] = mail
        self.total += 1
        if len(self._mails) > self._limit:
            self._drop(next(iter(self._mails)))

    def _drop(self, mail_id: str) -> None:
        del self._mails[mail_id]
        if self._directory:
            (self._directory / f"{mail_id}.json").unlink(missing_ok=True)
            (self._directory / f"{mail_id}.eml").unlink(missing_ok=True)


def _write(directory: Path, mail: Mail) -> None:
    envelope = {"at": mail.at.isoformat(), "from": mail.sender, "to": mail.recipients}
    (directory / f"{mail.id}.eml").write_bytes(mail.raw)
    # The envelope last, and whole: a mail counts from here on.
    part = directory / f"{mail.id}.part"
    part.write_text(json.dumps(envelope))
    part.replace(directory / f"{mail.id}.json")


def _read(file: Path) -> Mail:
    envelope = json.loads(file.read_text())
    return Mail(
        id=file.stem,
        at=datetime.fromisoformat(envelope["at"]),
        sender=envelope["from"],
        recipients=tuple(envelope["to"]),
        raw=file.with_suffix(".eml").read_bytes(),
    )
