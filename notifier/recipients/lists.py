"""Read the lists and roles of the configuration.

Knows their form only; who of them is told is decided elsewhere.
"""

from collections.abc import Mapping

from notifier.errors import ConfigError, EventRefused
from notifier.events import Recipient


def read_list(name: str, entries: tuple[Mapping[str, str] | str, ...]) -> tuple[Recipient, ...]:
    """Read a list of recipients from the settings.

    Raises:
        ConfigError: an entry is neither an address nor an object with one.
    """
    try:
        return tuple(
            Recipient.from_json(entry, f"lists.{name}[{index}]") for index, entry in enumerate(entries)
        )
    except EventRefused as error:
        raise ConfigError(error.reason, file="notifier.yaml", field=error.field) from error
