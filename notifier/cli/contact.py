"""``notifier contact``: the address book, sealed under each person's key."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import orjson

from notifier.bootstrap import Services
from notifier.cli.arguments import tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, say, show_fields, show_json, show_lines, show_table
from notifier.cli.wish_options import OPTIONS, checked, form_of, lines_of
from notifier.crypto import blind_index
from notifier.decisions import Contact
from notifier.errors import ConfigError
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.mime import HeaderError, validate_address
from notifier.recipients.hygiene import duplicates
from notifier.reports.naming import NotFound
from notifier.reports.people import ContactEntry, contact_entry, find_contact, list_contacts
from notifier.store.contacts import save_contact
from notifier.store.tenants import known_tenants

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PAGE = 1000
_CHANNELS = [one.value for one in ChannelName]
_EMPTY: Mapping[str, object] = {"channels": (), "opt_outs": frozenset()}
_WISHES = [option.removeprefix("--") for option in OPTIONS.values()]
_FIELDS = ("email", "phone", "name", "locale", "zone", "channels", "opt-outs")


@click.group()
def contact() -> None:
    """Keep the address book: whom rules know by a reference."""


@contact.command("set")
@click.argument("reference", metavar="REF")
@click.option("--email")
@click.option("--phone", help="With the country code: +4930123456.")
@click.option("--name")
@click.option("--locale", help="Such as de or de-AT.")
@click.option("--zone", help="Such as Europe/Berlin.")
@click.option(
    "--channel", "channels", multiple=True, type=click.Choice(_CHANNELS), help="Preferred, in order."
)
@click.option("--opt-out", "opt_outs", multiple=True, metavar="CATEGORY[:CHANNEL]", help="Not wanted.")
@click.option("--clear", multiple=True, type=click.Choice(_FIELDS), help="Forget this field.")
@tenant_option
@json_option
def set_(*, reference: str, clear: tuple[str, ...], tenant: str, is_json: bool, **given: Any) -> None:
    """Add a contact, or change the given fields of one."""
    cleared = {name.replace("-", "_") for name in clear}
    changes = {name: value for name, value in given.items() if value not in (None, ())}
    if "opt_outs" in changes:
        changes["opt_outs"] = frozenset(changes["opt_outs"])
    if "channels" in changes:
        changes["channels"] = tuple(map(ChannelName, changes["channels"]))
    changes |= {name: _EMPTY.get(name) for name in cleared}
    with opened() as services:
        _check(services, changes)
        saved = _save(services, tenant, reference, changes)
    entry = contact_entry(saved)
    show_json(entry) if is_json else _show(entry)


@contact.command()
@click.argument("reference", metavar="REF")
@click.option("--quiet", multiple=True, metavar="'[DAYS] 22:00-07:00'", help="Quiet hours, in their zone.")
@click.option(
    "--min-severity", "at_least", multiple=True, metavar="[CATEGORY=]LEVEL", help="Least of alerts told."
)
@click.option(
    "--digest", "digests", multiple=True, metavar="[CATEGORY=]1h|first:1h|08:00,17:00|none",
    help="Gathered: over a time, the first at once, until times of day, not at all.",
)  # fmt: skip
@click.option("--opt-in", "opt_ins", multiple=True, metavar="CATEGORY[:CHANNEL]", help="Asked for.")
@click.option("--opt-out", "opt_outs", multiple=True, metavar="CATEGORY[:CHANNEL]", help="Not wanted.")
@click.option("--file", type=click.File("rb"), help="All of it as JSON; - reads standard input.")
@click.option("--clear", multiple=True, type=click.Choice(_WISHES), help="Forget these.")
@tenant_option
@json_option
def wishes(
    *, reference: str, file: BinaryIO | None, clear: tuple[str, ...], tenant: str, is_json: bool, **given: Any
) -> None:
    """Set what a contact wants: quiet hours, least severity, digests, consent.

    Each option given replaces what was set of its kind; --file replaces everything.
    """
    with opened() as services:
        before = _known(services, tenant, reference)
        kept = {name: value for name, value in before.wishes.items() if OPTIONS[name][2:] not in clear}
        form = {**kept, **form_of(given)} if file is None else _document(file)
        categories = [entry.category for entry in services.catalog]
        changes = {"wishes": checked(form, categories, file=file.name if file is not None else None)}
        saved = _save(services, tenant, reference, changes)
    entry = contact_entry(saved)
    show_json(entry) if is_json else _show(entry)


def _document(file: BinaryIO) -> Json:
    try:
        return orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"is not JSON: {error.msg}", file=file.name, line=error.lineno) from None


@contact.command()
@click.argument("reference", metavar="REF")
@tenant_option
@json_option
def show(*, reference: str, tenant: str, is_json: bool) -> None:
    """Show one contact."""
    with opened() as services:
        entry = contact_entry(_known(services, tenant, reference))
    show_json(entry) if is_json else _show(entry)


@contact.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", default="", metavar="REF", help="Go on behind this one.")
@tenant_option
@json_option
def list_(*, limit: int, after: str, tenant: str, is_json: bool) -> None:
    """List contacts by their references."""
    with opened() as services, services.database.connection() as connection:
        found = list_contacts(connection, services.keyring, tenant, limit=limit + 1, after=after)
    page = found[:limit]
    if is_json:
        show_lines(page)
        return
    columns = (
        Column("reference", 10), Column("email", 16), Column("phone", 12), Column("name", 12),
        Column("locale", 6), Column("channels", 10, is_optional=True),
        Column("opted out of", 12, is_optional=True),
    )  # fmt: skip
    rows = [
        (one.reference, one.email, one.phone, one.name, one.locale, one.channels, one.opt_outs)
        for one in page
    ]
    show_table(columns, rows, empty="no contacts")
    if len(found) > limit:
        say(f"\nmore: notifier contact list --tenant {tenant} --limit {limit} --after {page[-1].reference}")


@contact.command("duplicates")
@tenant_option
@json_option
def duplicates_(*, tenant: str, is_json: bool) -> None:
    """List contacts whose addresses are one mailbox, such as a.b@gmail.com and ab@googlemail.com.

    Exit code 1 where there are any. Merges nothing: two people may share a mailbox.
    """
    with opened() as services:
        book = list(_all(services, tenant))
    groups = [[book[at][0] for at in same] for same in duplicates([email for _, email in book]).values()]
    if is_json:
        show_lines([{"references": group} for group in groups])
    else:
        rows = [(", ".join(group),) for group in groups]
        show_table((Column("one mailbox", 20),), rows, empty="no duplicates")
    if groups:
        click.get_current_context().exit(FINDING)


def _all(services: Services, tenant: str) -> Iterator[tuple[str, str]]:
    """Yield (reference, email) of every contact that has one."""
    after = ""
    while True:
        with services.database.connection() as connection:
            page = list_contacts(connection, services.keyring, tenant, limit=_PAGE, after=after)
        yield from ((one.reference, one.email) for one in page if one.email)
        if len(page) < _PAGE:
            return
        after = page[-1].reference


def _known(services: Services, tenant: str, reference: str) -> Contact:
    with services.database.connection() as connection:
        found = find_contact(connection, services.keyring, tenant, reference)
    if found is None:
        raise NotFound(f"there is no contact {reference!r} for tenant {tenant!r}")
    return found


def _save(services: Services, tenant: str, reference: str, changes: Mapping[str, Any]) -> Contact:
    with services.database.connection() as connection:
        if tenant not in known_tenants(connection):
            raise NotFound(f"there is no tenant {tenant!r}; `notifier tenant add` makes one")
        before = find_contact(connection, services.keyring, tenant, reference) or Contact(reference=reference)
    after = replace(before, **changes)
    identity = after.email or after.phone or reference
    key = (tenant, blind_index(services.keyring.index_key, tenant, identity))
    person = services.persons.get([key])[key]
    with services.database.connection() as connection:
        save_contact(connection, services.keyring, tenant, after, person)
    return after


def _check(services: Services, changes: Mapping[str, Any]) -> None:
    if email := changes.get("email"):
        try:
            validate_address(email, "--email")
        except HeaderError as error:
            raise ConfigError(error.problem, field="--email") from None
    if (phone := changes.get("phone")) and not _E164.fullmatch(phone):
        raise ConfigError("must be a number in E.164, such as +4930123456", field="--phone")
    if (locale := changes.get("locale")) and not _LOCALE.fullmatch(locale):
        raise ConfigError("must be a language such as de or de-AT", field="--locale")
    if zone := changes.get("zone"):
        _check_zone(zone)
    categories = {entry.category for entry in services.catalog}
    for opt_out in changes.get("opt_outs", ()):
        category, _, channel = opt_out.partition(":")
        if category not in categories or (channel and channel not in _CHANNELS):
            known = ", ".join(sorted(categories))
            raise ConfigError(f"{opt_out!r} is no category; known: {known}", field="--opt-out")


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError("is no IANA time zone, such as Europe/Berlin", field="--zone") from None


def _show(entry: ContactEntry) -> None:
    fields = {name: getattr(entry, name) for name in ContactEntry.__slots__ if name != "wishes"}
    show_fields({**fields, **lines_of(entry.wishes)})
