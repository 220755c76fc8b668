"""Ask whether a message may go out now: load what the gate looks at, from the job and the settings.

Decides nothing: ``notifier.recipients.may_we`` does.
"""

from datetime import datetime

from notifier.decisions import StageRef
from notifier.messages import ChannelName
from notifier.pipeline.composing.jobs import Job
from notifier.recipients import suppression as suppressed
from notifier.recipients.may_we import GateFacts, GateVerdict, may_we
from notifier.recipients.preferences import can_opt_out, lacks_consent
from notifier.recipients.resolve import address_on, is_addressed
from notifier.recipients.safe_mode import SafeMode, destination
from notifier.setting_tables import Suppression as SuppressionSettings


class Gatekeeper:
    """Asks the gate."""

    def __init__(self, safe_mode: SafeMode | None, suppression: SuppressionSettings) -> None:
        self._safe_mode, self._suppression = safe_mode, suppression

    def ask(self, job: Job, now: datetime, *, has_tls: bool) -> GateVerdict:
        """Ask whether the message may go out now."""
        row = job.row
        return may_we(
            GateFacts(
                now=now,
                deadline=row.deadline,
                recipient=job.recipient,
                is_tenant_paused=row.is_tenant_paused,
                journey=job.journey,
                stage=StageRef(
                    rule=row.stage_rule, subject=row.subject, stage=row.stage, order=row.stage_order or 0
                )
                if row.stage_rule is not None and row.stage is not None
                else None,
                **_refusals(job),
                suppressed=self._suppressed(job),
                audience=job.entry.audience,
                recipient_is_addressed=is_addressed(job.event, job.recipient),
                is_held_by_safe_mode=not self._is_sendable(job),
                is_tls_required=job.entry.is_tls_required and job.channel is ChannelName.EMAIL,
                has_tls=has_tls,
            )
        )

    def is_itself(self, job: Job) -> bool:
        """Tell whether the mail goes to its own recipient, not where safe mode sends it."""
        to = address_on(job.recipient, job.channel)
        return destination(self._safe_mode, job.channel, to) == to

    def _is_sendable(self, job: Job) -> bool:
        mode = self._safe_mode
        return mode is None or mode.is_sendable(job.channel, address_on(job.recipient, job.channel))

    def _suppressed(self, job: Job) -> suppressed.Suppression | None:
        """Return the entry that keeps this message back, of those that stand for its address."""
        if not job.row.suppressions:
            return None
        asked = suppressed.Asked(
            channel=job.channel,
            message_class=job.entry.message_class,
            urgency=job.urgency,
            preference=job.entry.preference,
            complaints=self._suppression.of(job.row.tenant).complaint,
        )
        return suppressed.first_that_forbids(
            (
                suppressed.Suppression(
                    cause=suppressed.Cause(cause),
                    scope=scope,
                    reason=reason,
                    since=datetime.fromisoformat(since),
                )
                for cause, scope, reason, since in job.row.suppressions
            ),
            asked,
        )


def _refusals(job: Job) -> dict[str, bool]:
    """Return what the person said of the category, as the address book has it now."""
    row, entry, refused = job.row, job.entry, job.contact.refused
    counts = bool(refused) and can_opt_out(entry.message_class, job.urgency, entry.preference)
    return {
        "opted_out": counts and row.category in refused,
        "opted_out_of_channel": counts and f"{row.category}:{row.channel}" in refused,
        "lacks_consent": lacks_consent(
            job.contact, row.category, job.channel,
            message_class=entry.message_class, preference=entry.preference,
        ),
    }  # fmt: skip
