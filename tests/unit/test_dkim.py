"""DKIM signatures, as an independent verifier sees them: what must hold, and what must break."""

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.messages import File
from notifier.mime import DkimKey, HeaderError, Signer, serialize
from notifier.mime.dkim import OVERSIGNED, relaxed_body, relaxed_fields
from tests.contracts.mails import mail
from tests.dkim_verifier import records_of, verdicts

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SENDER = "shop@example.com"
RSA = DkimKey(domain="example.com", selector="n2026", key=generate_private_key(65537, 2048))
ED25519 = DkimKey(domain="example.com", selector="n2026e", key=Ed25519PrivateKey.generate())
DNS = records_of(RSA, ED25519)
LISTED = {
    "List-Unsubscribe": "<https://example.com/u/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "Feedback-ID": "order.shipped:default:transactional:example.com",
}


def written(**changes: object) -> bytes:
    """Return a mail as the serializer writes it."""
    values: dict[str, object] = {
        "reply_to": "help@example.com",
        "headers": LISTED,
        "html": "<p>On its way</p>",
    }
    return serialize(mail(**(values | changes)), date=NOW)


def signed(wire: bytes, *keys: DkimKey, sender: str = SENDER) -> bytes:
    """Return the mail, signed by RSA and Ed25519 unless other keys are named."""
    return Signer(keys or (RSA, ED25519)).sign(wire, sender=sender, at=NOW)


def with_header(wire: bytes, line: str, *, at_end: bool) -> bytes:
    """Return the mail with one more header, before all others or behind them."""
    if not at_end:
        return line.encode() + b"\r\n" + wire
    head, _, body = wire.partition(b"\r\n\r\n")
    return head + b"\r\n" + line.encode() + b"\r\n\r\n" + body


def test_both_signatures_of_a_mail_hold() -> None:
    """RSA stands first, for those who read one only."""
    wire = signed(written())

    assert verdicts(wire, DNS) == [True, True]
    assert re.findall(rb"a=([a-z0-9-]+);", wire)[:2] == [b"rsa-sha256", b"ed25519-sha256"]
    assert max(map(len, wire.partition(b"\r\nDate:")[0].split(b"\r\n"))) <= 78


def test_nothing_of_the_mail_itself_is_changed() -> None:
    """Signatures are put in front."""
    plain = written()

    assert signed(plain).endswith(plain)


@pytest.mark.parametrize("at_end", [True, False], ids=["below", "above"])
@pytest.mark.parametrize("name", OVERSIGNED)
def test_a_forged_second_header_breaks_both_signatures(name: str, at_end: bool) -> None:  # noqa: FBT001
    """Wherever it is put, and whether the mail has such a header or not: OVERSIGNED covers both."""
    wire = signed(written())

    forged = with_header(wire, f"{name}: <mallory@example.net>", at_end=at_end)

    assert verdicts(forged, DNS) == [False, False]


@pytest.mark.parametrize("name", ["From", "To", "Subject", "Reply-To", "List-Unsubscribe", "Feedback-ID"])
def test_a_changed_or_removed_header_breaks_the_signatures(name: str) -> None:
    """Also those that are not oversigned, where the mail has them."""
    wire = signed(written())
    pattern = rf"^{name}: .*\r\n(?:[ \t].*\r\n)*".encode()

    changed = re.sub(pattern, f"{name}: other\r\n".encode(), wire, count=1, flags=re.MULTILINE)
    removed = re.sub(pattern, b"", wire, count=1, flags=re.MULTILINE)

    assert changed != wire
    assert verdicts(changed, DNS) == verdicts(removed, DNS) == [False, False]


def test_a_changed_body_breaks_the_signatures() -> None:
    """One letter is enough, and so is a line more at the end."""
    wire = signed(written())

    assert verdicts(wire.replace(b"On its way", b"On its wax", 1), DNS) == [False, False]
    assert verdicts(wire + b"PS\r\n", DNS) == [False, False]


def test_what_a_server_on_the_way_may_do_leaves_the_signatures_whole() -> None:
    """Trace headers, other folding, blanks at the ends of lines, blank lines at the end."""
    wire = signed(written(text="a  b\n\nc"))
    head, _, body = wire.partition(b"\r\n\r\n")
    head = head.replace(b"\r\nSubject: Shipped", b"\r\nSUBJECT:   \r\n\tShipped  ")
    passed = (
        b"Return-Path: <b@example.com>\r\nReceived: from a by b\r\n" + head + b"\r\n\r\n" + body + b"\r\n\r\n"
    )

    assert verdicts(passed, DNS) == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n\n",
        ".",
        "..\n.\n",
        "a\n\n\n",
        "a \t \n b\t\tc   ",
        "\t",
        " ",
        "x" * 5000,
        "Grüße 🎁\n",
        "=20",
        "\r",
    ],
)
def test_odd_bodies_are_signed_as_they_travel(text: str) -> None:
    """Empty, dots, blank lines and blanks at the end, tabs, long lines."""
    assert verdicts(signed(written(text=text, html=None)), DNS) == [True, True]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" \t\r\n \r\n", b""),
        (b"a", b"a\r\n"),
        (b"a \t b\t\r\n\r\n\r\n", b"a b\r\n"),
        (b" a\r\n\r\nb ", b" a\r\n\r\nb\r\n"),
        (b"\ta\r\n", b" a\r\n"),
    ],
)
def test_a_body_is_relaxed_as_the_rfc_says(body: bytes, expected: bytes) -> None:
    """RFC 6376 §3.4.4, with the examples of §3.4.5 among them."""
    assert relaxed_body(body) == expected


def test_folded_headers_are_signed_unfolded() -> None:
    """A long subject and a long name, which the serializer folds."""
    wire = serialize(
        mail(to_name="Müller, Jürgen " * 6, sender_name="A name, " * 12, headers=LISTED), date=NOW
    )

    assert b"\r\n " in wire.partition(b"\r\n\r\n")[0]
    assert verdicts(signed(wire), DNS) == [True, True]


def test_a_mail_with_files_is_signed() -> None:
    """An attachment and an inline picture."""
    files = (
        File(name="invoice.pdf", media_type="application/pdf", content=bytes(range(256)) * 50),
        File(name="logo.png", media_type="image/png", content=b"\x89PNG", cid="logo@example.com"),
    )

    assert verdicts(signed(written(files=files)), DNS) == [True, True]


words = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60)


@settings(deadline=None, max_examples=60)
@given(
    text=words,
    html=st.none() | words,
    name=words,
    lines=st.lists(st.sampled_from(["", " ", "\t", ".", "a  b"])),
)
def test_any_content_is_signed(text: str, html: str | None, name: str, lines: list[str]) -> None:
    """Whatever stands in body and names."""
    body = "\n".join([text, *lines])
    try:
        wire = written(text=body, html=html, to_name=name)
    except HeaderError:
        wire = written(text=body, html=html)

    assert verdicts(signed(wire), DNS) == [True, True]


def test_the_example_of_rfc_8463_verifies_through_our_canonical_form() -> None:
    """Appendix A: the body hash and the Ed25519 signature printed there, from its key and its mail."""
    key = Ed25519PrivateKey.from_private_bytes(
        base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    )
    body = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    fields = {
        b"from": b"From: Joe SixPack <joe@football.example.com>",
        b"to": b"To: Suzie Q <suzie@shopping.example.net>",
        b"subject": b"Subject: Is dinner ready?",
        b"date": b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)",
        b"message-id": b"Message-ID: <20030712040037.46341.5F8J@football.example.com>",
    }
    signature = (
        b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
        b" d=football.example.com; i=@football.example.com;\r\n"
        b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
        b" subject : date : message-id : from : subject : date;\r\n"
        b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
        b" b="
    )

    signed = (b"from", b"to", b"subject", b"date", b"message-id")
    _, canonical = relaxed_fields(b"\r\n".join([*(fields[name] for name in signed), signature]))
    made = DkimKey(domain="x", selector="x", key=key).sign(b"\r\n".join(canonical))

    digest = hashlib.sha256(relaxed_body(body)).digest()
    assert base64.b64encode(digest) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    assert base64.b64encode(made) == (
        b"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    )


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("a@example.com", "example.com"),
        ("a@EXAMPLE.com", "example.com"),
        ("a@mail.example.com", "example.com"),
        ("a@deep.mail.example.com", "example.com"),
        ("a@news.example.com", "news.example.com"),
        ("a@x.news.example.com", "news.example.com"),
        ("a@example.org", None),
        ("a@notexample.com", None),
        ("a@com", None),
    ],
)
def test_the_senders_domain_or_its_nearest_parent_signs(sender: str, domain: str | None) -> None:
    """So DMARC finds it aligned; a stranger's domain is not signed for."""
    news = DkimKey(domain="News.example.com", selector="n", key=RSA.key)

    keys = Signer([RSA, news]).keys_for(sender, NOW)

    assert [key.domain.lower() for key in keys] == ([domain] if domain else [])


def test_a_mail_of_a_foreign_domain_goes_out_as_it_is() -> None:
    """A signature that is not aligned helps nobody."""
    wire = written(sender="shop@example.org")

    assert signed(wire, sender="shop@example.org") == wire


def test_keys_take_turns_when_their_time_comes() -> None:
    """The one whose time came last signs; before that, the one that was there."""
    later = DkimKey(domain="example.com", selector="n2027", key=RSA.key, active_from=NOW + timedelta(days=1))
    latest = DkimKey(domain="example.com", selector="n2028", key=RSA.key, active_from=NOW + timedelta(days=9))
    signer = Signer([later, RSA, latest, ED25519])

    def selectors(days: float) -> list[str]:
        return [key.selector for key in signer.keys_for(SENDER, NOW + timedelta(days=days))]

    assert selectors(0) == ["n2026", "n2026e"]
    assert selectors(1) == ["n2027", "n2026e"]
    assert selectors(400) == ["n2028", "n2026e"]


def test_headers_a_provider_writes_anew_are_left_out() -> None:
    """Amazon SES gives a mail another Date and Message-ID; all else stays covered."""
    rewritten = frozenset({"date", "message-id"})
    wire = Signer([RSA]).sign(written(), sender=SENDER, at=NOW, rewritten=rewritten)

    other = re.sub(rb"\r\nMessage-ID: .*", b"\r\nMessage-ID: <ses@example.net>", wire)

    assert other != wire
    assert verdicts(other, DNS) == [True]
    assert verdicts(with_header(wire, "Subject: two", at_end=True), DNS) == [False]


def test_what_has_no_end_of_headers_is_no_mail() -> None:
    """Bare line feeds would be signed and then changed by the next server."""
    with pytest.raises(HeaderError, match="no blank line"):
        signed(b"From: shop@example.com\n\nHi\n")
