"""What templates are filled with: the brand, and the sources of live data.

Shapes only: nothing is fetched here.
"""

from collections.abc import Mapping

from pydantic import Field, SecretStr

from notifier.documents import Strict
from notifier.forms import Color, Link, SourceUrl


class Brand(Strict):
    """What templates say about the sender."""

    name: str = "Notifier"
    color: Color = "#1f4e8c"
    url: Link = "https://example.com"
    support_email: str = "support@example.com"
    support_phone: str = ""
    address: str = ""


class LookupSource(Strict):
    """Where live data comes from: a database, or an HTTP service."""

    url: SourceUrl
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
