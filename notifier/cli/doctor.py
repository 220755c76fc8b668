"""``notifier doctor``: check everything around notifier, and say how to mend it."""

from collections.abc import Callable, Iterable, Iterator

import click

from notifier.bootstrap import Services
from notifier.channels.configured import sms_provider, smtp_relay
from notifier.channels.registry import channel_of
from notifier.channels.smtp import SmtpChannel
from notifier.cli.dns import check_names
from notifier.cli.failures import FINDING
from notifier.cli.hosts import silent_hosts
from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, say, show_lines, show_table
from notifier.errors import NotifierError
from notifier.messages import ChannelName
from notifier.pipeline.checks import providers, returns, rules, servers
from notifier.pipeline.checks.verdict import Check, State, fail, said
from notifier.setting_tables import Sms

_NAME_SECONDS = 5.0


@click.command()
@json_option
def doctor(*, is_json: bool) -> None:
    """Check database, keys, Redis, relays, gateway, clock, sweep, queue, rules, reports, DNS names.

    Exit code 1 where a check fails; a warning is none.
    """
    with opened() as services:
        found = list(examine(services))
    if is_json:
        show_lines(found)
    else:
        columns = (
            Column("check", 12),
            Column("", 4, is_whole=True),
            Column("seen", 30),
            Column("to mend it", 24),
        )
        show_table(columns, [(one.name, one.state.value, one.detail, one.mend) for one in found], empty="")
        fails = sum(one.state is State.FAIL for one in found)
        warnings = sum(one.state is State.WARN for one in found)
        say(f"\n{len(found) - fails - warnings} pass, {warnings} warn, {fails} fail")
    if any(one.state is State.FAIL for one in found):
        click.get_current_context().exit(FINDING)


def examine(services: Services) -> Iterator[Check]:
    """Run every check."""
    settings, database = services.settings, services.database
    lost = silent_hosts(settings.database_url.get_secret_value(), _NAME_SECONDS)
    yield from _unless(lost, "database", lambda: servers.check_database(database))
    yield from _unless(lost, "keyring", lambda: [_keyring(services)])
    limit = settings.limits.intake_entries
    lost_redis = silent_hosts(settings.redis_url.get_secret_value(), _NAME_SECONDS)
    yield from _unless(lost_redis, "redis", lambda: servers.check_redis(services.redis))
    yield from _unless(lost_redis, "intake", lambda: [servers.check_intake(services.intake, limit)])
    yield from _unless(lost, "queue", lambda: servers.check_queue(database))
    yield from _unless(lost, "rules", lambda: rules.check_rules(database))
    yield from _providers(services)
    yield from _unless(lost, "reports", lambda: returns.check_returns(database))
    if settings.mail_in.key is not None:
        yield returns.check_listener(settings.mail_in)
        yield from _unless(
            lost, "mail-in key", lambda: [returns.check_key(settings.mail_in, lambda: services.keyring)]
        )
    yield from returns.check_certificate(settings.mail_in, services.clock)
    yield from check_names(settings)
    yield from _safe_mode(services)


def _safe_mode(services: Services) -> Iterator[Check]:
    mode = services.safe_mode
    if mode is not None:
        places = ", ".join(sorted(mode.redirect)) or "nothing"
        detail = f"ON: {len(mode.allow)} addresses or domains are written to; redirected: {places}"
        mend = "take `safe_mode` out of the settings where real people are to be told"
        yield Check(name="safe mode", state=State.WARN, detail=detail, mend=mend)


def _unless(lost: list[str], name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Run a check, unless its driver would wait for a resolver that is silent."""
    if not lost:
        yield from look()
        return
    yield fail(
        name, f"no resolver tells where {', '.join(lost)} is, within {_NAME_SECONDS:g} s",
        "see to this machine's DNS, or configure an IP address",
    )  # fmt: skip


def _keyring(services: Services) -> Check:
    try:
        return servers.check_keyring(services.database, services.master_keys)
    except NotifierError as error:
        return Check(name="keyring", state=State.FAIL, detail=str(error), mend="set NOTIFIER_MASTER_KEY_FILE")


def _providers(services: Services) -> Iterator[Check]:
    settings = services.settings
    yield from _apis(services)
    if not settings.relays and not _has_mail_provider(services):
        yield Check(
            name="relay", state=State.FAIL, detail="none is configured: no mail can leave",
            mend="add `relays: {default: {host: …}}` to notifier.yaml",
        )  # fmt: skip
    for name, relay in settings.relays.items():
        # Not by way of the flows: those need the database, which may be what is ill.
        try:
            channel = SmtpChannel(smtp_relay(name, relay, settings))
        except NotifierError as error:
            mend = "`notifier config check`"
            yield Check(name=f"relay {name}", state=State.FAIL, detail=said(error), mend=mend)
        else:
            yield providers.check_relay(name, relay, channel)
    if settings.sms is not None:
        yield _gateway(settings.sms)


def _apis(services: Services) -> Iterator[Check]:
    """Build each provider, and ask it about our account."""
    try:
        names = list(services.providers)
    except NotifierError as error:
        yield fail("providers", said(error), "`notifier config check`")
        return
    for name in names:
        try:
            services.sender(name)
        except NotifierError as error:
            yield fail(f"provider {name}", said(error), "`notifier config check`")
        else:
            yield providers.check_provider(name, services.providers[name])


def _has_mail_provider(services: Services) -> bool:
    try:
        return any(channel_of(one) is ChannelName.EMAIL for one in services.providers.values())
    except NotifierError:  # told above
        return True


def _gateway(sms: Sms) -> Check:
    try:
        sms_provider(sms)
    except NotifierError as error:
        return fail("sms", said(error), "`notifier config check`")
    return providers.check_sms(sms)
