"""``notifier consent``: what a person allowed, since when, and the proof of it."""

import click
import orjson

from notifier.bootstrap import Services
from notifier.cli.arguments import iso_moment, tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_json, show_table
from notifier.crypto import DataKey, blind_index
from notifier.errors import CannotUnseal, ConfigError
from notifier.events import Json
from notifier.pipeline.people.preference_pages import PURPOSES
from notifier.reports.naming import NotFound
from notifier.store import choices, consents
from notifier.store.choices import Changed
from notifier.store.persons import Person, is_person
from notifier.store.tenants import known_tenants


@click.group()
def consent() -> None:
    """Record, withdraw and prove what a person allowed."""


@consent.command()
@click.argument("address")
@click.argument("purpose")
@click.option("--how", required=True, help="How it was given: signed form, sign-up page, call.")
@click.option("--where", default="", help="Where the proof lies, such as a document's number.")
@click.option("--wording", default="", help="The words it was asked in, or their version.")
@click.option("--at", metavar="TIME", help="When it was given; now where unset.")
@tenant_option
@json_option
def give(*, address: str, purpose: str, at: str | None, tenant: str, is_json: bool, **proof: str) -> None:
    """Record that a person allowed something: tracking:opens, tracking:clicks, or a category."""
    with opened() as services:
        _check(services, purpose)
        moment = iso_moment(at, "--at") if at else services.clock.now()
        if moment > services.clock.now():
            raise ConfigError("must not be in the future", field="--at")
        person = _person(services, tenant, address, is_new_fine=True)
        with services.database.connection() as connection:
            sealed = person.key.seal(orjson.dumps({**proof, "by": who()}), b"consent")
            is_new = consents.give(connection, tenant, person.id, purpose, proof=sealed, at=moment)
    _report(purpose, "given" if is_new else "stands already", is_json=is_json, is_done=is_new)


@consent.command()
@click.argument("address")
@click.argument("purpose")
@click.option("--how", required=True, help="How it was withdrawn.")
@tenant_option
@json_option
def withdraw(*, address: str, purpose: str, how: str, tenant: str, is_json: bool) -> None:
    """Record that a person allows something no longer; what was tracked by consent stops at once."""
    with opened() as services:
        person = _person(services, tenant, address)
        with services.database.connection() as connection:
            sealed = person.key.seal(orjson.dumps({"how": how, "by": who()}), b"consent")
            is_done = consents.withdraw(
                connection, tenant, person.id, purpose, proof=sealed, at=services.clock.now()
            )
    _report(purpose, "withdrawn" if is_done else "was not given", is_json=is_json, is_done=is_done)


@consent.command()
@click.argument("address")
@tenant_option
@json_option
def show(*, address: str, tenant: str, is_json: bool) -> None:
    """Show all a person ever allowed with its proofs, and what they chose by the links in their mails."""
    with opened() as services:
        person = _person(services, tenant, address)
        with services.database.connection() as connection:
            given = consents.history(connection, tenant, person.id)
            changed = choices.changes_of(connection, tenant, person.id)
    rows: list[dict[str, Json]] = [
        {
            "purpose": one.purpose,
            "given_at": one.given_at,
            "withdrawn_at": one.withdrawn_at,
            "proof": _opened(person.key, one.proof),
            "withdrawal": _opened(person.key, one.withdrawal),
        }
        for one in given
    ]
    if is_json:
        changes = [{name: getattr(one, name) for name in one.__slots__} for one in changed]
        show_json({"consents": rows, "changes": changes})
        return
    columns = (
        Column("purpose", 16, is_whole=True), Column("given", 16), Column("withdrawn", 16), Column("proof", 30),
    )  # fmt: skip
    show_table(
        columns,
        [(one["purpose"], one["given_at"], one["withdrawn_at"], _line(one["proof"])) for one in rows],
        empty="nothing was ever allowed",
    )
    if changed:
        say("")
        _show_changes(changed)


def _show_changes(changed: list[Changed]) -> None:
    columns = (
        Column("changed", 16), Column("how", 12), Column("refused", 16), Column("wanted", 16), Column("set", 12),
    )  # fmt: skip
    rows = []
    for one in changed:
        lists = (", ".join(part) for part in (one.refused, one.wanted, one.fields))
        rows.append((one.at, one.how, *lists))
    show_table(columns, rows, empty="")


def _person(services: Services, tenant: str, address: str, *, is_new_fine: bool = False) -> Person:
    key = (tenant, blind_index(services.keyring.index_key, tenant, address))
    with services.database.connection() as connection:
        if tenant not in known_tenants(connection):
            raise NotFound(f"there is no tenant {tenant!r}; `notifier tenant add` makes one")
        is_known = is_person(connection, key)
    if not is_known and not is_new_fine:
        raise NotFound("nothing is known of this address")
    return services.persons.get([key])[key]


def _check(services: Services, purpose: str) -> None:
    known = [*PURPOSES, *sorted({entry.category for entry in services.catalog})]
    if purpose not in known:
        raise ConfigError(f"{purpose!r} is no purpose; known: {', '.join(known)}", field="PURPOSE")


def _opened(key: DataKey, sealed: bytes | None) -> dict[str, Json] | None:
    if sealed is None:
        return None
    try:
        found: dict[str, Json] = orjson.loads(key.unseal(sealed, b"consent"))
    except CannotUnseal:
        return {"how": "unreadable"}
    return found


def _line(proof: dict[str, Json] | None) -> str:
    return "; ".join(f"{name}: {value}" for name, value in (proof or {}).items() if value)


def _report(purpose: str, did: str, *, is_json: bool, is_done: bool) -> None:
    if is_json:
        show_json({"purpose": purpose, "did": did})
    else:
        say(f"consent to {purpose}: {did}")
    if not is_done:
        click.get_current_context().exit(FINDING)
