"""Lists and roles of the configuration become recipients, or an error that names the entry."""

import pytest

from notifier.errors import ConfigError
from notifier.events import Recipient
from notifier.recipients.lists import read_list


def test_an_entry_is_an_address_a_number_or_an_object() -> None:
    """Whichever an operator finds shorter."""
    read = read_list("ops", ("ops@example.com", "+4930123456", {"email": "a@example.com", "locale": "de"}))

    assert read == (
        Recipient(email="ops@example.com"),
        Recipient(phone="+4930123456"),
        Recipient(email="a@example.com", locale="de"),
    )


def test_a_wrong_entry_is_named() -> None:
    """By list, place and field."""
    with pytest.raises(ConfigError) as raised:
        read_list("ops", ("ops@example.com", {"mail": "a@example.com"}))

    assert raised.value.field == "lists.ops[1].mail"
    assert "notifier.yaml" in str(raised.value)
