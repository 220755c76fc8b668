"""Turn Alertmanager's receivers into lists of people, one for each that tells anybody.

Knows no routes; an integration that is no mail becomes a list for somebody to fill.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import getaddresses

from notifier.rules.imports.names import Names
from notifier.rules.imports.spots import Spot

Member = str | Mapping[str, str]
"""An entry of a list in notifier.yaml."""

_INTEGRATION = "_configs"
_EMAIL = "email_configs"
# config/notifiers.go: the others say when it is over unless told not to.
_SILENT = frozenset({_EMAIL, "slack_configs", "rocketchat_configs", "wechat_configs"})
_EMAIL_KEYS = frozenset({"to", "send_resolved"})
_RELAY_KEYS = frozenset(
    {
        *("from", "smarthost", "hello", "require_tls", "tls_config", "force_implicit_tls"),
        *("auth_username", "auth_password", "auth_password_file"),
        *("auth_secret", "auth_secret_file", "auth_identity"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told."""

    name: str
    list_name: str | None
    """None = nobody: it has no integration, as in ``- name: blackhole``."""
    members: tuple[Member, ...] = ()
    send_resolved: bool = True


@dataclass(slots=True, kw_only=True)
class Receivers:
    """The receivers of a file; those that routes ask for are read."""

    spots: dict[str, Spot]
    used: dict[str, Receiver] = field(default_factory=dict)
    _names: Names = field(default_factory=Names)

    @classmethod
    def of(cls, entries: Spot) -> "Receivers":
        """Find the receivers by name."""
        spots: dict[str, Spot] = {}
        for entry in entries.entries():
            name = entry.at("name").text()
            if not name or name in spots:
                entry.refuse("a receiver needs a name of its own", "Alertmanager refuses it as well")
            spots[name] = entry
        return cls(spots=spots)

    def get(self, asked: Spot) -> Receiver:
        """Return the receiver a route names."""
        name = asked.text()
        if name not in self.spots:
            asked.refuse(f"there is no receiver {name!r}", "add it under `receivers:`")
        if name not in self.used:
            self.used[name] = self._read(name, self.spots[name])
        return self.used[name]

    def remark_unused(self) -> None:
        """Say which receivers no route names."""
        for name, spot in self.spots.items():
            if name not in self.used:
                spot.remark(
                    f"no route names the receiver {name!r}: left out", "nothing, unless a route lacks it"
                )

    def _read(self, name: str, spot: Spot) -> Receiver:
        kinds = [key for key in spot.fields() if key.endswith(_INTEGRATION) and spot.at(key).value]
        for other in spot.unknown(frozenset({"name", *kinds})):
            if other.value:
                other.remark("not known to this import: left out", "see whether it matters to you")
        if not kinds:
            return Receiver(name=name, list_name=None)
        list_name = self._names.of(name, "receiver")
        _remark_foreign(spot, [kind for kind in kinds if kind != _EMAIL], list_name)
        mails = tuple(spot.at(_EMAIL).entries())
        return Receiver(
            name=name,
            list_name=list_name,
            members=tuple(member for mail in mails for member in _members(mail, list_name)),
            send_resolved=_send_resolved(spot, kinds),
        )


def _remark_foreign(spot: Spot, kinds: list[str], list_name: str) -> None:
    for kind in kinds:
        word = kind.removesuffix(_INTEGRATION)
        spot.at(kind).remark(
            f"{word} has no equal: the list {list_name!r} stands for it",
            f"write the people behind it under `lists: {list_name}:` in notifier.yaml",
        )


def _members(mail: Spot, list_name: str) -> Iterator[Member]:
    to = mail.at("to")
    ours = _EMAIL_KEYS | _RELAY_KEYS
    if relay := sorted(_RELAY_KEYS & set(mail.fields())):
        mail.remark(
            f"{', '.join(relay)}: mails go over our relays", "see `relays:` and `mail:` in notifier.yaml"
        )
    if words := [one.place.path[-1] for one in mail.unknown(ours)]:
        mail.remark(
            f"{', '.join(map(str, words))}: our mails have our own words", "edit templates/alertmanager/alert"
        )
    if "{{" in to.text():
        mend = f"write the addresses it can give under `lists: {list_name}:` in notifier.yaml"
        to.remark("an address made by a template has no equal", mend)
        return
    found = [(name, address) for name, address in getaddresses([to.text()]) if "@" in address]
    if not found:
        to.remark("holds no address", f"write it under `lists: {list_name}:` in notifier.yaml")
    yield from ({"email": address, "name": name} if name else address for name, address in found)


def _send_resolved(spot: Spot, kinds: list[str]) -> bool:
    """Mails decide where there are any: the others are lists to be filled."""
    asked = [_EMAIL] if _EMAIL in kinds else kinds
    answers = {
        entry.at("send_resolved").is_true(default=kind not in _SILENT)
        for kind in asked
        for entry in spot.at(kind).entries()
    }
    if len(answers) > 1:
        spot.remark(
            "some of it says when it is over, some does not: all of it does here", "set `send_resolved`"
        )
    return True in answers
