"""Ask DNS whether a domain takes mail, once per domain.

The resolver is passed in; RFC 5321 §5.1 says where mail goes, RFC 7505 how a domain refuses it all.
"""

import dns.exception
import dns.resolver

from notifier.recipients.hygiene import LookUp, MailHosts


def looking_up(resolver: dns.resolver.Resolver) -> LookUp:
    """Return a function that asks about a domain in ASCII form, and remembers the answer."""
    known: dict[str, MailHosts] = {}

    def look_up(domain: str) -> MailHosts:
        if domain not in known:
            known[domain] = _ask(domain, resolver)
        return known[domain]

    return look_up


def _ask(domain: str, resolver: dns.resolver.Resolver) -> MailHosts:
    try:
        hosts = [str(one.exchange) for one in resolver.resolve(domain, "MX")]
    except dns.resolver.NXDOMAIN:
        return MailHosts.NONE
    except dns.resolver.NoAnswer:
        hosts = []
    except dns.exception.DNSException:
        return MailHosts.UNKNOWN
    if hosts:
        return MailHosts.NULL if hosts == ["."] else MailHosts.THERE
    # Without MX, the domain's own address takes the mail.
    for kind in ("A", "AAAA"):
        try:
            resolver.resolve(domain, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except dns.exception.DNSException:
            return MailHosts.UNKNOWN
        return MailHosts.THERE
    return MailHosts.NONE
