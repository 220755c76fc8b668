"""Alerts for operators over Apprise: chat rooms, pagers and the like, all of the settings.

It says only whether each target was told, never why not. Never takes a target from an event: the address on this
channel is the name of a group of targets.

Source: https://github.com/caronc/apprise/wiki/Development_API (instantiate, notify, timeouts of a target).
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr

from notifier.channels.base import Channel, Prepared, Session, refuse_locally
from notifier.channels.provider import Capabilities, Kind, Patience, ProviderSettings, Surroundings
from notifier.channels.unconnected import UnconnectedSession
from notifier.errors import ConfigError, Fault, OutcomeUnknown, Phase, Reply, TemporaryFailure
from notifier.forms import wrong
from notifier.messages import Accepted, ChannelName, Outgoing

Target = Any
"""A plugin of Apprise's, which has no types."""


def _shaped(value: SecretStr) -> SecretStr:
    if "://" not in value.get_secret_value():
        raise wrong("must be an Apprise URL", "write slack://token/… as its documentation has it")
    return value


TargetUrl = Annotated[SecretStr, AfterValidator(_shaped)]


class Apprise(ProviderSettings):
    """Groups of targets."""

    kind: Literal["apprise"]
    targets: Mapping[str, tuple[TargetUrl, ...]] = Field(min_length=1)
    """By the name that a recipient's ``endpoint`` gives."""


class AppriseChannel:
    """Messages to groups of targets."""

    name = ChannelName.APPRISE
    is_encrypted = False
    """Some targets are, some are not: nobody can tell."""

    def __init__(
        self, relay: str, groups: Mapping[str, Sequence[Target]], patience: Patience, connections: int
    ) -> None:
        self.relay, self.connections = relay, connections
        self._groups = groups
        longest = max(sum(_seconds(target, patience) for target in targets) for targets in groups.values())
        self.phase_seconds = longest + 1.0

    def prepare(self, message: Outgoing) -> Prepared:
        """Check that the group is there and has something to be told.

        Raises:
            PermanentFailure: no such group, or an empty text.
        """
        if not self._groups.get(message.to):
            raise refuse_locally(
                "unknown-endpoint", Fault.RECIPIENT, "To: no targets of the settings are so named"
            )
        text = message.content.text.strip()
        if not text:
            raise refuse_locally("empty", Fault.CONTENT, "the text is empty")
        return Prepared(outgoing=message, wire=text.encode("utf-8", "replace"), to=message.to)

    def open(self) -> Session:
        """Return a session; each target connects by itself."""
        return AppriseSession(self.relay, self._groups)


class AppriseSession(UnconnectedSession):
    """The right to tell the groups."""

    def __init__(self, relay: str, groups: Mapping[str, Sequence[Target]]) -> None:
        super().__init__(relay)
        self._groups = groups

    def send(self, message: Prepared) -> Accepted:
        """Tell each target of the group, one after the other.

        Raises:
            TemporaryFailure: the first target was not told.
            OutcomeUnknown: some were told, and another not: a second try would tell the first again.
        """
        targets = self._groups[message.to]
        for told, target in enumerate(targets):
            if not _is_told(target, message):
                raise _failure(told, len(targets))
        reply = Reply(phase=Phase.REQUEST, text=f"{len(targets)} targets")
        return Accepted(reply=reply, relay=self.relay)


def _seconds(target: Target, patience: Patience) -> float:
    """Return the longest a target takes: it makes several requests, and rests before each."""
    requests: int = max(1, len(target))
    return requests * (patience.seconds + float(target.request_rate_per_sec))


def _is_told(target: Target, message: Prepared) -> bool:
    try:
        return bool(target.notify(body=message.wire.decode(), title=message.outgoing.content.subject))
    except Exception:  # noqa: BLE001 - a plugin may raise anything; its text may quote a token
        return False


def _failure(told: int, of: int) -> TemporaryFailure | OutcomeUnknown:
    reply = Reply(phase=Phase.REQUEST)
    if told:
        return OutcomeUnknown(
            f"{told} of {of} targets were told, the next was not: Apprise does not say why",
            fault=Fault.PROVIDER, reply=reply, reason="partly-taken",
        )  # fmt: skip
    return TemporaryFailure(
        "the target was not told: Apprise does not say why",
        fault=Fault.PROVIDER, reply=reply, reason="provider",
    )  # fmt: skip


def _build(name: str, settings: Apprise, around: Surroundings) -> Channel:  # noqa: ARG001 - it needs nothing else
    # Its log quotes the URLs of targets, and so their tokens.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    groups: dict[str, list[Target]] = {}
    for group, urls in settings.targets.items():
        groups[group] = []
        for index, url in enumerate(urls):
            target = _target(url.get_secret_value())
            if target is None:
                raise ConfigError(
                    "Apprise knows no such target", field=f"providers.{name}.targets.{group}[{index}]",
                    mend="write it as Apprise's documentation of that service has it",
                )  # fmt: skip
            # Trying again is ours.
            target.retry = 0
            target.socket_connect_timeout = settings.patience.connect_seconds
            target.socket_read_timeout = settings.patience.read_seconds
            groups[group].append(target)
    return AppriseChannel(name, groups, settings.patience, settings.connections)


def _target(url: str) -> Target | None:
    with warnings.catch_warnings():
        # Of its many plugins one or the other always uses what Python is about to drop.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Here, so that whoever has no such provider never loads it.
        from apprise import Apprise as Library  # noqa: PLC0415

        return Library.instantiate(url)


KIND = Kind(
    settings=Apprise,
    build=_build,
    capabilities=Capabilities(
        channel=ChannelName.APPRISE,
        cannot=(
            "send receipts, or say why a target was not told",
            "tell the outcome of each target of a group: one failure behind a success is unknown",
            "recognise a message it was handed twice",
            "bound an answer that comes byte by byte: its targets bound each wait alone",
            "carry attachments or HTML",
        ),
        documentation=("https://github.com/caronc/apprise/wiki",),
    ),
)
