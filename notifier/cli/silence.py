"""``notifier silence``: what nobody is told of for a while, and who wanted it so."""

import getpass
from datetime import datetime, timedelta
from uuid import UUID

import click

from notifier.cli.arguments import iso_moment, tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, say, show_fields, show_json, show_lines, show_table
from notifier.documents import read_duration
from notifier.errors import ConfigError
from notifier.pipeline.alerting.silencing import NoSuchSilence
from notifier.reports.alerts import SilenceEntry, silence_entry
from notifier.rules.alerting.matchers import Matcher, MatcherError, parse_matchers
from notifier.store.silences import changes_of, list_silences, lock_silence

_STATES = ("pending", "active", "expired")
_COLUMNS = (
    Column("id", 36, is_whole=True),
    Column("state", 7, is_whole=True),
    Column("matchers", 16),
    Column("until (UTC)", 16, is_whole=True),
    Column("by", 8),
    Column("comment", 12, is_optional=True),
)


@click.group()
def silence() -> None:
    """Mute alerts for a while; what is muted still counts, and is listed."""


@silence.command()
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER...")
@click.option("--for", "span", metavar="LENGTH", help="How long, such as 2h.")
@click.option("--until", metavar="TIME", help="Until then, such as 2026-07-01T18:00Z.")
@click.option("--from", "since", metavar="TIME", help="From then on; now, unless given.")
@click.option("--comment", required=True, help="Why.")
@click.option("--by", help="Who silences; you, unless given.")
@tenant_option
@json_option
def add(
    *, matchers: tuple[str, ...], span: str | None, until: str | None, since: str | None, comment: str,
    by: str | None, tenant: str, is_json: bool,
) -> None:  # fmt: skip
    """Mute what all the matchers match, such as host=web-1 'severity!="critical"'."""
    with opened() as services:
        now = services.clock.now()
        starts_at = iso_moment(since, "--from") if since else None
        made = services.silencer.add(
            tenant, (_matchers(matchers),), starts_at=starts_at,
            ends_at=_end(span, until, starts_at or now), by=_me(by), comment=comment,
        )  # fmt: skip
        # Asked anew: the silence began after the first look at the clock.
        entry = silence_entry(made, services.clock.now())
    show_json(entry) if is_json else say(f"{entry.id}: {entry.state} until {made.ends_at:%Y-%m-%d %H:%M:%SZ}")


@silence.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these.")
@click.option("--all", "is_all", is_flag=True, help="Also what ended within 30 days.")
@tenant_option
@json_option
def list_(*, states: tuple[str, ...], is_all: bool, tenant: str, is_json: bool) -> None:
    """List what is silenced now or will be, newest first."""
    wanted = states or (_STATES if is_all else _STATES[:2])
    with opened() as services, services.database.connection() as connection:
        now = services.clock.now()
        since = now - timedelta(days=30) if "expired" in wanted else now
        found = [silence_entry(one, now) for one in list_silences(connection, tenant, since=since)]
    shown = [one for one in found if one.state in wanted]
    if is_json:
        show_lines(shown)
        return
    rows = [
        (one.id, one.state, _text(one), f"{one.ends_at:%Y-%m-%d %H:%M}", one.created_by, one.comment)
        for one in shown
    ]
    show_table(_COLUMNS, rows, empty="nothing is silenced")


@silence.command()
@click.argument("id_", metavar="ID", type=click.UUID)
@tenant_option
@json_option
def show(*, id_: UUID, tenant: str, is_json: bool) -> None:
    """Show a silence and every change of it."""
    with opened() as services, services.database.transaction() as connection:
        found = lock_silence(connection, tenant, id_)
        if found is None:
            raise NoSuchSilence(f"tenant {tenant!r} has no silence {id_}; `notifier silence list` lists them")
        entry = silence_entry(found, services.clock.now())
        changes = changes_of(connection, tenant, id_)
    if is_json:
        history = [{"at": at, "by": by, "what": what} for at, by, what in changes]
        show_json({**_document(entry), "changes": history})
        return
    show_fields({**_document(entry), "matchers": _text(entry)})
    for at, by, what in changes:
        say(f"{at:%Y-%m-%d %H:%M:%S}  {by}: {what}")


@silence.command()
@click.argument("ids", metavar="ID...", type=click.UUID, nargs=-1, required=True)
@click.option("--by", help="Who ends it; you, unless given.")
@tenant_option
@json_option
def expire(*, ids: tuple[UUID, ...], by: str | None, tenant: str, is_json: bool) -> None:
    """End silences now: what they muted and still fires is told."""
    with opened() as services:
        service, now = services.silencer, services.clock.now()
        done = [service.expire(tenant, one, by=_me(by)) for one in ids]
    if is_json:
        show_lines({**_document(silence_entry(one, now)), "was_open": is_new} for one, is_new in done)
    else:
        for one, is_new in done:
            say(f"{one.id}: {'ended' if is_new else 'was over already'}")
    if not all(is_new for _, is_new in done):
        click.get_current_context().exit(FINDING)


@silence.command()
@click.argument("id_", metavar="ID", type=click.UUID)
@click.option("--for", "span", metavar="LENGTH", help="So long from now on.")
@click.option("--until", metavar="TIME", help="Until then.")
@click.option("--comment", help="Why.")
@click.option("--by", help="Who changes it; you, unless given.")
@tenant_option
@json_option
def edit(
    *, id_: UUID, span: str | None, until: str | None, comment: str | None, by: str | None, tenant: str,
    is_json: bool,
) -> None:  # fmt: skip
    """Change when a silence ends, or its comment; what it matches stays: for that, make another."""
    if not (span or until or comment):
        raise click.UsageError("say what to change: --for, --until or --comment")
    with opened() as services:
        now = services.clock.now()
        ends_at = _end(span, until, now) if span or until else None
        changed = services.silencer.edit(tenant, id_, ends_at=ends_at, comment=comment, by=_me(by))
    entry = silence_entry(changed, now)
    show_json(entry) if is_json else say(
        f"{entry.id}: {entry.state} until {changed.ends_at:%Y-%m-%d %H:%M:%SZ}"
    )


def _matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    try:
        return tuple(one for text in texts for one in parse_matchers(text))
    except MatcherError as error:
        raise ConfigError(str(error), field="MATCHER", mend="such as host=web-1") from None


def _end(span: str | None, until: str | None, since: datetime) -> datetime:
    if bool(span) == bool(until):
        raise click.UsageError("say how long: either --for 2h or --until TIME")
    if until:
        return iso_moment(until, "--until")
    try:
        length: timedelta = read_duration(span)
        return since + length
    except (OverflowError, ValueError) as error:
        raise ConfigError(str(error), field="--for", mend="such as 90m, 2h or 3d") from None


def _me(by: str | None) -> str:
    if by:
        return by
    try:
        return getpass.getuser()
    except OSError:  # a container's user without a name
        return "cli"


def _text(entry: SilenceEntry) -> str:
    return " or ".join(", ".join(matchers) for matchers in entry.matchers)


def _document(entry: SilenceEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in SilenceEntry.__slots__}
