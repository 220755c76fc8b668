"""``notifier provider``: who can send for us and what they cannot do, and one message to try it.

The try goes past queue, log and database: what it shows is the provider's answer and nothing else.
"""

import time
from collections.abc import Mapping
from datetime import timedelta

import click

from notifier.bootstrap import Services
from notifier.channels.base import Channel
from notifier.channels.provider import Capabilities
from notifier.channels.registry import KINDS, RELAY
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened
from notifier.cli.output import Column, cell, json_option, say, show_fields, show_json, show_lines, show_table
from notifier.errors import ConfigError, OutcomeUnknown, PermanentFailure, SendError, TemporaryFailure
from notifier.events import Json
from notifier.ids import uuid7
from notifier.messages import Accepted, ChannelName, Outgoing, Rendered

_OUTCOMES: Mapping[type, str] = {
    Accepted: "accepted",
    TemporaryFailure: "temporary failure",
    PermanentFailure: "permanent failure",
    OutcomeUnknown: "unknown",
}
_SUBJECT = "A test of notifier"


@click.group()
def provider() -> None:
    """See who sends for us, and try them."""


@provider.command("list")
@click.option("--kinds", is_flag=True, help="Show the kinds there are, not what is configured.")
@json_option
def list_(*, kinds: bool, is_json: bool) -> None:
    """List relays, gateway and providers, with what each can and cannot do."""
    with opened() as services:
        found = (
            {kind: (kind, one.capabilities) for kind, one in KINDS.items()} if kinds else _senders(services)
        )
    rows = [_row(name, kind, capabilities) for name, (kind, capabilities) in found.items()]
    if is_json:
        show_lines(rows)
        return
    columns = (
        Column("name", 10, is_whole=True), Column("kind", 8, is_whole=True), Column("channel", 7),
        Column("receipts", 20), Column("once", 4), Column("MIME", 4), Column("files", 5),
        Column("cannot", 30, is_optional=True),
    )  # fmt: skip
    shown = [
        (
            row["name"], row["kind"], row["channel"], row["receipts"] or "none", row["has_idempotency_key"],
            "ours" if row["has_raw_mime"] else "", row["has_attachments"], "; ".join(row["cannot"]),
        )
        for row in rows
    ]  # fmt: skip
    show_table(columns, shown, empty="nothing is configured that sends: see docs/how-to/channels.md")


@provider.command()
@click.argument("name")
@click.option("--to", required=True, metavar="ADDRESS", help="Address, number, or the name of an endpoint.")
@click.option("--text", default="It works.", show_default=True, help="What the message says.")
@json_option
def test(*, name: str, to: str, text: str, is_json: bool) -> None:
    """Send one message at once, and show what the provider said and which receipts to expect.

    It is not queued, logged or retried, and suppression is not asked; safe mode is. Exit code 1 where it was not
    accepted.
    """
    with opened() as services:
        found = _senders(services)
        if name not in found:
            raise ConfigError(
                f"no provider {name!r}", field="NAME", mend=f"one of {', '.join(found) or 'none'}"
            )
        kind, capabilities = found[name]
        _ask_safe_mode(services, capabilities.channel, to)
        channel = services.sender(name)
        started = time.monotonic()
        outcome = _try(channel, _message(services, channel, to, text))
        told = _told(outcome, capabilities, time.monotonic() - started)
        told |= {"provider": name, "kind": kind, "callbacks": _callbacks(services, name, capabilities)}
    if is_json:
        show_json(told)
    else:
        _show(told)
    if not isinstance(outcome, Accepted):
        click.get_current_context().exit(FINDING)


def _senders(services: Services) -> dict[str, tuple[str, Capabilities]]:
    """Return whom the settings name: name → (kind, capabilities)."""
    settings = services.settings
    found = dict.fromkeys(settings.relays, ("smtp", RELAY))
    if settings.sms is not None:
        found["sms"] = ("twilio", KINDS["twilio"].capabilities)
    return found | {
        name: (one.kind, KINDS[one.kind].capabilities) for name, one in services.providers.items()
    }


def _ask_safe_mode(services: Services, channel: ChannelName, to: str) -> None:
    mode = services.safe_mode
    if mode is not None and not mode.is_allowed(channel, to):
        raise ConfigError(
            "safe mode is on, and this address is not on its list",
            field="--to",
            mend="add it to safe_mode.allow",
        )


def _message(services: Services, channel: Channel, to: str, text: str) -> Outgoing:
    mail, number = services.settings.mail, uuid7()
    is_mail = channel.name is ChannelName.EMAIL
    return Outgoing(
        id=number,
        channel=channel.name,
        tenant="default",
        to=to,
        sender=mail.sender if is_mail else "",
        sender_name=mail.sender_name,
        reply_to=mail.reply_to,
        content=Rendered(subject=_SUBJECT, text=text),
        # No MAC: an answer to it is nobody's.
        message_id=f"<{number.hex}.test@{mail.domain}>",
        type="notifier.test",
    )


def _try(channel: Channel, message: Outgoing) -> Accepted | SendError:
    try:
        prepared = channel.prepare(message)
        session = channel.open()
    except SendError as failure:
        return failure
    try:
        return session.send(prepared)
    except SendError as failure:
        return failure
    finally:
        session.close()


def _told(outcome: Accepted | SendError, capabilities: Capabilities, seconds: float) -> dict[str, Json]:
    reply = outcome.reply
    told: dict[str, Json] = {
        "outcome": next(words for kind, words in _OUTCOMES.items() if isinstance(outcome, kind)),
        "phase": reply.phase.value,
        "code": reply.code,
        "enhanced": reply.enhanced,
        "said": reply.text,
        "remote_id": reply.remote_id,
        "seconds": round(seconds, 3),
        "receipts": list(capabilities.receipts),
        "cannot": list(capabilities.cannot),
    }
    if isinstance(outcome, SendError):
        wait: timedelta | None = getattr(outcome, "retry_after", None)
        told |= {
            "message": str(outcome),
            "fault": outcome.fault.value,
            "reason": outcome.reason,
            "retry_after": wait.total_seconds() if wait is not None else None,
        }
    return told


def _callbacks(services: Services, name: str, capabilities: Capabilities) -> str | None:
    """Return where the provider is to send its receipts."""
    below = services.settings.callbacks_url
    return f"{below}/{name}" if below and capabilities.receipts and name in services.providers else None


def _show(told: Mapping[str, Json]) -> None:
    by = f"{told['outcome']} by {told['provider']} ({told['kind']}) after {told['seconds']} s"
    say(by, style="green" if told["outcome"] == "accepted" else "red")
    show_fields(
        {
            "why": told.get("message"),
            "fault": told.get("fault"),
            "its code": " ".join(cell(one) for one in (told["code"], told["enhanced"]) if one is not None),
            "it said": told["said"],
            "its id": told["remote_id"],
            "try again": f"in {told['retry_after']:g} s" if told.get("retry_after") else None,
            "receipts": told["receipts"] or "none",
            "sent to": told["callbacks"],
            "it cannot": "\n".join(told["cannot"]),
        }
    )


def _row(name: str, kind: str, capabilities: Capabilities) -> dict[str, Json]:
    return {
        "name": name,
        "kind": kind,
        "channel": capabilities.channel.value,
        "receipts": list(capabilities.receipts),
        "has_idempotency_key": capabilities.has_idempotency_key,
        "has_raw_mime": capabilities.has_raw_mime,
        "keeps_message_id": capabilities.keeps_message_id,
        "has_own_signature": capabilities.has_own_signature,
        "has_attachments": capabilities.has_attachments,
        "max_bytes": capabilities.max_bytes,
        "cannot": list(capabilities.cannot),
        "documentation": list(capabilities.documentation),
    }
