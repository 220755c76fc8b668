"""The words by which mails show what they are: read once, all of them, as patterns (B3)."""

from importlib import resources

import pytest
import re2
import yaml

from notifier.inbound.signs import has_sign, pattern

NAMES = list(yaml.safe_load(resources.files("notifier.inbound").joinpath("signs.yaml").read_text("utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_every_list_is_one_of_patterns(name: str) -> None:
    """A colon and a blank make a mapping of a pattern that is not quoted."""
    signs = yaml.safe_load(resources.files("notifier.inbound").joinpath("signs.yaml").read_text("utf-8"))[
        name
    ]

    assert all(isinstance(one, str) for one in signs)
    assert all(re2.compile(one) for one in signs)
    # The filter asks the text in lower case.
    assert has_sign(name, "") is False
    assert pattern(name).search("") is None


def test_a_sign_is_found_whatever_the_letter_case() -> None:
    """As mail systems shout."""
    assert has_sign("opening", "YOUR MESSAGE COULD NOT BE DELIVERED")
