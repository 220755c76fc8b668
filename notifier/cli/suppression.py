"""``notifier suppression``: whom nothing may be sent to, why, since when; lift it for one or for many."""

import re
from datetime import datetime

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import iso_moment, tenant_option
from notifier.cli.arguments import moment as moment_type
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_fields, show_json, show_lines, show_table
from notifier.cli.suppression_files import check_tenant, export, import_, is_address, mentions_address
from notifier.crypto import blind_index
from notifier.crypto.blind_index import normalise
from notifier.errors import ConfigError
from notifier.logs import get_logger
from notifier.pipeline.sending.lifting import Lifted, Lifter
from notifier.recipients.refusals import category_rules
from notifier.recipients.suppression import ALL, Cause
from notifier.reports.suppressions import SuppressionEntry, list_suppressions
from notifier.reports.timeline import moment
from notifier.store import suppressions
from notifier.store.suppressions import Selection

log = get_logger("cli")

_DIALLED = re.compile(r"[+0-9(][0-9 ()./-]*")
_CAUSES = click.Choice([one.value for one in Cause])
_COLUMNS = (
    Column("hash of the address", 32, is_whole=True), Column("cause", 12, is_whole=True), Column("scope", 8),
    Column("why", 16), Column("since (UTC)", 19, is_whole=True), Column("until (UTC)", 19, is_optional=True),
)  # fmt: skip


@click.group()
def suppression() -> None:
    """Keep whom nothing may be sent to: by a keyed hash, never the address itself."""


suppression.add_command(import_)
suppression.add_command(export)


@suppression.command()
@click.argument("address")
@click.option("--reason", default="asked for by a person", show_default=True)
@click.option(
    "--scope", default="*", show_default=True, metavar="CATEGORY", help="Only this category; * = all."
)
@click.option("--until", metavar="TIME", help="Until then, as an ISO 8601 time; for good otherwise.")
@click.option("--note", help="For whoever looks at it later; no address.")
@tenant_option
@json_option
def add(
    *, address: str, reason: str, scope: str, until: str | None, note: str | None, tenant: str, is_json: bool
) -> None:
    """Send nothing more to an address; what workers have at hand for it is taken back too."""
    end = iso_moment(until, "--until") if until else None
    for field, text in (("--reason", reason), ("--note", note or "")):
        if mentions_address(text):
            raise ConfigError(
                "holds an address, which would be kept in plain text", field=field, mend="leave it out"
            )
    with opened() as services:
        if end is not None and end <= services.clock.now():
            raise ConfigError("is over: nothing would be kept back", field="--until", mend="a time to come")
        check_tenant(services, tenant)
        check_scope(services, scope)
        _check_address(address)
        stops_anything = scope == ALL or category_rules(services.catalog)[scope].is_refusable
        index = blind_index(services.keyring.index_key, tenant, address)
        services.database.retrying(
            lambda connection: suppressions.suppress(
                connection, tenant, index, reason, scope=scope, until=end, note=note
            )
        )
        suppressions.revoke(services.database, [(tenant, index)])
    log.info("suppression.added", address_hash=index.hex(), scope=scope, by=who())
    done = {"did": "suppressed", "address_hash": index.hex(), "scope": scope}
    show_json(done) if is_json else say("suppressed")
    if not stops_anything:
        say(
            f"nothing of {scope} may be refused: it goes out all the same; --scope '*' stops all",
            is_error=True,
        )


@suppression.command("list")
@click.argument("address", required=False)
@click.option("--cause", type=_CAUSES, help="Only for this cause.")
@click.option("--since", type=moment_type, metavar="2h|TIME", help="Made since then.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@tenant_option
@json_option
def list_(
    *, address: str | None, cause: str | None, since: datetime | None, limit: int, tenant: str, is_json: bool
) -> None:
    """List what is suppressed, newest first, or one address's entries."""
    with opened() as services, services.database.connection() as connection:
        index = blind_index(services.keyring.index_key, tenant, address) if address else None
        entries = list_suppressions(
            connection, tenant, address_index=index, cause=cause, since=since, limit=limit
        )
    if is_json:
        show_lines(entries)
        return
    rows = [(one.address_hash, one.cause, one.scope, one.reason, one.since, one.until) for one in entries]
    show_table(_COLUMNS, rows, empty="nothing is suppressed")


@suppression.command()
@click.argument("address")
@tenant_option
@json_option
def show(*, address: str, tenant: str, is_json: bool) -> None:
    """Say why nothing is sent to an address, since when, and what to do."""
    with opened() as services, services.database.connection() as connection:
        index = blind_index(services.keyring.index_key, tenant, address)
        entries = list_suppressions(connection, tenant, address_index=index, limit=100)
    if is_json:
        show_json({"address_hash": index.hex(), "entries": entries})
    elif not entries:
        say("not suppressed")
    for entry in () if is_json else entries:
        _show(entry)
    if not entries:
        click.get_current_context().exit(FINDING)


@suppression.command()
@click.argument("address", required=False)
@click.option("--cause", type=_CAUSES, help="Entries of this cause.")
@click.option("--scope", metavar="CATEGORY", help="Entries of this scope; * = those for all categories.")
@click.option("--since", type=moment_type, metavar="2h|TIME", help="Entries made since then.")
@click.option("--before", type=moment_type, metavar="2h|TIME", help="Entries made before then.")
@click.option("--all", "is_all", is_flag=True, help="Every entry of the tenant.")
@click.option("--retry", is_flag=True, help="Queue what was held back, as long as it is of use.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@tenant_option
@json_option
def remove(
    *, address: str | None, cause: str | None, scope: str | None, since: datetime | None,
    before: datetime | None, is_all: bool, retry: bool, dry_run: bool, tenant: str, is_json: bool,
) -> None:  # fmt: skip
    """Allow sending again: to one address, or to all whose entries match.

    The list knows no addresses, so it cannot choose by domain: choose by cause and time, such as the hour in which a
    provider bounced everything by mistake.
    """
    if address is None and not (cause or scope or since or before or is_all):
        raise ConfigError(
            "nothing is chosen", field="ADDRESS", mend="an address, --cause, --since … or --all"
        )
    with opened() as services:
        index = blind_index(services.keyring.index_key, tenant, address) if address else None
        chosen = Selection(
            address_index=index,
            cause=Cause(cause) if cause else None,
            scope=scope,
            since=since,
            before=before,
        )
        if dry_run:
            with services.database.connection() as connection:
                count = suppressions.count_chosen(connection, tenant, chosen)
            done = Lifted(entries=count, addresses=0, queued=0)
        else:
            lifter = Lifter(
                database=services.database,
                composer=services.composer,
                flows=services.flows,
                clock=services.clock,
            )
            done = lifter.lift(tenant, chosen, is_retried=retry, by=who())
    _say_lifted(done, is_json=is_json, is_dry=dry_run)
    if done.held and not is_json:
        mend = "suppression remove ADDRESS --retry" if address else "resend ID"
        say(f"{done.held} messages had been held back, and were not queued: notifier {mend}", is_error=True)
    if not done.entries and not done.queued:
        click.get_current_context().exit(FINDING)


def _check_address(address: str) -> None:
    """Refuse what would keep nothing back; what is neither mail nor number may be the name of an endpoint.

    Raises:
        ConfigError: it is neither an address nor a number, and was meant to be one.
    """
    if "@" in address and not is_address(address):
        raise ConfigError("is no address", field="ADDRESS", mend="one address, without a name or brackets")
    if _DIALLED.fullmatch(address) and not is_address(normalise(address)):
        raise ConfigError("is no number in E.164", field="ADDRESS", mend="such as +491701234567")


def check_scope(services: Services, scope: str) -> None:
    """Refuse a scope that is no category.

    Raises:
        ConfigError: it is none.
    """
    if scope != ALL and scope not in {entry.category for entry in services.catalog}:
        raise ConfigError(f"{scope!r} is no category of the catalogue", field="--scope")


def _say_lifted(done: Lifted, *, is_json: bool, is_dry: bool) -> None:
    if is_json:
        show_json(
            {
                "entries": done.entries,
                "addresses": done.addresses,
                "queued": done.queued,
                "held": done.held,
                "dry_run": is_dry,
            }
        )
        return
    if is_dry:
        say(f"{_entries(done.entries)} would be removed")
        return
    say(
        f"removed {_entries(done.entries)} of {done.addresses} {'address' if done.addresses == 1 else 'addresses'}"
        if done.entries
        else "was not suppressed"
    )
    if done.queued:
        say(f"queued {done.queued} messages that had been held back")


def _entries(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"


_MENDS = {
    Cause.HARD_BOUNCE: "the mailbox does not exist: ask for another address; remove it if it was made since",
    Cause.SOFT_BOUNCES: "it passes by itself; a full mailbox must be emptied first",
    Cause.COMPLAINT: "leave it, unless the person asks for mail again; transactional mail still goes out",
    Cause.UNSUBSCRIBE: "leave it: the person must ask for it again",
    Cause.STOP: "leave it: the person lifts it by answering START",
    Cause.MANUAL: "ask whoever added it",
    Cause.IMPORT: "ask whoever imported it",
}


def _show(entry: SuppressionEntry) -> None:
    say(f"{entry.cause}: {entry.reason}")
    show_fields(
        {
            "scope": "everything" if entry.scope == "*" else f"the category {entry.scope}",
            "since": moment(entry.since),
            "until": moment(entry.until) if entry.until else "for good",
            "message": f"{entry.message_id}; see: notifier show" if entry.message_id else None,
            "note": entry.note,
            "what to do": _MENDS[Cause(entry.cause)],
        }
    )
