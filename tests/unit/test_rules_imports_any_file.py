"""Whatever stands in an ``alertmanager.yml``: it becomes rules that load, or is refused with its line."""

import copy
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.errors import ConfigError
from notifier.rules.imports.alertmanager import EVENT_TYPE, Imported, import_alertmanager
from notifier.rules.load import read_rules

WHOLE: dict[str, Any] = yaml.safe_load("""
global: {resolve_timeout: 5m, smtp_from: a@example.org}
templates: [x]
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 30s
  routes:
  - match: {team: db}
    match_re: {env: prod|stage}
    matchers: ['level!="info"']
    receiver: db
    continue: true
    labels: {a: b}
    mute_time_intervals: [nights]
    routes: [{receiver: nobody, repeat_interval: 3h}]
inhibit_rules:
- {source_match: {a: b}, target_matchers: ['c="d"'], equal: [e]}
time_intervals:
- name: nights
  time_intervals: [{times: [{start_time: '18:00', end_time: '24:00'}], weekdays: [sunday], location: UTC}]
receivers:
- name: ops
  email_configs: [{to: ops@example.org, send_resolved: true}]
- name: db
  slack_configs: [{channel: x}]
- name: nobody
""")
STRANGE: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        [],
        {},
        "",
        0,
        -1,
        1.5,
        True,
        "x",
        "...",
        "(",
        'a="',
        "24:00",
        [None],
        [[]],
        [{}],
        ["a", "b"],
        {"a": None},
    ]
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to everything that stands in a document, but for the document itself."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in below:
        yield (*path, key)
        yield from places(one, (*path, key))


@given(path=st.sampled_from(list(places(WHOLE))), value=STRANGE)
@settings(max_examples=40, deadline=None)
def test_a_strange_value_anywhere_is_taken_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    """With its line; nothing else is ever raised, and what is taken is a rule file."""
    changed = copy.deepcopy(WHOLE)
    here: Any = changed
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value

    try:
        found = import_alertmanager(yaml.safe_dump(changed), Path("alertmanager.yml"))
    except ConfigError as refused:
        lines = refused.line
    else:
        lines = loads(found)

    assert lines


def loads(found: Imported) -> int:
    """Read the rules as any are read, and return how many lines they are."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(found.rules_text, encoding="utf-8")
        read_rules(Path(folder), types=[EVENT_TYPE], lists=found.lists)
    return len(found.rules_text.splitlines())
