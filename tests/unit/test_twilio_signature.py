"""Signatures of the gateway, against the vectors Twilio publishes with its libraries and its documentation."""

import pytest

from notifier.inbound.callbacks.twilio_signature import is_signed, sign

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = [
    ("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675309"), ("Digits", "1234"),
    ("From", "+14158675309"), ("To", "+18005551212"),
]  # fmt: skip
OTHER = [(name, value.replace("14158675309", "12349013030")) for name, value in FORM]
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("url", "form", "signature"),
    [
        (URL, FORM, SIGNATURE),
        (URL, FORM[::-1], SIGNATURE),
        (URL, OTHER, "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
        (
            URL,
            [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")],
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        ("https://MyCompany.com/myapp.php?foo=1&bar=2", FORM, "g9IN/x4Cft2g517EjYvEvM/W7LU="),
        ("https://MyCompany.com:1234/myapp.php?foo=1&bar=2", FORM, "PCqOZm8cnu/L6+u5i5fuEd+Iac4="),
    ],
)  # fmt: skip
def test_the_published_vectors_hold(url: str, form: list[tuple[str, str]], signature: str) -> None:
    """Order does not count; a value given twice counts once; the host is taken as it is written."""
    assert sign(TOKEN, url, form) == signature
    assert is_signed(TOKEN, url, form, signature)


@pytest.mark.parametrize(
    ("token", "url", "form", "signature"),
    [
        ("12346", URL, FORM, SIGNATURE),
        (TOKEN, URL + "&more=1", FORM, SIGNATURE),
        (TOKEN, URL.replace("https", "http"), FORM, SIGNATURE),
        (TOKEN, URL, FORM[:-1], SIGNATURE),
        (TOKEN, URL, [*FORM, ("x", "")], SIGNATURE),
        (TOKEN, URL, [*FORM[:-1], ("To", "+18005551213")], SIGNATURE),
        (TOKEN, URL, FORM, ""),
        (TOKEN, URL, FORM, SIGNATURE.lower()),
        (TOKEN, URL, FORM, "\udce4 王"),
    ],
)
def test_whatever_differs_is_forged(
    token: str, url: str, form: list[tuple[str, str]], signature: str
) -> None:
    """Token, URL, a parameter more or less, the signature itself."""
    assert not is_signed(token, url, form, signature)


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("https://[::1]:443/x", "https://[::1]/x"),
        ("https://a.example/x", "https://a.example:9443/x"),
    ],
)
def test_the_schemes_own_port_may_stand_there_or_not(signed: str, seen: str) -> None:
    """The gateway signs either; another port is another place."""
    assert is_signed(TOKEN, seen, FORM, sign(TOKEN, signed, FORM))
    assert not is_signed(TOKEN, seen, FORM, sign(TOKEN, "https://a.example:8443/x", FORM))
