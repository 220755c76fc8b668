"""An address is judged before anybody writes to it: spelled right, a person's, here to stay, known already."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.recipients.hygiene import (
    Concern,
    MailHosts,
    duplicates,
    examine,
    nearest_domain,
    normal_form,
    shown,
)


@pytest.mark.parametrize(
    "address",
    [
        "ada.lovelace@gmail.com", "ada@web.de", "o'brien@example.org", "a+b@example.co.uk", "ada@bücher.example",
        "x_1@sub.shop.example", "ada@live.com", "ada@mail.com", "ada@gmx.com", "ada@yahoo.co", "ada@aol.de",
        "ada@email.com", "ada@bank.com.om", "ada@shop.om", "ada@shop.cm", "josé@example.org",
    ],
)  # fmt: skip
def test_nothing_speaks_against_an_ordinary_address(address: str) -> None:
    """Neither an unusual sign nor a lesser known domain is a mistake."""
    found = examine(address)

    assert found.concerns == ()
    assert found.is_usable
    assert found.suggestion is None


@pytest.mark.parametrize(
    ("address", "problem", "suggestion"),
    [
        ("ada", "local@domain", None),
        ("ada@", "no domain", None),
        ("ada lovelace@example.org", "not allowed", "adalovelace@example.org"),
        ("ada@example,org", "host name", "ada@example.org"),
        ("ada@@example.org", "not allowed", "ada@example.org"),
        ("ada@example..org", "host name", "ada@example.org"),
        ("ada(at)example.org", "local@domain", "ada@example.org"),
        ("Ada L. <ada@example.org>", "character", "ada@example.org"),
        ("<mailto:ada@example.org>", "character", "ada@example.org"),
        ("ada..l@example.org", "not allowed", "ada.l@example.org"),
        ("ada@192.0.2.1", "host name", None),
        ("ada@localhost", "no dot", None),
        (f"{'a' * 65}@example.org", "64", None),
    ],
)
def test_what_cannot_go_on_the_wire_says_why(address: str, problem: str, suggestion: str | None) -> None:
    """And what may have been meant, where one slip explains it."""
    found = examine(address)

    assert found.concerns == (Concern.SYNTAX,)
    assert not found.is_usable
    assert problem in (found.problem or "")
    assert found.suggestion == suggestion


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"), ("gmai.com", "gmail.com"), ("gmaill.com", "gmail.com"), ("gnail.com", "gmail.com"),
        ("gmail.con", "gmail.com"), ("gmail.cmo", "gmail.com"), ("hotmial.com", "hotmail.com"),
        ("outlok.com", "outlook.com"), ("yaho.com", "yahoo.com"), ("iclould.com", "icloud.com"),
        ("t-onlin.de", "t-online.de"), ("company.con", "company.com"), ("gmail.coml", "gmail.com"),
        ("gmail.om", "gmail.com"), ("yahoo.cm", "yahoo.com"), ("gmail.co", "gmail.com"), ("hotmail.co", "hotmail.com"),
    ],
)  # fmt: skip
def test_one_slip_from_a_known_domain_is_noticed(typed: str, meant: str) -> None:
    """A letter more, less, other, or two swapped."""
    found = examine(f"ada@{typed}")

    assert Concern.TYPO in found.concerns
    assert found.suggestion == f"ada@{meant}"
    assert found.is_usable


@pytest.mark.parametrize(
    "domain", ["mail.com", "gmx.at", "yahoo.ca", "hotmail.es", "me.co", "live.de", "web.at", "ymail.com"]
)
def test_a_domain_that_exists_beside_a_known_one_is_none_misspelt(domain: str) -> None:
    """Short names and other countries are near to each other by nature."""
    assert nearest_domain(domain) is None


@pytest.mark.parametrize("local", ["info", "No-Reply", "postmaster", "support+x"])
def test_a_function_is_no_person(local: str) -> None:
    """RFC 2142: several read it."""
    assert examine(f"{local}@example.org").concerns == (Concern.ROLE,)


def test_a_mailbox_that_lives_for_minutes_is_known_by_its_domain_or_the_one_above() -> None:
    """The list is the operator's."""
    found = [
        examine(f"x@{one}", disposable={"tempo.example"})
        for one in ("tempo.example", "a.tempo.example", "po.example")
    ]

    assert [Concern.DISPOSABLE in one.concerns for one in found] == [True, True, False]


@pytest.mark.parametrize(
    ("hosts", "concerns"),
    [
        (MailHosts.THERE, ()), (MailHosts.UNKNOWN, ()), (MailHosts.NULL, (Concern.NO_MAIL,)),
        (MailHosts.NONE, (Concern.NO_DOMAIN,)),
    ],
)  # fmt: skip
def test_dns_is_asked_about_the_domain_in_its_wire_form(
    hosts: MailHosts, concerns: tuple[Concern, ...]
) -> None:
    """No answer is no verdict."""
    asked = []

    found = examine("ada@bücher.example", look_up=lambda domain: asked.append(domain) or hosts)  # type: ignore[func-returns-value]

    assert asked == ["xn--bcher-kva.example"]
    assert found.concerns == concerns


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Ada.Lovelace+x@Gmail.com", "adalovelace@googlemail.com", True),
        ("ada.l@outlook.com", "adal@outlook.com", False),
        ("ada+news@outlook.com", "ada@outlook.com", True),
        ("ada+news@example.org", "ada@example.org", False),
        ("ada@me.com", "ada@icloud.com", True),
        ("Ada@EXAMPLE.org", "ada@example.org", True),
    ],
)
def test_spellings_of_one_mailbox_have_one_normal_form(one: str, other: str, is_same: bool) -> None:  # noqa: FBT001
    """Only where the provider says so."""
    assert (normal_form(one) == normal_form(other)) is is_same
    assert bool(duplicates([one, "x", other])) is is_same


def test_a_domain_is_shown_as_people_write_it() -> None:
    """The wire has A-labels."""
    wire = examine("ada@bücher.example").wire

    assert wire == "ada@xn--bcher-kva.example"
    assert shown(wire) == "ada@bücher.example"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gets_a_verdict(text: str) -> None:
    """Whatever somebody typed."""
    found = examine(text)

    assert (found.wire is None) == (Concern.SYNTAX in found.concerns)
    assert (found.normal is None) == (found.wire is None)
    if found.normal is not None:
        assert normal_form(found.normal) == found.normal
