"""Write a Message-ID as providers let it travel with a message, and read it back from their callbacks.

The MAC goes along, so that what comes back can be checked by whoever has the key; nothing here has it.
"""

import re

_MESSAGE_ID = re.compile(r"<?([0-9a-f]{32})\.([a-z2-7]{16})@[^<>\s]+>?")
_REFERENCE = re.compile(r"([0-9a-f]{32})-([a-z2-7]{16})")


def reference_of(message_id: str) -> str:
    """Return id and MAC of a Message-ID of ours as ``id-mac``: 49 letters, digits and one dash; else empty.

    Short and plain enough for each: an SES tag takes letters, digits, ``_`` and ``-``, Postmark's metadata 80
    characters, Vonage's ``client-ref`` 100.
    """
    found = _MESSAGE_ID.fullmatch(message_id.strip())
    return f"{found[1]}-{found[2]}" if found else ""


def message_id_of_reference(reference: str) -> str:
    """Return a Message-ID with the reference's id and MAC, its domain any; empty where it is none of ours."""
    found = _REFERENCE.fullmatch(reference.strip().lower())
    return f"<{found[1]}.{found[2]}@notifier.invalid>" if found else ""
