"""The serializer against the stdlib's parser: what goes in comes out, and nothing else does."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.messages import ChannelName, File, Outgoing, Rendered
from notifier.mime import HeaderError, needs_smtputf8, serialize, validate_address

DATE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROSE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300)
WORDS = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=60), max_size=12
).map(" ".join)
BODY = st.text(st.characters(exclude_categories=["Cs"]), max_size=2500)


def outgoing(**changes: object) -> Outgoing:
    """Return a valid mail with some fields changed; subject, text and html go into its content."""
    content = {key: changes.pop(key) for key in ("subject", "text", "html") if key in changes}
    values: dict[str, object] = {
        "id": UUID("01a20198-7317-7604-90b7-5c2382c44ebc"),
        "channel": ChannelName.EMAIL,
        "tenant": "default",
        "to": "bob@example.org",
        "sender": "shop@example.com",
        "message_id": "<01a2.mac@example.com>",
        "content": Rendered(**{"text": "Hello", "subject": "Hi", **content}),  # type: ignore[arg-type]
    }
    return Outgoing(**(values | changes))  # type: ignore[arg-type]


def wire(mail: Outgoing) -> bytes:
    """Serialize, and hold every mail of this module to the rules of the wire."""
    data = serialize(mail, date=DATE)
    assert data.isascii()
    assert b"\x00" not in data
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data), "a bare CR or LF"
    assert data.endswith(b"\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    return data


def parsed(mail: Outgoing) -> EmailMessage:
    """Read the mail back with the stdlib."""
    message = message_from_bytes(wire(mail), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def lines_of(text: str) -> str:
    """Return the text with one kind of line end, ending with one."""
    text = re.sub(r"\r\n|\r", "\n", text)
    return text if text.endswith("\n") else text + "\n"


def body_of(message: EmailMessage, kind: str) -> str:
    """Return the decoded body of one kind."""
    part = message.get_body((kind,))
    assert part is not None
    return lines_of(part.get_payload(decode=True).decode())  # type: ignore[union-attr]


@given(WORDS | PROSE)
def test_a_subject_comes_back_as_it_was(subject: str) -> None:
    """Emoji, right-to-left text and long words survive, folded within 76 columns."""
    data = wire(outgoing(subject=subject))

    message = message_from_bytes(data, policy=policy.default)

    assert message["Subject"] == subject
    assert max(map(len, data.split(b"\r\n"))) <= 76


@given(WORDS)
def test_a_display_name_never_splits_its_address(name: str) -> None:
    """Commas, quotes and brackets stay inside the name (python/cpython#80222)."""
    data = wire(outgoing(to_name=name, sender_name=name))

    message = message_from_bytes(data, policy=policy.default)
    raw = message_from_bytes(data, policy=policy.compat32)
    for header in ("To", "From"):
        (address,) = message[header].addresses
        assert address.addr_spec == ("bob@example.org" if header == "To" else "shop@example.com")
        # The modern parser puts a blank between adjacent encoded words of a phrase; RFC 2047 §6.2 does not.
        display, _ = parseaddr(re.sub(r"\r\n", "", raw[header]))
        assert str(make_header(decode_header(display))) == name


def test_a_long_quoted_name_keeps_its_quotes_when_folded() -> None:
    """A comma after the fold is still within quotes."""
    name = "Association of Very Long Names, Department of Folding, Office for Commas, Incorporated"

    data = wire(outgoing(to_name=name))

    assert b'To: "Association' in data
    (address,) = message_from_bytes(data, policy=policy.default)["To"].addresses
    assert address.display_name == name


@given(BODY, BODY)
@settings(max_examples=60)
def test_text_and_html_come_back_as_they_were(text: str, html: str) -> None:
    """Leading dots, NUL, blanks at line ends and any line end are carried; only line ends are normalised."""
    message = parsed(outgoing(text=text, html=html))

    assert body_of(message, "plain") == lines_of(text)
    assert body_of(message, "html") == lines_of(html)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 998, "ü" * 998, "x" * 5000, ".", ".\r\n..\r\n.x", "a\rb", "a\nb\r\nc", "nul\x00nul", "end ",
        "tab\t\nblank \n", "--=_01a20198731776049 0b75c2382c44ebc.a--", "😀" * 300, "=", "=\n", "\n\n", "",
    ],
)  # fmt: skip
def test_hostile_text_is_carried(text: str) -> None:
    """The cases a line-based protocol stumbles over."""
    message = parsed(outgoing(text=text, html=f"<p>{text}</p>"))

    assert body_of(message, "plain") == lines_of(text)
    assert body_of(message, "html") == lines_of(f"<p>{text}</p>")


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200),
    st.binary(max_size=3000),
)
@settings(max_examples=60)
def test_an_attachment_keeps_its_name_and_content(name: str, content: bytes) -> None:
    """RFC 2231 names of any script and length; base64 of any bytes."""
    (part,) = parsed(
        outgoing(files=(File(name=name, media_type="application/pdf", content=content),))
    ).iter_attachments()

    # get_filename() would take "<>" away.
    assert part["content-disposition"].params["filename"] == name
    assert part.get_content_type() == "application/pdf"
    assert part.get_payload(decode=True) == content


def test_the_structure_is_only_as_deep_as_needed() -> None:
    """Mixed around alternative around related, each only where it holds something."""
    logo = File(name="logo.png", media_type="image/png", content=b"png", cid="logo@notifier")
    pdf = File(name="a.pdf", media_type="application/pdf", content=b"pdf")

    def shape(**changes: object) -> list[str]:
        return [part.get_content_type() for part in parsed(outgoing(**changes)).walk()]

    alternative = ["multipart/alternative", "text/plain", "text/html"]
    related = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    assert shape() == ["text/plain"]
    assert shape(html="<p>") == alternative
    assert shape(html="<p>", files=(logo,)) == related
    assert shape(html="<p>", files=(pdf,)) == ["multipart/mixed", *alternative, "application/pdf"]
    assert shape(html="<p>", files=(logo, pdf)) == ["multipart/mixed", *related, "application/pdf"]
    assert shape(files=(logo, pdf)) == ["multipart/mixed", "text/plain", "image/png", "application/pdf"]


def test_a_nested_message_is_not_given_the_type_base64_forbids() -> None:
    """RFC 2045 §6.4: message/* must not be base64."""
    file = File(name="old.eml", media_type="message/rfc822", content=b"Subject: x\n\n\xff")

    (part,) = parsed(outgoing(files=(file,))).iter_attachments()

    assert part.get_content_type() == "application/octet-stream"
    assert part.get_payload(decode=True) == file.content


def test_every_mail_says_what_it_is() -> None:
    """The mandatory headers, and those that keep vacation replies away, once each."""
    message = parsed(outgoing(reply_to="help@example.com"))

    assert message["Date"].datetime == DATE
    assert message["Message-ID"] == "<01a2.mac@example.com>"
    assert message["Reply-To"] == "help@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["MIME-Version"] == "1.0"
    assert len(message.keys()) == len(set(message.keys()))


def test_a_long_unsubscribe_url_is_never_an_encoded_word() -> None:
    """Gmail ignores List-Unsubscribe in encoded words (python/cpython#85725)."""
    url = f"<https://example.com/unsubscribe/{'a' * 400}>"

    data = wire(outgoing(headers={"List-Unsubscribe": f"{url}, <mailto:out@example.com>", "X-Link": url}))

    assert f"List-Unsubscribe: {url},\r\n <mailto:out@example.com>\r\n".encode() in data
    assert f"X-Link: {url}\r\n".encode() in data


def test_the_same_mail_has_the_same_bytes() -> None:
    """A retry sends what the first try sent."""
    assert wire(outgoing(html="<p>")) == wire(outgoing(html="<p>"))


@pytest.mark.parametrize("evil", ["a\r\nBcc: x@example.net", "a\nb", "a\rb", "a\x00b", "\ud800"])
@pytest.mark.parametrize(
    "place", ["subject", "to_name", "sender_name", "to", "sender", "reply_to", "message_id", "header", "file"]
)
def test_no_value_can_end_its_header(place: str, evil: str) -> None:
    """Header injection is refused, and the refusal does not repeat the value."""
    changes: dict[str, object] = {place: evil}
    if place == "header":
        changes = {"headers": {"X-Ref": evil}}
    elif place == "file":
        changes = {"files": (File(name=evil, media_type="a/b", content=b""),)}
    elif place == "message_id":
        changes = {"message_id": f"<{evil}@example.com>"}

    with pytest.raises(HeaderError) as refused:
        serialize(outgoing(**changes), date=DATE)

    assert evil not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Bad Name": "x"}, "header name"),
        ({"": "x"}, "header name"),
        ({"X:": "x"}, "header name"),
        ({"X\r\nY": "x"}, "header name"),
        ({"Bcc": "x@example.net"}, "Bcc"),
        ({"subject": "twice"}, "subject"),
        ({"List-Unsubscribe": "<https://bücher.example>"}, "List-Unsubscribe"),
        ({"X-Long": "x" * 1000}, "X-Long"),
    ],
)
def test_extra_headers_are_checked(headers: dict[str, str], field: str) -> None:
    """Names must be names, ours must stay ours, URLs must be ASCII, lines must end."""
    with pytest.raises(HeaderError) as refused:
        serialize(outgoing(headers=headers), date=DATE)

    assert refused.value.field == field


@pytest.mark.parametrize(
    "file",
    [
        File(name="a", media_type="pdf", content=b""),
        File(name="a", media_type="a/b; x=\r\n", content=b""),
        File(name="a", media_type="image/png", content=b"", cid="a> b"),
        File(name="a", media_type="image/png", content=b"", cid=""),
    ],
)
def test_a_files_type_and_cid_are_checked(file: File) -> None:
    """What stands in a part's header obeys the same rules."""
    with pytest.raises(HeaderError):
        serialize(outgoing(html="<p>", files=(file,)), date=DATE)


@pytest.mark.parametrize(
    ("address", "on_wire"),
    [
        ("bob@Example.ORG", "bob@example.org"),
        ("Bob.B+tag@example.org", "Bob.B+tag@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("bob@例え.テスト", "bob@xn--r8jz45g.xn--zckzah"),
        ('"a@b"@example.org', '"a@b"@example.org'),
        ("root@localhost", "root@localhost"),
    ],
)
def test_a_good_address_gets_its_wire_form(address: str, on_wire: str) -> None:
    """The domain as A-labels in lower case, the local part untouched."""
    assert validate_address(address) == on_wire


@pytest.mark.parametrize(
    "address",
    [
        "", "bob", "@example.org", "bob@", "bob@@example.org", "bob @example.org", "bob@exam ple.org",
        "bob@example.org\r\nRCPT TO:<eve@example.net>", "bob@example.org>", "<bob@example.org>",
        "a,b@example.org", "bob@example..org", ".bob@example.org", "bob.@example.org", "b..b@example.org",
        "bob@-x.example", "bob@192.0.2.1", "bob@[192.0.2.1]", "bob@example.org.", "bob@exa_mple.org",
        "böb@example.org",
        "x" * 65 + "@example.org", "bob@" + "a" * 64 + ".example", "bob@" + "a." * 130 + "example",
        '"a b"@x.example', '"a\\"@example.org', "bob@\u2028example.org", "bob@xn--\u212a.example\x00",
        "bob@a\u2100.example",
    ],
)  # fmt: skip
def test_a_bad_address_is_refused_without_being_quoted(address: str) -> None:
    """Neither a header nor an envelope may carry it; the message names the field only."""
    with pytest.raises(HeaderError, match=r"^To: ") as refused:
        validate_address(address)

    assert not address or address not in str(refused.value)


def test_a_local_part_beyond_ascii_needs_an_extension() -> None:
    """Where that is not spoken, it is refused with a reason that names it (RFC 6531)."""
    assert needs_smtputf8("böb")
    assert not needs_smtputf8("bob")
    with pytest.raises(HeaderError, match="SMTPUTF8"):
        validate_address("böb@example.org")
    assert validate_address("böb@bücher.example", is_utf8_taken=True) == "böb@xn--bcher-kva.example"


@pytest.mark.parametrize("local", ["b\u202eb", "b\u00a0b", "\u200b", "\ud800", "ö b", ".ö", "ö" * 33])
def test_not_everything_beyond_ascii_is_a_local_part(local: str) -> None:
    """Invisible characters, halves of one, blanks, and more than 64 octets."""
    with pytest.raises(HeaderError):
        validate_address(f"{local}@example.org", is_utf8_taken=True)


def test_only_the_header_to_is_utf8_and_only_where_it_must() -> None:
    """RFC 6532; all else stays 7 bit."""
    wire = serialize(outgoing(to="böb@example.org", to_name="Bö Bö"), date=DATE, is_utf8_taken=True)

    head = wire.partition(b"\r\n\r\n")[0].decode()
    assert [line for line in head.split("\r\n") if not line.isascii()] == [
        "To: =?utf-8?b?QsO2IELDtg==?= <böb@example.org>"
    ]
    assert serialize(outgoing(), date=DATE, is_utf8_taken=True).isascii()


@given(st.text(max_size=80))
def test_whatever_passes_is_safe_in_an_envelope(text: str) -> None:
    """No input makes a wire form that could leave the angle brackets."""
    try:
        address = validate_address(text)
    except HeaderError:
        return

    assert re.fullmatch(r"[^\x00-\x20<>\x7f]+@[a-z0-9.-]+", address)
    assert address.isascii()
