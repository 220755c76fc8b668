"""Run the command inside the test's process, and read what it prints."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner, Result

from notifier.bootstrap import Services
from notifier.catalog import Catalog
from notifier.cli import cli
from tests.services import Flow

Run = Callable[..., Result]
CUSTOMER = "jo.winter@example.org"


def command(services: Services | None) -> Run:
    """Return the command on these services, or as the environment says."""

    def run(*args: object, **options: Any) -> Result:
        # Not as wide as whatever terminal the tests run in: tables would be broken elsewhere.
        return CliRunner(env={"COLUMNS": "100"}).invoke(
            cli, [str(one) for one in args], obj=services, **options
        )

    return run


def lines(result: Result) -> list[dict[str, Any]]:
    """Return JSON lines."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def document(result: Result) -> dict[str, Any]:
    """Return the one JSON document."""
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def change_type(flow: Flow, name: str, **changes: object) -> None:
    """Let the catalogue say something else of a type, before anything was ingested."""
    types = {entry.type: entry for entry in flow.services.catalog}
    types[name] = types[name].model_copy(update=changes)
    vars(flow.services)["catalog"] = Catalog(types)


def shipped(flow: Flow, number: str, email: str = CUSTOMER) -> dict[str, Any]:
    """Return a shipped order of a customer; the number is its id as well."""
    customer = {**flow.services.catalog["order.shipped"].sample["customer"], "email": email}
    return {**flow.sample("order.shipped", data={"customer": customer}), "subject": number, "id": number}
