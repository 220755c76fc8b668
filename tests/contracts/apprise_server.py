"""A target for Apprise, for tests: its ``json://`` posts an object to a web server of one's own.

https://github.com/caronc/apprise/wiki/Notify_Custom_JSON
"""

import json
from typing import Any

from notifier.channels.base import Channel
from notifier.channels.provider import Surroundings
from notifier.channels.registry import KINDS, build
from tests.contracts.http_server import Answer, HttpServer, Request


class AppriseServer(HttpServer[dict[str, Any]]):
    """Keeps the object of each notice."""

    def accept(self, kept: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Say yes, with nothing else."""
        return Answer(200, "")

    def read(self, request: Request) -> dict[str, Any]:
        """Return the object."""
        kept: dict[str, Any] = json.loads(request.body)
        return kept


def apprise_channel(*urls: str, **changes: Any) -> Channel:
    """Return a channel whose group ``ops`` has these servers as targets."""
    targets = [url.replace("http://", "json://user:hidden-word@") for url in urls]
    entry = {"kind": "apprise", "targets": {"ops": targets}, **changes}
    return build("test", KINDS["apprise"].settings.model_validate(entry), Surroundings())
