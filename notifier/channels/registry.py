"""Which kinds of provider there are, and the providers an operator configured.

To add a kind, write its module and add its line to :data:`KINDS`; opens nothing.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from notifier.channels import apprise, mailgun, postmark, ses, twilio, vonage, webhook
from notifier.channels.base import Channel
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError
from notifier.messages import ChannelName
from notifier.settings import Settings, explained, placed, read_document

KINDS: Mapping[str, Kind] = {
    "apprise": apprise.KIND,
    "mailgun": mailgun.KIND,
    "postmark": postmark.KIND,
    "ses": ses.KIND,
    "twilio": twilio.KIND,
    "vonage": vonage.KIND,
    "webhook": webhook.KIND,
}

RELAY = Capabilities(
    channel=ChannelName.EMAIL,
    receipts=("deferred", "bounced", "complained", "replied"),
    has_raw_mime=True,
    keeps_message_id=True,
    has_attachments=True,
    cannot=(
        "recognise a message it was handed twice",
        "send receipts but by mail, to mail.envelope_sender",
    ),
    documentation=("https://www.rfc-editor.org/rfc/rfc5321", "https://www.rfc-editor.org/rfc/rfc3464"),
)
"""What one can have of an SMTP relay."""

_RESERVED = frozenset({"sms", "portal", "console", "mail", "link", "tracking"})
"""Names of what is always there, and of the sources of reports of our own: bounces by mail, links, pictures."""


def read_providers(settings: Settings) -> dict[str, ProviderSettings]:
    """Return the providers of the settings by name.

    Raises:
        ConfigErrors: every wrong field, with file and line or the variable's name.
    """
    read: dict[str, ProviderSettings] = {}
    errors: list[ConfigError] = []
    for name, entry in settings.providers.items():
        try:
            read[name] = read_provider(settings, name, entry)
        except ConfigErrors as wrong:
            errors += wrong.errors
        except ConfigError as wrong:
            errors.append(wrong)
    if not errors:
        errors += [*_wrong_relays(settings, read), *_wrong_routes(settings, read)]
    if errors:
        raise ConfigErrors(errors)
    return read


def read_provider(settings: Settings, name: str, entry: Mapping[str, Any]) -> ProviderSettings:
    """Return one provider's settings.

    Raises:
        ConfigError: its name is taken or cannot be part of an address, or its kind is unknown.
        ConfigErrors: a field is wrong.
    """
    where = ("providers", name)
    document = read_document(settings.config_path / "notifier.yaml")
    if name in settings.relays or name in _RESERVED:
        raise placed(document, where, f"there is another {name!r} to send with", "give it another name")
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or name != name.lower():
        raise placed(document, where, "a provider's name stands in addresses", "use a-z, 0-9, - and _")
    kind = str(entry.get("kind") or "")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        mend = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(KINDS)}"
        problem = "no such kind of provider" if kind else "'kind' is required"
        raise placed(document, (*where, "kind"), problem, mend)
    try:
        return KINDS[kind].settings.model_validate(dict(entry))
    except ValidationError as error:
        raise explained(document.file, KINDS[kind].settings, error, where) from None


def build(name: str, settings: ProviderSettings, around: Surroundings) -> Channel:
    """Return a provider's channel.

    Raises:
        ConfigError: it could never work.
    """
    return KINDS[settings.kind].build(name, settings, around)


def check_providers(read: Mapping[str, ProviderSettings]) -> None:
    """Check what settings alone do not show, on the machine they are for.

    Raises:
        ConfigErrors: every provider that could not send from here.
    """
    errors: list[ConfigError] = []
    for name, settings in read.items():
        check = KINDS[settings.kind].check
        try:
            if check is not None:
                check(name, settings)
        except ConfigError as wrong:
            errors.append(wrong)
    if errors:
        raise ConfigErrors(errors)


def channel_of(settings: ProviderSettings) -> ChannelName:
    """Return which channel a provider serves."""
    return KINDS[settings.kind].capabilities.channel


def _wrong_relays(settings: Settings, read: Mapping[str, ProviderSettings]) -> Iterator[ConfigError]:
    """Find relays of mail that are providers of something else, or nothing at all."""
    mail = [name for name, one in read.items() if channel_of(one) is ChannelName.EMAIL]
    for field in ("relay", "urgent_relay"):
        name = getattr(settings, field)
        is_other = name in read and name not in mail
        is_nothing = name is not None and bool(mail) and name not in {*mail, *settings.relays}
        if is_other or is_nothing:
            document = read_document(settings.config_path / "notifier.yaml")
            problem = f"{name!r} takes no mail" if is_other else f"no relay or provider {name!r} takes mail"
            yield placed(document, (field,), problem, f"one of {', '.join([*settings.relays, *mail])}")


def _wrong_routes(settings: Settings, read: Mapping[str, ProviderSettings]) -> Iterator[ConfigError]:
    """Find routes of a channel to what sends another: their messages would wait there for ever."""
    sends = dict.fromkeys(settings.relays, ChannelName.EMAIL) | {"sms": ChannelName.SMS}
    sends |= {name: channel_of(one) for name, one in read.items()}
    for number, route in enumerate(settings.routes):
        for field in ("use", "failover"):
            for name in getattr(route, field):
                if sends.get(name, route.channel) is not route.channel:
                    document = read_document(settings.config_path / "notifier.yaml")
                    problem = f"{name!r} sends {sends[name].value}, the route is for {route.channel.value}"
                    fitting = [other for other, channel in sends.items() if channel is route.channel]
                    where: tuple[str | int, ...] = ("routes", number, field)
                    yield placed(document, where, problem, f"one of {', '.join(fitting)}")
