"""Chapter 1: the README's ten lines, run as they stand there, against a whole notifier.

The README cannot lie: the code is taken from it, and so is the output it promises.
"""

import os
import re
import subprocess
import sys

import pytest

from notifier.events import LANES
from tests.services import ROOT, Flow

pytestmark = pytest.mark.servers

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the README's first block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no {language} block"
    return found[1]


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
    producer = subprocess.Popen(
        [sys.executable, "-c", block("python")],
        env={**os.environ, "NOTIFIER_URL": redis_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    while producer.poll() is None:
        work(flow)
    output, errors = producer.communicate()

    assert errors == ""
    assert output == block("text")
    assert [mail.recipient for mail in flow.smtp.received] == ["ada@example.com"]
