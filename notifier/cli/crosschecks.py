"""Find what settings, event types and rules say of each other that cannot work, each right in itself.

Compares values that were read already; opens nothing.
"""

from collections.abc import Iterable, Iterator

from notifier.catalog import Catalog, EventType
from notifier.channels.provider import is_private_to_us
from notifier.channels.registry import KINDS
from notifier.cli.findings import Finding, finding_of
from notifier.cli.places import Places
from notifier.documents import Document
from notifier.events import DEFAULT_TENANT, Urgency
from notifier.messages import ChannelName, MessageClass
from notifier.rules.ruleset import Rule, RuleSet, Schedule
from notifier.settings import Settings, placed

# Ours, for digests: no entry of ``lookups`` is needed for it.
_OWN_SOURCE = "notifier"
_LISTED = frozenset({MessageClass.SUBSCRIPTION, MessageClass.MARKETING})
_SECTIONS = {ChannelName.EMAIL: "relays", ChannelName.SMS: "sms"}
_ALWAYS_SERVED = frozenset({ChannelName.PORTAL, ChannelName.CONSOLE})


def unknown_sources(catalog: Catalog, settings: Settings, places: Places) -> Iterator[Finding]:
    """Find look-ups in sources that nobody configured."""
    for entry in catalog:
        for name, lookup in entry.lookup.items():
            if lookup.source in settings.lookups or lookup.source == _OWN_SOURCE:
                continue
            place = places.of_type(entry.type).at("lookup", name, "source")
            problem = f"{entry.type} looks {name} up in {lookup.source!r}, and there is no such source"
            yield finding_of(place.error(problem, f"add lookups.{lookup.source} to notifier.yaml"))


def unencrypted(catalog: Catalog, rules: RuleSet, settings: Settings, places: Places) -> Iterator[Finding]:
    """Find types that must travel encrypted and whose mails would go over a relay without TLS.

    Only a warning where that takes an event which names its urgency itself.
    """
    for entry in catalog:
        if not entry.is_tls_required:
            continue
        mailed = [rule for rule in _telling(rules.rules_for(entry.type)) if ChannelName.EMAIL in _plan(rule)]
        usual = {
            relay for rule in mailed for relay in _relays(settings, rule.telling.urgency or entry.urgency)
        }
        # Without an urgency of the rule's own, an event may say any.
        other = {
            relay for rule in mailed if not rule.telling.urgency
            for one in Urgency for relay in _relays(settings, one)
        }  # fmt: skip
        for name in sorted(usual | other):
            if not _has_tls(settings, name):
                yield _unencrypted(entry, name, settings, places, is_usual=name in usual)


def unsendable(rules: RuleSet, settings: Settings, places: Places) -> Iterator[Finding]:
    """Find rules with channels that nothing configured can send: an error where the plan has no other."""
    # Relay and gateway often come from the environment alone: without either, only what no relay mends counts.
    is_bare = not settings.relays and settings.sms is None and not settings.providers
    served = _ALWAYS_SERVED | ({ChannelName.EMAIL} if settings.relays or is_bare else set())
    served |= {ChannelName.SMS} if settings.sms is not None else set()
    # A kind that is not known is told elsewhere.
    kinds = (KINDS.get(str(one.get("kind"))) for one in settings.providers.values())
    served |= {kind.capabilities.channel for kind in kinds if kind is not None}
    found: dict[Finding, None] = {}
    for rule in _telling(rules):
        left = [one.value for one in _plan(rule) if one in served]
        if is_bare and left:
            continue
        for channel in _plan(rule):
            if channel not in served:
                # The stages of a journey share its defaults, and so one finding.
                found[_unsendable(rule, channel, left, places)] = None
    yield from found


def unlinked(catalog: Catalog, settings: Settings, places: Places) -> Iterator[Finding]:
    """Find types whose mails must offer one click to unsubscribe, where no link can be made (RFC 8058).

    Mailbox providers ask for it of subscription and marketing mail
    (https://support.google.com/a/answer/81126), and over HTTPS only.
    """
    if settings.public_url is not None and settings.public_url.startswith("https://"):
        return
    why = "public_url is not set" if settings.public_url is None else "public_url is not https"
    for entry in catalog:
        if entry.message_class not in _LISTED or not entry.is_refusable:
            continue
        problem = (
            f"mails of {entry.type}, class {entry.message_class.value}, offer no one-click unsubscribe: {why}"
        )
        place = places.of_type(entry.type).at("class")
        yield finding_of(place.error(problem, "set public_url: https://… in notifier.yaml"), "warning")


def untold(settings: Settings, document: Document) -> Iterator[Finding]:
    """Find tenants that want opens or clicks told where nothing could tell of them."""
    for tenant, one in settings.tracking.items():
        if not (one.opens or one.clicks):
            continue
        if settings.public_url is None:
            problem, mend = "nothing is tracked: public_url is not set", "set public_url: https://…"
            yield finding_of(placed(document, ("tracking", tenant), problem, mend), "warning")
        if MessageClass.TRANSACTIONAL in one.classes:
            problem = "transactional mails are never tracked: their readers cannot refuse them"
            place = placed(document, ("tracking", tenant, "classes"), problem, "take the class out")
            yield finding_of(place, "warning")


def diverted(settings: Settings, document: Document) -> Iterator[Finding]:
    """Say that safe mode is on: right for staging, and a silent catastrophe anywhere else."""
    if settings.safe_mode is not None:
        problem = "safe mode is on: only whom it names is written to"
        mend = "take safe_mode out where real people are to be told"
        yield finding_of(placed(document, ("safe_mode",), problem, mend), "warning")


def foreign_schedules(rules: RuleSet) -> list[Schedule]:
    """Return the schedules whose tenant only the database knows: the default one is there from the start."""
    return [one for one in rules.schedules if one.is_enabled and one.tenant != DEFAULT_TENANT]


def unknown_tenants(
    schedules: Iterable[Schedule], known: frozenset[str], places: Places
) -> Iterator[Finding]:
    """Find schedules for tenants that are not in the database."""
    for one in schedules:
        if one.tenant not in known:
            place = places.of_schedule(one.name).at("tenant")
            mend = f"correct it, or: notifier tenant add {one.tenant}"
            yield finding_of(place.error(f"there is no tenant {one.tenant!r}: its events are refused", mend))


def unchecked_tenants(schedules: Iterable[Schedule], why: str, places: Places) -> Iterator[Finding]:
    """Say of which schedules nobody could tell whether their tenants are known."""
    for one in schedules:
        place = places.of_schedule(one.name).at("tenant")
        mend = "check again where NOTIFIER_DATABASE_URL leads to the database"
        problem = f"not checked whether there is a tenant {one.tenant!r}: {why}"
        yield finding_of(place.error(problem, mend), "warning")


def _telling(rules: Iterable[Rule]) -> Iterator[Rule]:
    return (rule for rule in rules if rule.is_enabled and rule.telling.sources)


def _plan(rule: Rule) -> list[ChannelName]:
    return [step.channel for step in rule.telling.steps]


def _relays(settings: Settings, urgency: Urgency) -> set[str]:
    """Return who may get a mail of the urgency, of whichever tenant: up to a route that is for all of them."""
    found: set[str] = set()
    for route in settings.routes:
        if route.channel is ChannelName.EMAIL and (not route.urgency or urgency in route.urgency):
            found |= {*route.use, *route.failover}
            if not route.tenants:
                return found
    usual = settings.urgent_relay or settings.relay if urgency is Urgency.URGENT else settings.relay
    return found | {usual}


def _has_tls(settings: Settings, relay: str) -> bool:
    if relay in settings.relays:
        return settings.relays[relay].security != "none"
    # Only a stand-in that is allowed it is spoken to in the clear.
    provider = settings.providers.get(relay, {})
    return not provider.get("plain_http_allowed") or is_private_to_us(str(provider.get("base_url")))


def _unencrypted(
    entry: EventType, relay: str, settings: Settings, places: Places, *, is_usual: bool
) -> Finding:
    whose = "its mails go" if is_usual else "the mails of events that name their urgency may go"
    problem = f"{entry.type} must travel encrypted, {whose} over {relay!r} without TLS: the gate refuses them"
    place = places.of_type(entry.type).at("tls_required")
    is_relay = relay in settings.relays
    mend = f"set relays.{relay}.security to starttls or implicit in notifier.yaml"
    mend = mend if is_relay else f"give providers.{relay}.base_url https in notifier.yaml"
    secure = sorted(name for name, one in settings.relays.items() if one.security != "none")
    if secure:
        mend += f", or let relay or urgent_relay name one that has it: {', '.join(secure)}"
    return finding_of(place.error(problem, mend), "error" if is_usual else "warning")


def _unsendable(rule: Rule, channel: ChannelName, left: list[str], places: Places) -> Finding:
    place = places.of_channels(rule)
    section = _SECTIONS.get(channel, "providers")
    then = f"the plan's rest is {', '.join(left)}" if left else "the plan has no other"
    problem = f"nothing is configured that sends {channel.value}: {then}"
    mend = f"add `{section}:` to notifier.yaml, or take {channel.value} out of the rule"
    return finding_of(place.error(problem, mend), "warning" if left else "error")
