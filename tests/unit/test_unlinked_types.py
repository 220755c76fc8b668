"""Settings that make mail go nowhere, or without what it must offer, are found before it is sent."""

from pathlib import Path

import pytest

from notifier.catalog import Catalog
from notifier.cli.crosschecks import diverted, unlinked, untold
from notifier.cli.places import Places
from notifier.messages import MessageClass
from notifier.setting_tables import SafeModeSettings, Tracking
from notifier.settings import Settings, read_document

EVENTS = """
events:
  - {type: news.made, title: N, category: news, class: subscription, schema: {}, sample: {}, sample_subject: x}
  - {type: law.made, title: L, category: law, class: marketing, preference: cant_unsubscribe, schema: {}, sample: {},
     sample_subject: x}
  - {type: disk.full, title: D, category: it, class: operational, schema: {}, sample: {}, sample_subject: x}
"""


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "public_url is not set"),
        ("http://n.example", "public_url is not https"),
        ("https://n.example", None),
    ],
)
def test_types_that_must_offer_one_click_and_cannot(tmp_path: Path, url: str | None, why: str | None) -> None:
    """A warning on the line of its class; of operational mail, and what nobody may refuse, nothing is said."""
    for name in ("events", "rules"):
        (tmp_path / name).mkdir()
    (tmp_path / "events" / "types.yaml").write_text(EVENTS)
    settings = Settings.model_construct(**{**dict(Settings()), "public_url": url})

    found = list(unlinked(Catalog.load(tmp_path / "events"), settings, Places(tmp_path)))

    expected = [] if why is None else [("warning", 3, "events[0].class")]
    assert [(one.severity, one.line, one.field) for one in found] == expected
    assert all((why or "") in one.problem for one in found)


@pytest.mark.parametrize(
    ("url", "wants", "lines"), [(None, True, [2]), (None, False, []), ("https://n.example", True, [])]
)
def test_tracking_that_nothing_could_tell_of(
    tmp_path: Path, url: str | None, lines: list[int], *, wants: bool
) -> None:
    """A warning on the tenant's line."""
    file = tmp_path / "notifier.yaml"
    file.write_text("tracking:\n  default: {opens: true}\n")
    tracking = {"default": Tracking(opens=wants)}
    settings = Settings.model_construct(**{**dict(Settings()), "public_url": url, "tracking": tracking})

    found = list(untold(settings, read_document(file)))

    assert [(one.severity, one.line) for one in found] == [("warning", line) for line in lines]


def test_a_class_that_is_never_tracked_is_named(tmp_path: Path) -> None:
    """Else somebody waits for figures that never come."""
    file = tmp_path / "notifier.yaml"
    file.write_text("tracking:\n  default:\n    opens: true\n    classes: [transactional]\n")
    tracking = {"default": Tracking(opens=True, classes=(MessageClass.TRANSACTIONAL,))}
    settings = Settings.model_construct(
        **{**dict(Settings()), "public_url": "https://n.example", "tracking": tracking}
    )

    (found,) = untold(settings, read_document(file))

    assert (found.severity, found.line, found.field) == ("warning", 4, "tracking.default.classes")


def test_safe_mode_is_said(tmp_path: Path) -> None:
    """On its line: nobody should find out from customers who heard nothing."""
    file = tmp_path / "notifier.yaml"
    file.write_text("locale: en\nsafe_mode:\n  redirect_email: staging@example.org\n")
    mode = SafeModeSettings(redirect_email="staging@example.org")

    found = list(diverted(Settings.model_construct(safe_mode=mode), read_document(file)))

    assert [(one.severity, one.line, one.field) for one in found] == [("warning", 2, "safe_mode")]
    assert not list(diverted(Settings.model_construct(safe_mode=None), read_document(file)))
