"""``notifier alert``: what fires, and who has it in hand."""

from collections.abc import Callable
from uuid import UUID

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_fields, show_json, show_lines, show_table
from notifier.pipeline.alerting.acknowledge import Acked
from notifier.reports.alerts import AlertDetails, AlertEntry, is_alert, is_group, list_alerts, show_alert
from notifier.reports.naming import NotFound
from notifier.store.database import Connection

_OPEN = ("firing", "acknowledged")
_STATUSES = (*_OPEN, "resolved")
_COLUMNS = (
    Column("id", 36, is_whole=True),
    Column("status", 12),
    Column("severity", 8),
    Column("rule", 12),
    Column("subject", 12),
    Column("since (UTC)", 14, is_optional=True),
    Column("taken by", 10, is_optional=True),
    Column("muted by", 10, is_optional=True),
)


@click.group()
def alert() -> None:
    """See what fires, take charge of it, give it back."""


@alert.command("list")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only these.")
@click.option("--all", "is_all", is_flag=True, help="Also what is over.")
@click.option("--rule", help="Only this rule's.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@tenant_option
@json_option
def list_(
    *, statuses: tuple[str, ...], is_all: bool, rule: str | None, limit: int, tenant: str, is_json: bool
) -> None:
    """List what fires, the most severe first."""
    wanted = statuses or (_STATUSES if is_all else _OPEN)
    with opened() as services, services.database.connection() as connection:
        found = list_alerts(connection, services.keyring, tenant, statuses=wanted, rule=rule, limit=limit + 1)
    page = found[:limit]
    if is_json:
        show_lines(page)
        return
    show_table(_COLUMNS, [_row(one) for one in page], empty="nothing fires")
    if len(found) > limit:
        say(f"\nthere are more: notifier alert list --limit {limit * 2}")


@alert.command()
@click.argument("id_", metavar="ID", type=click.UUID)
@json_option
def show(*, id_: UUID, is_json: bool) -> None:
    """Show all that is known of an alert."""
    with opened() as services, services.database.connection() as connection:
        found = show_alert(connection, services.keyring, id_)
    show_json(found) if is_json else _show(found)


@alert.command()
@click.argument("ids", metavar="ID...", type=click.UUID, nargs=-1, required=True)
@click.option("--by", help="Who takes charge; you, unless given.")
@json_option
def ack(*, ids: tuple[UUID, ...], by: str | None, is_json: bool) -> None:
    """Take charge of alerts, or of all in a group: reminders and the escalation stop."""
    with opened() as services:
        service, at, name = services.acknowledger, services.clock.now(), by or who()
        done = _each(
            services, ids, lambda one: service.alert(one, name, at), lambda one: service.group(one, name, at)
        )
    _report(done, "taken by " + name, "somebody took charge before", is_json=is_json)


@alert.command()
@click.argument("ids", metavar="ID...", type=click.UUID, nargs=-1, required=True)
@json_option
def unack(*, ids: tuple[UUID, ...], is_json: bool) -> None:
    """Give alerts back, or all in a group: they are told of again."""
    with opened() as services:
        service = services.acknowledger
        done = _each(services, ids, service.unacknowledge, service.unacknowledge_group)
    _report(done, "given back", "nobody had charge", is_json=is_json)


def _each(
    services: Services,
    ids: tuple[UUID, ...],
    of_alert: Callable[[UUID], Acked],
    of_group: Callable[[UUID], Acked],
) -> dict[UUID, Acked]:
    with services.database.connection() as connection:
        kinds = {one: _kind(connection, one, of_alert, of_group) for one in ids}
    return {one: act(one) for one, act in kinds.items()}


def _kind(
    connection: Connection,
    id_: UUID,
    of_alert: Callable[[UUID], Acked],
    of_group: Callable[[UUID], Acked],
) -> Callable[[UUID], Acked]:
    if is_alert(connection, id_):
        return of_alert
    if is_group(connection, id_):
        return of_group
    raise NotFound(f"neither an alert nor a group has the id {id_}; a group goes when all in it is over")


def _report(done: dict[UUID, Acked], did: str, before: str, *, is_json: bool) -> None:
    if is_json:
        show_json(
            [
                {"id": id_, "changed": one.count, "already": one.already, "is_over": one.is_over}
                for id_, one in done.items()
            ]
        )
    else:
        for id_, one in done.items():
            say(f"{id_}: {_words(one, did, before)}")
    if any(not one.count for one in done.values()):
        click.get_current_context().exit(FINDING)


def _words(one: Acked, did: str, before: str) -> str:
    if one.is_over:
        return "does not fire"
    if not one.count:
        return before
    alerts = "1 alert" if one.count == 1 else f"{one.count} alerts"
    return f"{alerts} {did}" + (f"; {one.already} before" if one.already else "")


def _row(one: AlertEntry) -> tuple[object, ...]:
    since = f"{one.started_at:%m-%d %H:%M:%S}" if one.started_at is not None else None
    return (
        one.id, one.status, one.severity, one.rule, one.subject, since, one.acknowledged_by, one.muted_by,
    )  # fmt: skip


def _show(found: AlertDetails) -> None:
    one = found.entry
    show_fields(
        {
            "alert": one.id,
            "status": one.status,
            "severity": one.severity,
            "rule": one.rule,
            "subject": one.subject,
            "tenant": found.tenant,
            "labels": found.labels,
            "began": one.started_at,
            "ended": one.ended_at,
            "heard of": found.heard_at,
            "over unless heard of by": found.expires_at,
            "occurrence": found.occurrence,
            "flapping": found.is_flapping or None,
            "taken by": one.acknowledged_by,
            "taken": one.acknowledged_at,
            "muted by": one.muted_by,
            "groups": one.groups,
            "newest event": found.newest_type,
            "data": found.data,
        }
    )
