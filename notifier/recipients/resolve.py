"""Turn the sources of a rule into people, each once, with what the contact table knows of them.

Never checks whether they may be told; reasons name paths and fields, never an address.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from notifier.decisions import Contact, Facts
from notifier.events import Event, Json, Recipient
from notifier.messages import ChannelName
from notifier.recipients.paths import Missing, look_up
from notifier.recipients.sources import ContactSource, DataSource, ListSource, Source

_FIELDS = ("email", "phone", "name", "locale", "zone", "contact")
_PHONE = re.compile(r"\+?[\d\s()/.-]{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A person to be told, why in words, and the contact behind them if one is known."""

    recipient: Recipient
    reason: str
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The people found, and for each source that gave nobody the reason."""

    found: tuple[Found, ...]
    missing: tuple[str, ...]

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Return the people only."""
        return tuple(one.recipient for one in self.found)


def resolve(
    sources: Sequence[Source], event: Event, facts: Facts, named: Sequence[Recipient] | None = None
) -> Resolved:
    """Return everybody the sources name, in their order, each identity once.

    ``named``: whom the event names, where that is known already; stands in for every source but lists.
    """
    found: dict[str, Found] = {}
    missing: list[str] = []
    for source in sources:
        is_known = named is not None and not isinstance(source, ListSource)
        for one in map(_named, named or ()) if is_known else _people(source, event, facts):
            if isinstance(one, Missing):
                missing.append(one.reason)
            else:
                known = _with_contact(one, facts.contacts)
                found.setdefault(identity(known.recipient), known)
    return Resolved(found=tuple(found.values()), missing=tuple(missing))


def references(sources: Sequence[Source], event: Event) -> Iterator[str]:
    """Yield the contact references the sources will ask for; list members are not known here."""
    for recipient in expected(sources, event):
        if recipient.contact:
            yield recipient.contact


def expected(sources: Sequence[Source], event: Event) -> Iterator[Recipient]:
    """Yield the people an event itself names, before anything is known of them; list members are not here."""
    for source in sources:
        if not isinstance(source, ListSource):
            yield from (one.recipient for one in _people(source, event, Facts()) if isinstance(one, Found))


def listed(sources: Sequence[Source], lists: Mapping[str, tuple[Recipient, ...]]) -> Iterator[Recipient]:
    """Yield the members of the lists the sources name."""
    for source in sources:
        if isinstance(source, ListSource):
            yield from lists.get(source.members_of, ())


def addresses(recipient: Recipient) -> tuple[str, ...]:
    """Return the keys a recipient's contact may stand under besides its reference, in their order."""
    return tuple(address.casefold() for address in (recipient.email, recipient.phone) if address)


def identity(recipient: Recipient) -> str:
    """Return what tells two people apart; the same address in other letter case is the same person."""
    return recipient.identity.casefold()


def is_addressed(event: Event, recipient: Recipient) -> bool:
    """Tell whether the event itself names this recipient in ``to``."""
    names = {text.casefold() for one in event.to for text in _names(one) if text}
    return any(text.casefold() in names for text in _names(recipient) if text)


def _names(one: Recipient) -> tuple[str | None, ...]:
    return one.email, one.phone, one.contact, one.endpoint


def _people(source: Source, event: Event, facts: Facts) -> Iterator[Found | Missing]:
    match source:
        case DataSource():
            yield from _from_data(source, event)
        case ListSource():
            yield from _from_list(source.members_of, facts)
        case ContactSource():
            yield _from_reference(source, event)
        case _:
            yield from (Found(recipient=one, reason="addressed by the event") for one in event.to)
            if not event.to:
                yield Missing(reason="the event has no `to`")


def _named(recipient: Recipient) -> Found:
    return Found(recipient=recipient, reason="named by what happened")


def _from_list(name: str, facts: Facts) -> Iterator[Found | Missing]:
    members = facts.lists.get(name, ())
    for member in members:
        yield Found(recipient=replace(member, role=member.role or name), reason=f"on the list {name}")
    if not members:
        yield Missing(reason=f"the list {name} is empty")


def _from_reference(source: ContactSource, event: Event) -> Found | Missing:
    value = look_up(event.data, source.contact)
    if isinstance(value, Missing):
        return value
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        return Missing(reason=f"data.{source.contact} is not a contact reference")
    return Found(recipient=Recipient(contact=str(value)), reason=_derived(source.contact))


def _from_data(source: DataSource, event: Event) -> Iterator[Found | Missing]:
    value = look_up(event.data, source.data)
    where = f"data.{source.data}"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield _person(item, f"{where}[{index}]", source)
        if not value:
            yield Missing(reason=f"{where} is an empty list")
        return
    beside = _beside(source, event.data)
    one = value if isinstance(value, Missing) else _person(value, where, source)
    if isinstance(one, Found):
        yield replace(one, recipient=_filled(one.recipient, beside))
    elif "phone" in beside:
        yield Found(recipient=Recipient(**beside), reason=_derived(source.data))
    else:
        yield one


def _beside(source: DataSource, data: Mapping[str, Json]) -> dict[str, str]:
    values = {field: look_up(data, path) for field, path in source.companions.items()}
    return {field: value for field, value in values.items() if isinstance(value, str) and value}


def _person(value: Json, where: str, source: DataSource) -> Found | Missing:
    if isinstance(value, Mapping):
        fields = {key: item for key in _FIELDS if isinstance(item := value.get(key), str) and item}
        recipient = Recipient(**fields)
        if not recipient.identity:
            return Missing(reason=f"{where} holds no email, phone or contact")
    elif isinstance(value, str) and "@" in value:
        recipient = Recipient(email=value)
    elif isinstance(value, str) and _PHONE.fullmatch(value):
        recipient = Recipient(phone=value)
    else:
        return Missing(reason=f"{where} is neither an email address nor a phone number")
    return Found(recipient=recipient, reason=_derived(source.data))


def _derived(path: str) -> str:
    """Make words of a path: who ``customer.email`` belongs to is the customer."""
    return f"the {path.partition('.')[0].replace('_', ' ')}"


def _with_contact(one: Found, contacts: Mapping[str, Contact]) -> Found:
    if not contacts:
        return one
    keys = (one.recipient.contact or "", *addresses(one.recipient))
    contact = next((contacts[key] for key in keys if key in contacts), None)
    if contact is None:
        return one
    known = {field: getattr(contact, field) for field in ("email", "phone", "name", "locale", "zone")}
    return replace(one, recipient=_filled(one.recipient, known), contact=contact)


def _filled(recipient: Recipient, values: Mapping[str, str | None]) -> Recipient:
    """Complete a recipient; what the event said itself stays."""
    gaps = {field: value for field, value in values.items() if value and getattr(recipient, field) is None}
    return replace(recipient, **gaps)


def address_on(recipient: Recipient, channel: ChannelName) -> str:
    """Return where a recipient is reached on a channel: the portal knows people by identity."""
    if channel is ChannelName.EMAIL:
        return recipient.email or ""
    if channel is ChannelName.SMS:
        return recipient.phone or ""
    if channel in {ChannelName.WEBHOOK, ChannelName.APPRISE}:
        return recipient.endpoint or ""
    return recipient.identity
