"""Find and compare mail addresses in what machines write.

Looser than any RFC on purpose: an address is what a mail system may have called one.
"""

import re

ADDRESS = re.compile(
    r"(?:\"[^\"\s@]{1,64}\"|[^\s<>()\[\]{}\"',;:@\\|`*\u2018-\u201f\u3000-\u303f\uff00-\uff20\uff3b-\uff40\uff5b-\uff65]{1,128})"
    r"@(?:\[[0-9A-Fa-f.:]{3,45}\]|[^\W_](?:[\w-]{0,62})(?:\.[\w-]{1,63}){1,10})"
)
"""An address anywhere in a text; bounded, so that no text takes long."""
_ROLES = frozenset(
    {
        "postmaster", "mailer-daemon", "mailerdaemon", "mailer_daemon", "abuse", "hostmaster", "root", "support",
        "helpdesk", "noreply", "no-reply", "mailadmin", "double-bounce", "mail-daemon",
    }
)  # fmt: skip
_MAIL_SYSTEM = re.compile(
    r"mailer[-_. ]?daemon|mail[-_. ]?daemon|\bmdaemon|post[-_.]?master(?! ?tools)|mail deliver|mail ?system"
    r"|mail (?:administrator|server)|delivery (?:sub)?system|mailsubsystem|system administrator|message delivery"
    r"|mail transfer|\b[mp]mdf\b"
    r"|mail[ _-]?router|bounce(?!handler)|\bmta\b|undeliver|internet mail delivery|microsoft ?exchange"
    r"|e-?mail security"
    r"|syst[eè]me? de messagerie|administrateur syst|systemadministrator|administrador del? sistema"
    r"|sistema de (?:correo|correio|e-?mail)|sistema di posta|почтов\w{2,3} (?:систем|служб|робот)"
    r"|поштов\w{1,3} (?:систем|служб)|メール(?:配信|配送)?(?:システム|サーバ)"
    r"|(?:邮件|邮箱|郵件)(?:系统|系統|服务器|伺服器)|메일 ?(?:시스템|서버)|poštovní (?:systém|server)|system pocztowy"
    r"|e-?postsystem|mailsysteem|posta sistemi|sähköpostijärjestelmä|levelezőrendszer|σύστημα αλληλογραφίας",
    re.IGNORECASE,
)
_LIST_MANAGER = re.compile(
    r"(?:^|<)\s{0,4}(?:owner-[^@\s<>]{1,64}|[^@\s<>]{1,64}-(?:admin|owner|request|bounces)|majordomo|listserv|sympa"
    r"|listmaster|mailman|fml)@",
    re.IGNORECASE,
)
"""Addresses of the programs that run lists (RFC 2142 §6, RFC 2919, and their own customs)."""
_FOREIGN = re.compile(r"^(?:smtp|in|mx|pmdf)%", re.IGNORECASE)
"""What VMS Mail writes before an address of another protocol."""
_HOST = re.compile(r"@[^\s<>\"]{1,255}")
_DAEMON = re.compile(r"mailer[-_. ]?daemon|mail[-_. ]?daemon|microsoftexchange[0-9a-f]{32}@", re.IGNORECASE)


def addresses_in(text: str) -> list[str]:
    """Return the addresses of a text, in order, each once (letter case aside)."""
    if "@" not in text:
        return []
    found = {tidy(match).lower(): tidy(match) for match in reversed(ADDRESS.findall(text))}
    return list(reversed(found.values()))


def address_in(text: str) -> str | None:
    """Return the first address of a text."""
    found = addresses_in(text)
    return found[0] if found else None


def tidy(address: str) -> str:
    """Return an address without what prose puts around it."""
    if address[:2] == "=?":
        return address
    bare = address.strip().strip("<>").rstrip(".-").removeprefix("mailto:").lstrip("=")
    return _FOREIGN.sub("", bare) if "%" in bare else bare


def same(first: str, second: str) -> bool:
    """Say whether two addresses are one: letter case and quotes aside."""
    return plain(first) == plain(second)


def plain(address: str) -> str:
    """Return the form addresses are compared in."""
    return address.replace('"', "").lower()


def without_tag(address: str) -> str:
    """Return the mailbox behind a return path that carries a token (RFC 5233 calls it the detail)."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0] or local}{at}{domain}"


def is_role(address: str) -> bool:
    """Say whether the address is a mail system's own rather than a person's."""
    local = address.partition("@")[0].lower()
    return (
        local in _ROLES
        or local.startswith(("mailer-daemon", "postmaster", "bounce+", "bounces+", "owner-"))
        or local.endswith(("-owner", "-request", "-bounces"))
    )


def is_mail_system(sender: str) -> bool:
    """Say whether a From field is a mail system's."""
    return _MAIL_SYSTEM.search(_HOST.sub("", sender[:500])) is not None


def is_list_manager(sender: str) -> bool:
    """Say whether a From field is that of a program that runs mailing lists."""
    return _LIST_MANAGER.search(sender[:500]) is not None


def is_daemon(sender: str) -> bool:
    """Say whether a From field is one that nobody but a mail system writes, and only on reports."""
    return _DAEMON.search(sender[:500]) is not None
