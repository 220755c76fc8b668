"""The attachment: a file that goes with a message, by content or by reference.

Knows its JSON form, and fetches nothing.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from notifier.errors import EventRefused
from notifier.events.checks import Json, check_form, check_text, read_base64

_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
# RFC 2045 §5.1, parameters included: text/calendar; method=REQUEST.
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]{{0,60}}"))*')
_URL = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
# What stands after ``cid:`` (RFC 2392): no brackets, no blanks.
_CID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with the message, by content or by reference; inline where ``cid`` is set."""

    name: str
    media_type: str = "application/octet-stream"
    content: bytes | None = None
    url: str | None = None
    cid: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the JSON form; content as base64."""
        out = {"name": self.name, "media_type": self.media_type}
        if self.content is not None:
            out["content"] = base64.b64encode(self.content).decode()
        if self.url is not None:
            out["url"] = self.url
        if self.cid is not None:
            out["cid"] = self.cid
        return out

    @classmethod
    def from_json(cls, value: Json, where: str = "attachments") -> "Attachment":
        """Read the JSON form.

        Raises:
            EventRefused: with the path of the field that is wrong.
        """
        if not isinstance(value, Mapping) or "name" not in value:
            raise EventRefused("must be an object with a name", field=where)
        for key in value:
            if key not in _ATTACHMENT_FIELDS:
                raise EventRefused(
                    f"unknown key, known: {', '.join(_ATTACHMENT_FIELDS)}", field=f"{where}.{key}"
                )
        if ("content" in value) == ("url" in value):
            raise EventRefused("needs exactly one of content and url", field=where)
        check_text(value["name"], f"{where}.name")
        check_form(value, "media_type", _MEDIA_TYPE, "a media type such as application/pdf", where)
        check_form(value, "url", _URL, "an http or https URL", where)
        check_form(value, "cid", _CID, "a Content-ID without brackets, such as logo@shop", where)
        content = read_base64(value["content"], f"{where}.content") if "content" in value else None
        return cls(**{**value, "content": content})


_ATTACHMENT_FIELDS = ("name", "media_type", "content", "url", "cid")
