"""Write email as bytes: CRLF lines, pure ASCII, nothing that a header could smuggle in.

Never parses mail, never dot-stuffs (the channel does), never looks anything up.
"""

from notifier.mime.addresses import needs_smtputf8, validate_address
from notifier.mime.class_headers import class_headers
from notifier.mime.dkim import DkimKey, Signer
from notifier.mime.errors import HeaderError
from notifier.mime.serializer import serialize

__all__ = [
    "DkimKey",
    "HeaderError",
    "Signer",
    "class_headers",
    "needs_smtputf8",
    "serialize",
    "validate_address",
]
