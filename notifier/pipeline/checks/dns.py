"""Look at what the world's DNS says of us: SPF, DKIM, DMARC, where bounces arrive, and our addresses' names.

The resolver is passed in; asks DNS and nothing else. Whether SPF and DMARC records are sound is judged by checkdmarc,
which follows RFC 7208 and RFC 9989; what they and DKIM records mean for our mail, here and in ``spf.py``.
"""

import base64
import functools
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import dns.exception
import dns.rdatatype
import dns.resolver
import dns.reversename
from checkdmarc.dmarc import check_dmarc as judge_dmarc
from checkdmarc.spf import check_spf as judge_spf
from checkdmarc.utils import DNS_CACHE
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from notifier.pipeline.checks import spf
from notifier.pipeline.checks.verdict import Check, State, fail

_BITS = 2048
_ED25519_BYTES = 32
"""RFC 8463 §3: published as it is, not as DER."""
_ED25519_DER = 44
"""Bytes of such a key in DER (RFC 8410)."""
_SECONDS = 3.0
_WALK = 7
"""Labels of the longest parent asked for (RFC 9989 §4.10)."""


class NoAnswer(Exception):
    """No DNS server answered: nothing is known."""


def new_resolver(servers: Sequence[str] = ()) -> dns.resolver.Resolver:
    """Return a resolver that asks these servers (``address`` or ``address:port``), else this machine's.

    What was heard before is forgotten: whoever mends a record looks again at once.
    """
    DNS_CACHE.clear()
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        places = [one.rpartition(":") if one.count(":") == 1 else ("", "", one) for one in servers]
        resolver.nameservers = [host or last for host, _, last in places]
        resolver.nameserver_ports = {host: int(last) for host, _, last in places if host}
    resolver.lifetime = _SECONDS
    return resolver


def check_spf(domain: str, addresses: Sequence[str], resolver: dns.resolver.Resolver) -> Check:
    """Say whether the envelope's domain allows the addresses our mail comes from."""
    name = f"SPF {domain}"
    mend = "publish one TXT record such as `v=spf1 ip4:YOUR.RELAY -all`, or your provider's include"
    found: Mapping[str, Any] = judge_spf(domain, resolver=resolver, timeout=_SECONDS, retries=0)
    if not found["valid"]:
        return _unanswered(name) if _is_silent(found) else fail(name, str(found["error"]), mend)
    record, ask = str(found["record"]), functools.partial(_answers, resolver=resolver)
    try:
        strangers = [one for one in addresses if spf.verdict(record, domain, one, ask) != spf.PASS]
    except NoAnswer:
        return _unanswered(name)
    if strangers:
        return fail(name, f"does not allow {', '.join(strangers)}, where our mail comes from", mend)
    if found["parsed"]["all"] in {"pass", "neutral"}:
        return Check(name=name, state=State.WARN, detail="lets everybody send as us", mend="end it with -all")
    if found["warnings"]:
        return Check(name=name, state=State.WARN, detail=str(found["warnings"][0]), mend=mend)
    return Check(
        name=name, state=State.PASS, detail=f"{found['record'][:80]} ({found['dns_lookups']} look-ups)"
    )


def check_dkim(domain: str, selector: str, public_key: bytes, resolver: dns.resolver.Resolver) -> Check:
    """Say whether the published key is the one we sign with; ``public_key`` as DER (RFC 6376 §3.6.1)."""
    name = f"DKIM {selector}._domainkey.{domain}"
    mend = f"`notifier dkim record {domain}` prints the record to publish"
    try:
        records = _texts(f"{selector}._domainkey.{domain}", resolver)
    except NoAnswer:
        return _unanswered(name)
    state, detail = _judge_key([tags for tags in map(_tags, records) if "p" in tags], public_key)
    return Check(name=name, state=state, detail=detail, mend="" if state is State.PASS else mend)


def check_dmarc(
    domain: str, envelope_domain: str, signing: Sequence[str], resolver: dns.resolver.Resolver
) -> Check:
    """Say whether the From domain has a policy, and whether one of SPF and DKIM stands for that domain."""
    name = f"DMARC {domain}"
    # RFC 9989 §4.10: what does not begin with v=DMARC1, such as a wildcard's, is left out.
    found: Mapping[str, Any] = judge_dmarc(
        domain, resolver=resolver, timeout=_SECONDS, retries=0, ignore_unrelated_records=True
    )
    if not found["valid"]:
        mend = f"publish a TXT record at _dmarc.{domain}: `v=DMARC1; p=none; rua=mailto:…` to begin with"
        return _unanswered(name) if _is_silent(found) else fail(name, str(found["error"]), mend)
    tags = found["tags"]
    try:
        by_spf = _is_aligned(domain, envelope_domain, str(tags["aspf"]["value"]), resolver)
        by_dkim = any(_is_aligned(domain, one, str(tags["adkim"]["value"]), resolver) for one in signing)
    except NoAnswer:
        return _unanswered(name)
    if not by_spf and not by_dkim:
        detail = f"neither the envelope ({envelope_domain}) nor a signature stands for {domain}"
        return fail(name, detail, "sign with a key of this domain: `dkim` in the settings")
    return _judge_policy(name, domain, found, is_signed=by_dkim)


def _judge_policy(name: str, domain: str, found: Mapping[str, Any], *, is_signed: bool) -> Check:
    """Say what the policy of a domain is worth that something stands for."""
    tags = found["tags"]
    if not is_signed:
        detail = "only SPF stands for it, and a forwarded mail loses that"
        return Check(name=name, state=State.WARN, detail=detail, mend="sign: `dkim` in the settings")
    # A policy found above speaks to subdomains by sp (RFC 9989 §4.7).
    tag = "p" if str(found["location"]).lower() == domain.lower() or "sp" not in tags else "sp"
    if str(tags[tag]["value"]).lower() == "none":
        detail = f"{tag}=none at {found['location']}: forged mail in our name is still delivered"
        return Check(
            name=name, state=State.WARN, detail=detail, mend=f"{tag}=quarantine once reports look right"
        )
    if weak := _weakness(tags, is_own=str(found["location"]).lower() == domain.lower()):
        return Check(name=name, state=State.WARN, detail=weak[0], mend=weak[1])
    if found["warnings"]:
        detail, mend = str(found["warnings"][0]), "see RFC 9989"
        return Check(name=name, state=State.WARN, detail=detail, mend=mend)
    return Check(name=name, state=State.PASS, detail=f"{found['record'][:80]}")


def _weakness(tags: Mapping[str, Any], *, is_own: bool) -> tuple[str, str] | None:
    """Return which tag of RFC 9989 §4.7 makes a policy less than it seems, and what to do."""
    said = {name: str(tag["value"]).lower() for name, tag in tags.items() if tag.get("explicit", True)}
    if said.get("t") == "y":
        return "t=y: receivers take the policy for a test, and apply one milder", "take t=y out"
    if is_own and said.get("psd") == "y":
        return "psd=y: it says that this is a public suffix, whose names are other people's", "take psd=y out"
    if said.get("np") == "none":
        return (
            "np=none: mail in the name of subdomains that do not exist is still delivered",
            "take np=none out",
        )
    return None


def check_mx(domain: str, resolver: dns.resolver.Resolver) -> Check:
    """Say whether mails to a domain arrive anywhere: bounces, or wishes to unsubscribe."""
    name = f"MX {domain}"
    mend = f"publish an MX record for {domain} that leads to `notifier mail-in` or your mail server"
    try:
        found = _answers(domain, "MX", resolver)
        hosts = [str(one.exchange).rstrip(".") for one in found]
        dead = [host for host in hosts if host and not _addresses(host, resolver)]
        is_reached = bool(not hosts and _addresses(domain, resolver))
    except NoAnswer:
        return _unanswered(name)
    if is_reached:
        detail = "no MX record: mail goes to the domain's own address (RFC 5321 §5.1), and some servers refuse ours"
        return Check(name=name, state=State.WARN, detail=detail, mend=mend)
    if not hosts:
        return fail(name, "no MX record: what comes back is lost, and some servers refuse our mail", mend)
    if hosts == [""]:
        return fail(name, "a null MX (RFC 7505): it says that this domain takes no mail", mend)
    if dead:
        state = State.FAIL if len(dead) == len(hosts) else State.WARN
        return Check(name=name, state=state, detail=f"{', '.join(dead)} has no address", mend=mend)
    return Check(name=name, state=State.PASS, detail=", ".join(hosts))


def check_ptr(address: str, resolver: dns.resolver.Resolver) -> Check:
    """Say whether an address has a name that leads back to it, as Gmail and others demand."""
    name = f"PTR {address}"
    mend = "ask whoever gave you the address to set its reverse DNS to your relay's host name"
    try:
        answers = _answers(dns.reversename.from_address(address).to_text(), "PTR", resolver)
        names = [str(one.target).rstrip(".") for one in answers]
        back = [one for one in names if ipaddress.ip_address(address) in _addresses(one, resolver)]
    except NoAnswer:
        return _unanswered(name)
    if not names:
        return fail(name, "no name", mend)
    if not back:
        return fail(name, f"{names[0]} does not lead back to it", mend)
    return Check(name=name, state=State.PASS, detail=back[0])


def _judge_key(keys: Sequence[Mapping[str, str]], public_key: bytes) -> tuple[State, str]:
    """Say what the published key records mean for mail signed with the other half of ``public_key``."""
    if void := _void(keys, is_rsa=len(public_key) > _ED25519_DER):
        return State.FAIL, void
    published = "".join(keys[0].get("p", "").split())
    try:
        raw = base64.b64decode(published, validate=True)
        key = load_der_public_key(raw) if len(raw) > _ED25519_BYTES else None
    except (ValueError, UnsupportedAlgorithm):
        return State.FAIL, "the published key cannot be read"
    if not raw or (raw != public_key and not public_key.endswith(raw)):
        return State.FAIL, "the published key is not the one we sign with" if raw else "the key was revoked"
    if "y" in keys[0].get("t", ""):
        return State.WARN, "says t=y: receivers take the signature for a test"
    if isinstance(key, RSAPublicKey) and key.key_size < _BITS:
        return State.WARN, f"has {key.key_size} bits: use a key of {_BITS}"
    return State.PASS, "is the key we sign with"


def _void(keys: Sequence[Mapping[str, str]], *, is_rsa: bool) -> str:
    """Return what keeps receivers from using a key record for our mail, whatever the key (RFC 6376 §3.6.1)."""
    if len(keys) != 1:
        return f"{len(keys)} key records are published: there must be one"
    tags = keys[0]
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        return "its v= is not DKIM1, or not the first tag: receivers leave the record out"
    if tags.get("k", "rsa") != ("rsa" if is_rsa else "ed25519"):
        return f"says k={tags.get('k', 'rsa')[:20]}, and the key we sign with is another kind"
    if "h" in tags and "sha256" not in _listed(tags["h"]):
        return "its h= has no sha256, which we sign with"
    if "s" in tags and not {"*", "email"} & _listed(tags["s"]):
        return "its s= says that the key is not for mail"
    return ""


def _listed(value: str) -> set[str]:
    return {one.strip() for one in value.split(":")}


def _is_aligned(domain: str, other: str, mode: str, resolver: dns.resolver.Resolver) -> bool:
    """RFC 9989 §4.4: strict is the same domain, relaxed the same organisational domain."""
    if domain.lower() == other.lower():
        return True
    return mode != "s" and _organisation(domain, resolver) == _organisation(other, resolver)


def _organisation(domain: str, resolver: dns.resolver.Resolver) -> str:
    """Return the organisational domain by the tree walk of RFC 9989 §4.10.

    Not where the policy is found: a subdomain with a record of its own still belongs to the domain above it.
    """
    labels = domain.lower().rstrip(".").split(".")
    found = labels
    for length in (len(labels), *range(min(len(labels) - 1, _WALK), 0, -1)):
        here = labels[len(labels) - length :]
        records = [_tags(one) for one in _texts("_dmarc." + ".".join(here), resolver) if _is_dmarc(one)]
        if len(records) != 1:
            continue
        if records[0].get("psd") == "y" and length < len(labels):
            return ".".join(labels[len(labels) - length - 1 :])
        found = here
        if records[0].get("psd") == "n":
            break
    return ".".join(found)


def _is_dmarc(record: str) -> bool:
    name, _, value = record.partition(";")[0].partition("=")
    return (name.strip(), value.strip()) == ("v", "DMARC1")


def _tags(record: str) -> dict[str, str]:
    parts = (one.partition("=") for one in record.split(";"))
    return {name.strip(): value.strip() for name, mark, value in parts if mark}


def _texts(name: str, resolver: dns.resolver.Resolver) -> list[str]:
    return [b"".join(one.strings).decode("latin-1") for one in _answers(name, "TXT", resolver)]


def _addresses(
    host: str, resolver: dns.resolver.Resolver
) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = [*_answers(host, "A", resolver), *_answers(host, "AAAA", resolver)]
    return {ipaddress.ip_address(one.address) for one in found}


def _answers(name: str, kind: str, resolver: dns.resolver.Resolver) -> list[Any]:
    try:
        return list(resolver.resolve(name, kind))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise NoAnswer from error


def _is_silent(found: Mapping[str, Any]) -> bool:
    """Tell whether checkdmarc's error is that nobody answered; it has no code for that."""
    return "timed out" in str(found["error"]) or "All nameservers failed" in str(found["error"])


def _unanswered(name: str) -> Check:
    return Check(
        name=name, state=State.WARN, detail="no DNS server answered", mend="look at this machine's resolver"
    )
