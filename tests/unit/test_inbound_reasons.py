"""What servers say becomes a reason: by words, by codes, by the command answered; wrong rules are refused."""

from typing import Any

import pytest

from notifier.errors import ConfigError
from notifier.inbound.mailboxes import split_mailbox
from notifier.inbound.reasons import Evidence, ordinary, read_rules, rules
from notifier.inbound.report import Phase

RULES: dict[str, Any] = {
    "hard": {"always": ["userunknown"], "unless_temporary": ["notaccept"]},
    "block": ["blocked"],
}


@pytest.mark.parametrize(
    ("said", "status", "code", "phase", "reason"),
    [
        ("550 5.1.1 <jo@x.example>: Recipient address rejected: User unknown", "5.1.1", 550, None, "userunknown"),
        ("550 No such user here", None, 550, Phase.RCPT, "userunknown"),
        ("550 Unknown user", "5.0.0", 550, Phase.DATA, "filtered"),
        ("552 5.2.2 Over quota", "5.2.2", 552, None, "mailboxfull"),
        ("452 4.3.1 Insufficient system storage", "4.3.1", 452, Phase.MAIL, "systemfull"),
        ("550 5.7.1 Access denied", "5.7.1", 550, Phase.MAIL, "rejected"),
        ("550 5.7.1 Unable to relay", "5.7.1", 550, Phase.RCPT, "norelaying"),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "5.7.1", 554,
         Phase.RCPT, "blocked"),
        ("550-5.7.26 This mail has been blocked because the sender is unauthenticated.", "5.7.26", 550,
         Phase.DATA, "authfailure"),
        ("421-4.7.28 Gmail has detected an unusual rate of unsolicited mail", "4.7.28", 421, Phase.DATA, "speeding"),
        ("550 5.7.25 The IP address sending this message does not have a PTR record setup", "5.7.25", 550, None,
         "requireptr"),
        ("550 5.2.1 The email account that you tried to reach is inactive", "5.2.1", 550, None, "suspend"),
        ("556 5.1.10 Recipient address has null MX", "5.1.10", 556, None, "notaccept"),
        ("552 5.3.4 Message size exceeds fixed limit", "5.3.4", 552, None, "mesgtoobig"),
        ("551 User has moved; please try <jo@new.example>", "5.1.6", 551, None, "hasmoved"),
        ("501 Syntax error in parameters", None, 501, None, "syntaxerror"),
        ("550 5.7.0 Message contains a virus (Eicar)", "5.7.0", 550, Phase.DATA, "virusdetected"),
        ("421 4.7.0 Too many concurrent SMTP connections", "4.7.0", 421, None, "toomanyconn"),
        ("550 5.6.0 bare LF not allowed", "5.6.0", 550, Phase.DATA, "notcompliantrfc"),
    ],
)  # fmt: skip
def test_words_codes_and_commands_decide(
    said: str, status: str | None, code: int, phase: Phase | None, reason: str
) -> None:
    """The replies of well-known hosts, as their documentation has them."""
    assert rules().reason(Evidence(said=ordinary(said), status=status, code=code, phase=phase)) == reason


def test_an_address_says_nothing() -> None:
    """Its words are not the server's."""
    evidence = Evidence(
        said=ordinary("550 5.1.1 <mailbox-full-spam@virus.example>"), status="5.1.1", code=550
    )

    assert rules().reason(evidence) == "userunknown"


def test_nothing_said_is_undefined() -> None:
    """And a failure without a word why is on hold."""
    assert rules().reason(Evidence(said="")) == "undefined"
    assert rules().reason(Evidence(said="", status="5.0.0")) == "onhold"


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"reason": "bad", "source": "x", "code": "550"}, "no such reason: bad"),
        ({"reason": "blocked", "code": "550"}, "where it comes from"),
        ({"reason": "blocked", "source": "x"}, "always holds"),
        ({"reason": "blocked", "source": "x", "codes": "550"}, "no such condition: codes"),
        ({"reason": "blocked", "source": "x", "code": "("}, "missing"),
        ({"reason": "blocked", "source": "x", "text": ["("]}, "failed to add"),
        ({"reason": "blocked", "source": "x", "phase": ["quit"]}, "quit"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(rule: dict[str, Any], problem: str) -> None:
    """The file, and which rule of which list."""
    with pytest.raises(ConfigError, match=problem) as caught:
        read_rules({**RULES, "texts": [rule]})

    assert str(caught.value.file).endswith("reasons.yaml")


def test_an_mbox_is_split_and_unquoted() -> None:
    """One mail stays one; a line that begins with From inside a mail does not part it."""
    first = b"From MAILER-DAEMON Fri Jan  1 00:00:00 2015\nSubject: a\n\nFrom here on.\n>From there\n\n"
    second = b"From x@y.example Fri Jan  1 00:00:01 2015\nSubject: b\n\nb\n"

    assert list(split_mailbox(first + second)) == [
        b"Subject: a\n\nFrom here on.\nFrom there\n\n",
        b"Subject: b\n\nb\n",
    ]
    assert list(split_mailbox(first)) == [first]
    assert list(split_mailbox(b"Subject: c\n\nc")) == [b"Subject: c\n\nc"]
