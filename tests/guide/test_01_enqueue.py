"""Chapter 1: the README's ten lines, and the how-to's, run as they stand there, against a whole notifier.

The pages cannot lie: the code is taken from them, and so is the output the README promises.
"""

import os
import re
import subprocess
import sys

import pytest

from notifier.events import LANES
from tests.services import ROOT, Flow

pytestmark = pytest.mark.servers

README = "README.md"
HOW_TO = "docs/how-to/client.md"


def block(page: str, language: str) -> str:
    """Return a page's first block in a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no {language} block"
    return found[1]


def run(flow: Flow, code: str, redis_url: str) -> tuple[str, str]:
    """Run a producer's lines beside a notifier at work, and return what they print."""
    producer = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "NOTIFIER_URL": redis_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while producer.poll() is None:
        work(flow)
    work(flow)
    return producer.communicate()


def work(flow: Flow) -> None:
    """Do once what the worker processes do all the time: ingest, deliver, answer."""
    for lane in LANES:
        flow.services.ingest.run(lane)
    flow.deliver()
    for ask in flow.services.asks.take(flow.services.clock.now().timestamp()):
        result = flow.services.answers.result(ask)
        if result is not None:
            flow.services.asks.answer(ask, result)


def test_the_readme_s_lines_send_one_mail_and_print_what_it_says(flow: Flow, redis_url: str) -> None:
    """A program hands over an event, one mail arrives, and the program learns of it."""
    output, errors = run(flow, block(README, "python"), redis_url)

    assert errors == ""
    assert output == block(README, "text")
    assert [mail.recipient for mail in flow.smtp.received] == ["ada@example.com"]


def test_the_how_to_s_first_lines_hand_over_one_event_and_one_mail_arrives(
    flow: Flow, redis_url: str
) -> None:
    """Only the server's URL is another; the lines print the event's key and its lane."""
    url = '"redis://127.0.0.1:6379/0"'
    lines = block(HOW_TO, "python")
    assert url in lines

    output, errors = run(flow, lines.replace(url, repr(redis_url)), redis_url)

    assert errors == ""
    assert re.fullmatch(r"\('default', 'shop', '[-0-9a-f]+'\) normal\n", output)
    assert [mail.recipient for mail in flow.smtp.received] == ["ada@example.com"]
