"""``notifier relay reply``: what a relay's answer means by the rules, and what would follow. Asks nobody."""

import re
from datetime import timedelta

import click

from notifier.bootstrap import Services
from notifier.cli.opening import opened
from notifier.cli.output import json_option, say, show_fields, show_json
from notifier.decisions import ChannelStep
from notifier.delivery.fate import Blame
from notifier.delivery.outcome import Fallback, Standing, after_failure
from notifier.errors import ConfigError, Phase, Reply, SendError, TemporaryFailure
from notifier.events import Json, Urgency
from notifier.messages import ChannelName
from notifier.pipeline.sending.record import blame_for

_REPLY = re.compile(r"\s*([0-9]{3})(?:[ -](.*))?\s*", re.DOTALL)
_SMTP = [one.value for one in Phase if one not in {Phase.REQUEST, Phase.LOCAL, Phase.CONNECT}]
_STEPS = (ChannelStep(channel=ChannelName.EMAIL), ChannelStep(channel=ChannelName.SMS))
_FOR_THE_ADDRESS = {
    Blame.DEAD: "suppressed at once, for good",
    Blame.SOFT: "counted, once no try is left: too many in a row rest it",
}


@click.command()
@click.argument("said", metavar="REPLY")
@click.option("--phase", type=click.Choice(_SMTP), default=Phase.RCPT.value, show_default=True)
@json_option
def reply(*, said: str, phase: str, is_json: bool) -> None:
    """Say what a relay's answer means: the rule that decides, whose fault it is, and what would follow.

    REPLY is what the server said, such as "550 5.1.1 No such user"; PHASE the command it answered. Your own
    config/replies.yaml is asked first. Needs no database.
    """
    found = _REPLY.fullmatch(said)
    if found is None:
        raise ConfigError("begins with no reply code", field="REPLY", mend='such as "550 5.1.1 No such user"')
    given = Reply(phase=Phase(phase), code=int(found[1]), text=found[2] or "")
    with opened() as services:
        failure = services.reply_rules.classify(given)
        told = _told(services, given, failure) if failure is not None else {"meaning": "success"}
    show_json(told) if is_json else _show(told)


def _told(services: Services, given: Reply, failure: SendError) -> dict[str, Json]:
    rule, now = services.reply_rules.deciding(given), services.clock.now()
    following = after_failure(
        failure,
        Standing(
            now=now, attempt=1, steps=_STEPS, position=0, channel_deadline=now + timedelta(days=1),
            deadline=now + timedelta(days=2),
        ),
        services.policy.of(Urgency.NORMAL),
        jitter=0.5,
    )  # fmt: skip
    blame = blame_for(failure)
    passing = "temporary" if isinstance(failure, TemporaryFailure) else "permanent"
    return {
        "meaning": "hard" if failure.is_hard else passing,
        "reason": failure.reason,
        "fault": failure.fault.value,
        "then": "the next channel has its turn" if isinstance(following, Fallback) else following.reason,
        "address": _FOR_THE_ADDRESS[blame] if blame is not None else "not to blame",
        "source": rule.source or None,
    }


def _show(told: dict[str, Json]) -> None:
    say(str(told.pop("meaning")) + (f": {told.pop('reason')}" if "reason" in told else ""))
    show_fields(told)
