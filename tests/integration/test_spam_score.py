"""A spam filter finds nothing in what we send: every shipped template, through the real pipeline, in SpamAssassin."""

import os
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.clock import VirtualClock
from notifier.messages import ChannelName
from notifier.pipeline.planning.samples import sample_context, uses
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.ruleset import StageRule
from notifier.rules.telling import matches
from tests.contracts.certificate import write_certificate
from tests.contracts.mails import mail
from tests.contracts.smtp_server import SmtpServer
from tests.programs import needed
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

LIMIT = 1.0
"""Points a mail may have; SpamAssassin calls it spam at 5."""
_STATUS = re.compile(r"^X-Spam-Status: \w+, score=(-?[\d.]+) required=\S+\s+tests=(\S+)", re.MULTILINE)
LATER = timedelta(minutes=30)
"""Longer than any rule waits before it first speaks."""


def send_everything(flow: Flow, clock: VirtualClock) -> None:
    """Let everything happen that the catalogue knows, what is over after what began, and send what is due."""
    rules = list(flow.services.rules)
    ends = [one.resolved for one in rules if isinstance(one, AlertRule)]
    staged = [one.patterns for one in rules if isinstance(one, StageRule)]
    for is_end in (False, True):
        flow.ingest(
            *(
                # Each on a journey of its own: no stage supersedes another.
                flow.sample(
                    entry.type,
                    time=clock.now().isoformat(),
                    **({"subject": entry.type} if any(matches(on, entry.type) for on in staged) else {}),
                )
                for entry in flow.services.catalog
                if any(matches(resolved, entry.type) for resolved in ends) is is_end
            )
        )
        send(flow)
        clock.advance(LATER)
        flow.services.sweep.run()
        send(flow)


def send(flow: Flow) -> None:
    """Send until nothing is due."""
    while flow.deliver().get("sent"):
        pass


def send_the_rest(flow: Flow, names: Iterable[str]) -> None:
    """Write and send, on their samples, what waits for a digest, another day, or is told of several at once."""
    services, settings = flow.services, flow.services.settings
    adapter = services.flows.adapter("default")
    session = adapter.open()
    known = uses(services.catalog, services.rules)
    for name in sorted(names):
        for locale in services.templates.locales(name):
            context = sample_context(
                known[name], services.rules, brand=settings.brand.model_dump(), zone=settings.zone,
                locale=locale, now=services.clock.now(),
            )  # fmt: skip
            content = services.templates.render(name, ChannelName.EMAIL, locale, context)
            session.send(adapter.prepare(mail(content=content)))
    session.close()


def scores(mails: Iterable[bytes], folder: Path) -> list[tuple[float, str]]:
    """Return each mail's points and the rules that gave them; SpamAssassin without the network."""
    box = folder / "mails.mbox"
    box.write_bytes(
        b"".join(b"From x@y.example Thu Jan  1 00:00:00 2026\n" + one + b"\n" for one in map(unix, mails))
    )
    command = ["spamassassin", "-L", "--cf=use_bayes 0", "--mbox", str(box)]
    done = subprocess.run(
        command, capture_output=True, check=True, timeout=120, env={**os.environ, "HOME": str(folder)}
    )
    found = _STATUS.findall(done.stdout.decode("latin-1").replace("\n\t", " "))
    return [(float(score), rules) for score, rules in found]


def unix(wire: bytes) -> bytes:
    """Return a mail as a mailbox file has it."""
    return re.sub(rb"(?m)^(>*From )", rb">\1", wire.replace(b"\r\n", b"\n"))


@pytest.mark.long
def test_no_shipped_template_looks_like_spam(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Each has at most one point: as the customer's server would judge it, but for what needs the network."""
    needed("spamassassin")
    certificate = write_certificate(tmp_path)
    with SmtpServer(tls="starttls", certificate=certificate) as server:
        relay = {"host": "localhost", "port": server.port, "ca_file": certificate}
        clock = VirtualClock(datetime.now(UTC))
        flow = make_flow(clock=clock, relays={"default": relay})
        send_everything(flow, clock)
        used = {
            row[0] for row in flow.query("SELECT DISTINCT template FROM notification WHERE state = 'sent'")
        }
        known = set(uses(flow.services.catalog, flow.services.rules))
        assert len(used) > 0.8 * len(known)
        send_the_rest(flow, known - used)

        judged = scores([one.data for one in server.received], tmp_path)

        assert len(judged) == len(server.received) >= len(known)
        assert [one for one in judged if one[0] > LIMIT] == []
