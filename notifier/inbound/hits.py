"""Decide whether a person opened a mail or followed its link, or a machine did before them.

Pure: what is known of one request comes in. Never sees an address or a network.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Reader(StrEnum):
    """Who it was, as far as one can tell."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One request for a mail's picture or link."""

    method: str
    user_agent: str = ""
    purpose: str = ""
    """The header ``Sec-Purpose`` or ``Purpose`` (https://wicg.github.io/nav-speculation/prefetch.html)."""
    since_sent: timedelta | None = None
    """Since the relay took the mail; None where it has not, as far as is recorded."""
    since_trap: timedelta | None = None
    """Since the link no person can see was followed; None where it was not."""


# Nobody reads so fast: gateways follow links while they accept the mail.
_TOO_SOON = timedelta(seconds=2)
_TRAPPED = timedelta(minutes=1)
# Fetches when a person opens, and often before: it says of itself what it is, not whom it fetches for
# (https://support.google.com/mail/answer/145919; Yahoo likewise).
_PROXY = re.compile(r"GoogleImageProxy|YahooMailProxy|ggpht\.com", re.IGNORECASE)
# What link scanners, previews and libraries call themselves.
_MACHINE = re.compile(
    r"bot\b|crawl|spider|scan|preview|prefetch|headless|phantom|proofpoint|barracuda|mimecast|symantec|fireeye|trend"
    r"|sophos|forcepoint|safelinks|urldefense|virustotal|curl/|wget|python|java/|okhttp|go-http|libwww|httpclient"
    r"|node-fetch|axios|ruby|perl|php/|apache-",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"^Mozilla/5\.0 \(.+(AppleWebKit|Gecko|Trident|MSIE)|Outlook|Thunderbird|AppleMail|CFNetwork",
    re.IGNORECASE,
)


def judge(hit: Hit) -> Reader:
    """Return who it was; a doubt is ``unknown``, and neither counts as a person.

    Apple's privacy protection fetches every picture, read or not, as a bare ``Mozilla/5.0``
    (https://support.apple.com/guide/iphone/iphf084865c7).
    """
    is_machine = (
        hit.method == "HEAD"
        or "prefetch" in hit.purpose.lower()
        or hit.since_sent is None
        or hit.since_sent < _TOO_SOON
        or (hit.since_trap is not None and hit.since_trap < _TRAPPED)
        or hit.user_agent.strip() in {"", "Mozilla/5.0"}
    )
    if is_machine:
        return Reader.MACHINE
    if _PROXY.search(hit.user_agent):
        return Reader.UNKNOWN
    if _MACHINE.search(hit.user_agent):
        return Reader.MACHINE
    return Reader.HUMAN if _PERSON.search(hit.user_agent) else Reader.UNKNOWN
