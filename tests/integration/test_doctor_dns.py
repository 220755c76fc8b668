"""The doctor reads the DNS as receivers do: asked of a real server, on loopback."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from notifier.cli.dns import check_names
from notifier.crypto.dkim_keys import new_key, read_key
from notifier.crypto.dkim_keys import record as key_record
from notifier.pipeline.checks.dns import check_dkim, check_dmarc, check_mx, check_ptr, check_spf, new_resolver
from notifier.pipeline.checks.verdict import Check, State
from notifier.setting_tables import Mail
from notifier.settings import Settings
from tests.dns_server import DnsServer, Zone

GOOD: Zone = {
    ("shop.test", "TXT"): [
        '"v=spf1 ip4:192.0.2.0/28 include:_spf.mailer.test -all"',
        '"site-verification=1"',
    ],
    ("_spf.mailer.test", "TXT"): ['"v=spf1 ip4:198.51.100.7 a:out.mailer.test ~all"'],
    ("out.mailer.test", "A"): ["203.0.113.9"],
    ("_dmarc.shop.test", "TXT"): ['"v=DMARC1; p=quarantine; rua=mailto:dmarc@shop.test"'],
    ("shop.test", "MX"): ["10 mx.shop.test."],
    ("mx.shop.test", "A"): ["192.0.2.1"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.shop.test."],
    ("2.2.0.192.in-addr.arpa", "PTR"): ["mx.shop.test."],
    ("null.test", "MX"): ["0 ."],
    ("dead.test", "MX"): ["10 gone.dead.test."],
    ("half.test", "MX"): ["10 mx.shop.test.", "20 gone.dead.test."],
}


def spf(record: str) -> Zone:
    """Return a zone with one SPF record."""
    return {("shop.test", "TXT"): [f'"{record}"']}


@pytest.mark.parametrize(
    ("zone", "addresses", "state", "words"),
    [
        (GOOD, ["192.0.2.1", "198.51.100.7", "203.0.113.9"], State.PASS, "(2 look-ups)"),
        (GOOD, ["192.0.2.77"], State.FAIL, "does not allow 192.0.2.77"),
        ({("shop.test", "TXT"): ['"other"']}, [], State.FAIL, "SPF"),
        ({("shop.test", "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"']}, [], State.FAIL, "multiple"),
        (spf("v=spf1 ip4:192.0.2.300 -all"), [], State.FAIL, "192.0.2.300"),
        (spf("v=spf1 +all"), [], State.WARN, "everybody"),
        (spf("v=spf1 +all"), ["192.0.2.1"], State.WARN, "everybody"),
        (spf("v=spf1 ip4:192.0.2.1"), ["192.0.2.1"], State.WARN, "everybody"),
        ({**GOOD, **spf("v=spf1 mx -all")}, ["192.0.2.1"], State.PASS, "mx"),
        ({**GOOD, **spf("v=spf1 mx -all")}, ["192.0.2.2"], State.FAIL, "does not allow 192.0.2.2"),
        ({**GOOD, **spf("v=spf1 mx/24 -all")}, ["192.0.2.2"], State.PASS, "mx/24"),
        ({**GOOD, **spf("v=spf1 a:mx.shop.test/24 -all")}, ["192.0.2.2"], State.PASS, "/24"),
        (
            {**spf("v=spf1 a//64 -all"), ("shop.test", "AAAA"): ["2001:db8::1"]},
            ["2001:db8::2"],
            State.PASS,
            "//64",
        ),
        (spf("v=spf1 ip6:2001:db8::/32 -all"), ["2001:db8::2"], State.PASS, "ip6"),
        (spf("v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all"), ["192.0.2.1"], State.FAIL, "does not allow"),
        (
            {**spf("v=spf1 redirect=_r.shop.test"), ("_r.shop.test", "TXT"): ['"v=spf1 ip4:192.0.2.1 -all"']},
            ["192.0.2.1"],
            State.PASS,
            "redirect",
        ),
        # Only a pass within an include counts (RFC 7208 §5.2), and what it says of "all" is not ours.
        (
            {
                **spf("v=spf1 include:i.shop.test -all"),
                ("i.shop.test", "TXT"): ['"v=spf1 ~ip4:192.0.2.1 ?all"'],
            },
            ["192.0.2.1"],
            State.FAIL,
            "does not allow",
        ),
        (spf("v=spf1 include:%{ir}.%{v}.hosted.test -all"), ["192.0.2.1"], State.PASS, "hosted.test"),
        (
            {
                **spf("v=spf1 " + " ".join(f"a:h{n}.shop.test" for n in range(11)) + " -all"),
                **{(f"h{n}.shop.test", "A"): ["192.0.2.1"] for n in range(11)},
            },
            [],
            State.FAIL,
            "11/10",
        ),
    ],
)
def test_spf_is_read_as_receivers_read_it(zone: Zone, addresses: list[str], state: State, words: str) -> None:
    """Whom it allows, what it costs to find out, and what makes it void."""
    with DnsServer(zone) as server:
        found = check_spf("shop.test", addresses, new_resolver([server.place]))

    assert found.state is state, found
    assert words.lower() in found.detail.lower()


@pytest.mark.parametrize(
    ("record", "envelope", "signing", "state", "words"),
    [
        ("v=DMARC1; p=reject; rua=mailto:d@shop.test", "shop.test", ["shop.test"], State.PASS, "p=reject"),
        (
            "v=DMARC1; p=reject; rua=mailto:d@shop.test",
            "bounces.shop.test",
            ["mail.shop.test"],
            State.PASS,
            "p=reject",
        ),
        ("v=DMARC1; p=reject; rua=mailto:d@shop.test", "shop.test", [], State.WARN, "only SPF"),
        ("v=DMARC1; p=none", "shop.test", ["shop.test"], State.WARN, "p=none"),
        ("v=DMARC1; p=reject; adkim=s; aspf=s", "b.shop.test", ["mail.shop.test"], State.FAIL, "stands for"),
        (
            "v=DMARC1; p=reject; rua=mailto:d@shop.test",
            "mailer.test",
            ["mailer.test"],
            State.FAIL,
            "stands for",
        ),
        ("v=DMARC1; p=maybe", "shop.test", ["shop.test"], State.FAIL, "maybe"),
        ("v=DMARC1; p=NONE", "shop.test", ["shop.test"], State.WARN, "p=none"),
        ("v=DMARC1; p=reject; t=y; rua=mailto:d@shop.test", "shop.test", ["shop.test"], State.WARN, "t=y"),
        ("v=DMARC1; p=reject; t=n; rua=mailto:d@shop.test", "shop.test", ["shop.test"], State.PASS, "t=n"),
        (
            "v=DMARC1; p=reject; psd=y; rua=mailto:d@shop.test",
            "shop.test",
            ["shop.test"],
            State.WARN,
            "psd=y",
        ),
        (
            "v=DMARC1; p=reject; psd=n; rua=mailto:d@shop.test",
            "shop.test",
            ["shop.test"],
            State.PASS,
            "psd=n",
        ),
        (
            "v=DMARC1; p=reject; np=none; rua=mailto:d@shop.test",
            "shop.test",
            ["shop.test"],
            State.WARN,
            "np=none",
        ),
        (
            "v=DMARC1; p=reject; sp=none; rua=mailto:d@shop.test",
            "shop.test",
            ["shop.test"],
            State.WARN,
            "sp ",
        ),
    ],
)
def test_dmarc_asks_who_stands_for_the_domain(
    record: str, envelope: str, signing: list[str], state: State, words: str
) -> None:
    """By RFC 9989: the policy is found by walking up, and one of SPF and DKIM has to match."""
    zone = {
        **GOOD,
        ("_dmarc.shop.test", "TXT"): [f'"{record}"'],
        ("b.shop.test", "A"): ["192.0.2.1"],
        ("bounces.shop.test", "A"): ["192.0.2.1"],
        ("mail.shop.test", "A"): ["192.0.2.1"],
    }
    with DnsServer(zone) as server:
        found = check_dmarc("shop.test", envelope, signing, new_resolver([server.place]))

    assert found.state is state, found
    assert words in found.detail


@pytest.mark.parametrize("name", ["_dmarc.shop.test", "_dmarc.news.shop.test"])
def test_what_is_no_dmarc_record_is_left_out(name: str) -> None:
    """RFC 9989 §4.10: so a wildcard's TXT record neither voids the policy nor ends the walk to it."""
    records = ['"v=spf1 -all"', *([OWN] if name == "_dmarc.shop.test" else [])]
    zone = {
        **GOOD,
        **zone_of({"shop.test": OWN}),
        (name, "TXT"): records,
    }

    with DnsServer(zone) as server:
        found = check_dmarc("news.shop.test", "shop.test", ["shop.test"], new_resolver([server.place]))

    assert found.state is State.PASS, found


OWN = '"v=DMARC1; p=reject; rua=mailto:d@shop.test"'


@pytest.mark.parametrize(
    ("records", "signing", "is_ours"),
    [
        # A subdomain with a record of its own belongs to the domain above it all the same.
        ({"news.shop.test": OWN, "shop.test": OWN}, "mail.shop.test", True),
        ({"news.shop.test": OWN}, "mail.shop.test", False),
        ({"news.shop.test": '"v=DMARC1; p=reject; psd=n"', "shop.test": OWN}, "mail.shop.test", False),
        # Of a public suffix nobody is a part.
        ({"news.shop.test": OWN, "test": '"v=DMARC1; p=reject; psd=y"'}, "other.test", False),
        ({"news.shop.test": OWN, "test": '"v=DMARC1; p=reject; psd=y"'}, "mail.shop.test", True),
    ],
)
def test_who_belongs_to_one_organisation_is_found_by_walking_up(
    records: dict[str, str],
    signing: str,
    is_ours: bool,  # noqa: FBT001
) -> None:
    """RFC 9989 §4.10: the record with the fewest labels says it, or one with psd."""
    with DnsServer(zone_of(records)) as server:
        found = check_dmarc("news.shop.test", "news.shop.test", [signing], new_resolver([server.place]))

    assert ("only SPF" not in found.detail) is is_ours, found


def test_a_policy_from_above_counts_by_what_it_says_to_subdomains() -> None:
    """p=reject; sp=none protects no subdomain (RFC 9989 §4.7)."""
    zone = zone_of({"shop.test": '"v=DMARC1; p=reject; sp=none; rua=mailto:d@shop.test"'})
    with DnsServer(zone) as server:
        found = check_dmarc("news.shop.test", "shop.test", ["shop.test"], new_resolver([server.place]))

    assert found.state is State.WARN
    assert "sp=none at shop.test" in found.detail


def zone_of(records: dict[str, str]) -> Zone:
    """Return a zone with these DMARC records."""
    return {
        **{(f"{name}.test", "A"): ["192.0.2.1"] for name in ("news.shop", "mail.shop", "other")},
        **{(f"_dmarc.{name}", "TXT"): [record] for name, record in records.items()},
    }


def test_a_domain_without_a_policy_is_told_what_to_publish() -> None:
    """The record, ready to copy."""
    with DnsServer({("shop.test", "A"): ["192.0.2.1"]}) as server:
        found = check_dmarc("shop.test", "shop.test", [], new_resolver([server.place]))

    assert found.state is State.FAIL
    assert "_dmarc.shop.test" in found.mend


KEY = rsa.generate_private_key(65537, 2048).public_key()
SMALL = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - it is to be found too short
ED = ed25519.Ed25519PrivateKey.generate().public_key()


def der(key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return a public key as DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def record(raw: bytes, extra: str = "") -> list[str]:
    """Return a key record in the pieces of 255 octets that DNS has."""
    text = f"v=DKIM1; {extra}p={base64.b64encode(raw).decode()}"
    return [" ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))]


@pytest.mark.parametrize(
    ("tags", "state", "words"),
    [
        ("v = DKIM1 ; k = rsa ; h=sha1:sha256; s=email:other; p = ", State.PASS, "is the key"),
        ("k=rsa; p=", State.PASS, "is the key"),
        ("v=DKIM2; p=", State.FAIL, "v="),
        ("k=rsa; v=DKIM1; p=", State.FAIL, "v="),
        ("v=DKIM1\\\\; k=rsa\\\\; p=", State.FAIL, "v="),  # what a panel escaped once too often
        ("v=DKIM1; k=ed25519; p=", State.FAIL, "k=ed25519"),
        ("v=DKIM1; h=sha1; p=", State.FAIL, "sha256"),
        ("v=DKIM1; s=tlsrpt; p=", State.FAIL, "s="),
    ],
)
def test_a_key_record_may_rule_our_signatures_out(tags: str, state: State, words: str) -> None:
    """RFC 6376 §3.6.1: by its version, kind, hashes and services; blanks around the signs mean nothing."""
    key = base64.b64encode(der(KEY)).decode()
    published = f'"{tags}{key[:100]}" "{key[100:300]}" "{key[300:]}"'
    with DnsServer({("s1._domainkey.shop.test", "TXT"): [published]}) as server:
        found = check_dkim("shop.test", "s1", der(KEY), new_resolver([server.place]))

    assert found.state is state, found
    assert words in found.detail


@pytest.mark.parametrize(
    ("records", "key", "state", "words"),
    [
        (record(der(KEY)), der(KEY), State.PASS, "is the key"),
        (record(ED.public_bytes_raw(), "k=ed25519; "), der(ED), State.PASS, "is the key"),
        (record(der(SMALL)), der(KEY), State.FAIL, "not the one"),
        (record(der(SMALL)), der(SMALL), State.WARN, "1024"),
        (record(der(KEY), "t=y; "), der(KEY), State.WARN, "t=y"),
        (record(b""), der(KEY), State.FAIL, "revoked"),
        (['"v=DKIM1; p=%%%"'], der(KEY), State.FAIL, "cannot be read"),
        ([], der(KEY), State.FAIL, "0 key records"),
    ],
    ids=["rsa", "ed25519", "another", "short", "testing", "revoked", "unreadable", "none"],
)
def test_the_published_key_is_the_one_we_sign_with(
    records: list[str], key: bytes, state: State, words: str
) -> None:
    """RSA as DER, Ed25519 as it is (RFC 8463)."""
    zone: Zone = {("s1._domainkey.shop.test", "TXT"): records, ("shop.test", "A"): ["192.0.2.1"]}
    with DnsServer(zone) as server:
        found = check_dkim("shop.test", "s1", key, new_resolver([server.place]))

    assert found.state is state, found
    assert words in found.detail


@pytest.mark.parametrize(
    ("check", "subject", "state", "words"),
    [
        (check_mx, "shop.test", State.PASS, "mx.shop.test"),
        (check_mx, "_spf.mailer.test", State.FAIL, "no MX"),
        (check_mx, "mx.shop.test", State.WARN, "no MX"),  # senders fall back to the address
        (check_mx, "null.test", State.FAIL, "null MX"),
        (check_mx, "half.test", State.WARN, "gone.dead.test"),
        (check_mx, "dead.test", State.FAIL, "gone.dead.test"),
        (check_ptr, "192.0.2.1", State.PASS, "mx.shop.test"),
        (check_ptr, "192.0.2.2", State.FAIL, "does not lead back"),
        (check_ptr, "192.0.2.3", State.FAIL, "no name"),
    ],
)
def test_bounces_arrive_and_addresses_have_names(
    check: Callable[..., Check], subject: str, state: State, words: str
) -> None:
    """MX of the envelope's domain, and reverse DNS that leads back."""
    with DnsServer(GOOD) as server:
        found = check(subject, new_resolver([server.place]))

    assert found.state is state, found
    assert words in found.detail


def test_a_silent_server_is_a_warning_and_no_crash() -> None:
    """Nothing is known, so nothing is said of the records."""
    with DnsServer(GOOD) as server:
        place = server.place
    resolver = new_resolver([place])
    resolver.lifetime = 0.2

    assert check_spf("shop.test", [], resolver).state is State.WARN
    assert check_dmarc("shop.test", "shop.test", [], resolver).state is State.WARN
    assert check_mx("shop.test", resolver).state is State.WARN
    assert check_ptr("192.0.2.1", resolver).state is State.WARN


def test_the_settings_say_what_is_looked_up() -> None:
    """From, envelope and the relays' addresses."""
    with DnsServer(GOOD) as server:
        mail = Mail.model_validate(
            {
                "sender": "no-reply@shop.test", "sending_addresses": ["192.0.2.1"], "domain": "shop.test",
                "unsubscribe_domain": "null.test",
            }
        )  # fmt: skip
        found = list(check_names(Settings(mail=mail, dns_servers=(server.place,))))

    assert {one.name: one.state for one in found} == {
        "SPF shop.test": State.PASS,
        "DMARC shop.test": State.WARN,
        "MX shop.test": State.PASS,
        "MX null.test": State.FAIL,
        "PTR 192.0.2.1": State.PASS,
    }


def test_the_senders_of_each_class_are_looked_up() -> None:
    """Newsletters come from another domain, whose policy receivers ask for; each domain once."""
    senders = {
        "marketing": {"sender": "news@news.test"},
        "subscription": {"sender": "list@news.test"},
        "operational": {"sender": "ops@shop.test"},
    }
    with DnsServer(GOOD) as server:
        mail = Mail.model_validate(
            {"sender": "no-reply@shop.test", "domain": "shop.test", "senders": senders}
        )
        found = list(check_names(Settings(mail=mail, dns_servers=(server.place,))))

    assert [(one.name, one.state) for one in found if one.name.startswith("DMARC")] == [
        ("DMARC shop.test", State.WARN),
        ("DMARC news.test", State.FAIL),
    ]


def test_a_name_the_world_does_not_know_is_not_looked_up() -> None:
    """The default sender is nobody's."""
    (found,) = check_names(Settings())

    assert found.state is State.WARN
    assert json.dumps(found.detail)


def test_every_key_of_the_settings_is_looked_up(tmp_path: Path) -> None:
    """That we sign with it counts for DMARC; one that was not published, and one without a file, fail."""
    for name in ("here", "later"):
        (tmp_path / name).write_bytes(new_key())
    published = [f'"{part}"' for part in re.findall(".{1,255}", record_of(tmp_path / "here"))]
    zone: Zone = {**GOOD, ("r1._domainkey.shop.test", "TXT"): [" ".join(published)]}
    turn = {"selector": "r2", "key_file": tmp_path / "later", "active_from": "2099-01-01T00:00:00Z"}
    dkim = {
        "shop.test": {"selector": "r1", "key_file": tmp_path / "here", "rotation": [turn]},
        "other.test": {"selector": "r1", "key_file": tmp_path / "missing"},
    }

    with DnsServer(zone) as server:
        mail = Mail.model_validate({"sender": "no-reply@shop.test", "domain": "shop.test"})
        settings = Settings(mail=mail, dkim=dkim, dns_servers=(server.place,))  # type: ignore[arg-type]
        found = {one.name: one.state for one in check_names(settings)}

    assert found == {
        "DKIM other.test": State.FAIL,
        "SPF shop.test": State.PASS,
        "DKIM r1._domainkey.shop.test": State.PASS,
        "DKIM r2._domainkey.shop.test": State.FAIL,
        "DMARC shop.test": State.PASS,
        "MX shop.test": State.PASS,
    }


def record_of(file: Path) -> str:
    """Return the record that fits a key file."""
    return key_record(read_key(file.read_bytes()))
