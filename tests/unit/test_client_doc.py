"""docs/how-to/client.md: what its examples hand over is what the shipped catalogue takes.

That its first lines send a mail is shown by tests/guide/test_01_enqueue.py.
"""

import ast
import re
from pathlib import Path

from notifier.catalog import Catalog

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "client.md").read_text(encoding="utf-8")
CATALOG = Catalog.load(ROOT / "config" / "events")


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def calls() -> list[ast.Call]:
    """Return what the Python blocks call to make or hand over an event."""
    nodes = [node for block in blocks("python") for node in ast.walk(ast.parse(block))]
    made = [node for node in nodes if isinstance(node, ast.Call) and node.args]
    return [call for call in made if ast.unparse(call.func) in {"client.enqueue", "event"}]


def test_every_type_the_page_names_is_in_the_catalogue() -> None:
    """In Python and in the shell; what is copied from here is accepted."""
    named = [ast.literal_eval(call.args[0]) for call in calls()]
    named += re.findall(r"^notifier enqueue (\S+)", "".join(blocks("sh")), re.MULTILINE)

    assert len(named) == 4
    assert [name for name in named if name not in CATALOG] == []


def test_data_written_out_obeys_the_type_s_schema() -> None:
    """The first example is whole: it is checked as the server would."""
    call = calls()[0]
    data = next(ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == "data")

    CATALOG.check(ast.literal_eval(call.args[0]), data)
