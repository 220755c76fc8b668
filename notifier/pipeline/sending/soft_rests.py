"""Let an address rest to which too many messages in a row bounced in a way that may pass.

Within the caller's transaction. What a row is decides ``notifier.delivery.fate``; how long is too long, the tenant.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from notifier.delivery.fate import soft_in_a_row
from notifier.recipients.suppression import ALL, Cause
from notifier.setting_tables import Suppression
from notifier.store import soft_bounces, suppressions
from notifier.store.database import Connection
from notifier.store.soft_bounces import AddressKey, SoftBounce
from notifier.store.suppressions import SuppressionRow


def weigh(
    connection: Connection,
    soft: Sequence[SoftBounce],
    addresses: Collection[AddressKey],
    policies: Suppression,
    now: datetime,
) -> set[AddressKey]:
    """Note soft bounces, and judge addresses anew, from everything that is known of them.

    Returns:
        The addresses that rest for it.
    """
    soft_bounces.count_soft(connection, soft)
    resting: list[SuppressionRow] = []
    for address, (count, last) in sorted(soft_bounces.counted(connection, addresses).items()):
        policy = policies.of(address[0])
        is_over = count < policy.soft_bounces or (
            soft_in_a_row(soft_bounces.earlier(connection, address, now - policy.soft_window))
            < policy.soft_bounces
        )
        # Made anew each time, so that it says the same whatever came first.
        suppressions.release(connection, *address, causes=[Cause.SOFT_BOUNCES])
        until = last + policy.soft_rest
        if not is_over and until > now:
            resting.append(
                SuppressionRow(
                    tenant=address[0], address_index=address[1], scope=ALL, cause=Cause.SOFT_BOUNCES.value,
                    reason=f"{policy.soft_bounces} bounces in a row, with no delivery between", since=last,
                    until=until,
                )
            )  # fmt: skip
    suppressions.suppress_all(connection, resting)
    return {(row.tenant, row.address_index) for row in resting}
