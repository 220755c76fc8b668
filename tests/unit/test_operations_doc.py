"""The settings' reference in docs/operations.md: whole, nothing invented, every default as it is."""

import re
import types
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from notifier.delivery.policy import DeliveryPolicy, RetryPolicy
from notifier.settings import Settings
from workers.config import QUEUES

DOC = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
ROW = re.compile(r"^\| `([\w.]+)` \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)
VARIES = "by urgency"


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return each setting's path and its default, as the doc writes it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner, is_named = _model_in(field.annotation)
        if name == "delivery":
            yield from ((f"{path}.URGENCY.{key}", VARIES) for key in RetryPolicy.model_fields)
        elif inner is not None:
            yield from settings_of(inner, f"{path}.NAME." if is_named else f"{path}.")
        else:
            yield path, _written(field.get_default(call_default_factory=True))


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the settings model within an annotation, and whether it is there once per name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return next((found for part in inner if (found := _model_in(part))[0]), (None, False))
    if origin is Mapping:
        return _model_in(inner[1])[0], True
    return None, False


def _written(default: Any) -> str:
    match default:
        case _ if default is PydanticUndefined:
            return "required"
        case SecretStr():
            return f"`{default.get_secret_value()}`"
        case timedelta():
            return f"`{_length(default.total_seconds())}`"
        case bool():
            return f"`{str(default).lower()}`"
        case tuple() if default:
            return f"`[{', '.join(default)}]`"
    return "" if default in (None, "", (), {}) else f"`{default}`"


def _length(seconds: float) -> str:
    if seconds and seconds % 86400 == 0:
        return f"{seconds // 86400:g}d"
    return f"{seconds:.10g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    """And nothing else is."""
    written = {path: default for path, default, _ in ROW.findall(DOC.partition("\n## Settings\n")[2])}

    assert written == dict(settings_of(Settings))


def test_the_retry_defaults_are_those_of_the_code() -> None:
    """The table by urgency."""
    rows = re.findall(r"^\| (urgent|normal|bulk) \| (.+) \|$", DOC, re.MULTILINE)
    written = {urgency: cells.split(" | ") for urgency, cells in rows}

    policy = DeliveryPolicy()
    for urgency, cells in written.items():
        one = getattr(policy, urgency)
        spans = [one.first, one.ceiling, one.deadline, one.pause]
        assert cells == [str(one.attempts), *(_span(span) for span in spans)], urgency
    assert set(written) == {"urgent", "normal", "bulk"}


def test_every_metric_and_queue_is_explained() -> None:
    """By its name as Prometheus and Celery show it."""
    source = (Path(__file__).parents[2] / "notifier" / "web" / "metrics.py").read_text("utf-8")
    metrics = set(re.findall(r'"(notifier_\w+)"', source))

    assert metrics
    assert [name for name in [*metrics, *QUEUES] if f"`{name}" not in DOC] == []


def test_every_link_leads_somewhere() -> None:
    """Within the repository."""
    pages = [Path(__file__).parents[2] / "docs" / "operations.md"]
    pages += sorted(pages[0].parent.glob("decisions/*.md"))
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def _span(span: timedelta) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if span.total_seconds() % seconds == 0:
            return f"{span.total_seconds() / seconds:g}{unit}"
    return f"{span.total_seconds():g}s"
