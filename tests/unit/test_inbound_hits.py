"""Who opened a mail: a person, a machine, or nobody can tell."""

from datetime import timedelta

import pytest

from notifier.inbound.hits import Hit, Reader, judge

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("hit", "reader"),
    [
        (Hit(method="GET", user_agent=CHROME, since_sent=HOUR), Reader.HUMAN),
        (Hit(method="GET", user_agent=PHONE, since_sent=timedelta(seconds=2)), Reader.HUMAN),
        (Hit(method="GET", user_agent="Microsoft Outlook 16.0", since_sent=HOUR), Reader.HUMAN),
        (Hit(method="HEAD", user_agent=CHROME, since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent=CHROME, purpose="prefetch;prerender", since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent=CHROME, since_sent=timedelta(seconds=1.9)), Reader.MACHINE),
        (Hit(method="GET", user_agent=CHROME), Reader.MACHINE),
        (
            Hit(method="GET", user_agent=CHROME, since_sent=HOUR, since_trap=timedelta(seconds=5)),
            Reader.MACHINE,
        ),
        (Hit(method="GET", user_agent=CHROME, since_sent=HOUR, since_trap=HOUR), Reader.HUMAN),
        (Hit(method="GET", user_agent="Mozilla/5.0", since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent="", since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent=GOOGLEBOT, since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent="python-requests/2.32", since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent=CHROME + " HeadlessChrome/131", since_sent=HOUR), Reader.MACHINE),
        (Hit(method="GET", user_agent=GMAIL, since_sent=HOUR), Reader.UNKNOWN),
        (Hit(method="GET", user_agent=GMAIL, since_sent=timedelta(seconds=1)), Reader.MACHINE),
        (Hit(method="GET", user_agent="Something else", since_sent=HOUR), Reader.UNKNOWN),
    ],
)
def test_who_it_was(hit: Hit, reader: Reader) -> None:
    """A doubt never counts as a person."""
    assert judge(hit) is reader
