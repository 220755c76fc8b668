"""What became of a message is a join of facts: no order, and no repetition, changes it (B3, O8)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.delivery.fate import (
    Blame,
    Earlier,
    Fate,
    Known,
    Sibling,
    blame_of,
    fate_of,
    is_left_untold,
    soft_in_a_row,
)
from notifier.receipts import BounceClass, ReceiptKind

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
SILENT = {
    ReceiptKind.SENT, ReceiptKind.OPENED, ReceiptKind.CLICKED, ReceiptKind.UNSUBSCRIBED, ReceiptKind.REPLIED,
    ReceiptKind.AUTO_REPLIED,
}  # fmt: skip

KNOWN = st.builds(
    Known,
    kind=st.sampled_from(ReceiptKind),
    at=st.integers(0, 5).map(lambda seconds: AT + timedelta(seconds=seconds)),
    bounce=st.none() | st.sampled_from(BounceClass),
    reason=st.none() | st.sampled_from(["userunknown", "mailboxfull"]),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(KNOWN, max_size=8), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(known: list[Known], chance: object) -> None:
    """The same facts, shuffled and doubled, are the same fate."""
    shuffled = [*known, *known[::2]]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert fate_of(shuffled) == fate_of(known)


@settings(deadline=None, max_examples=100)
@given(st.lists(KNOWN, min_size=1, max_size=6))
def test_more_knowledge_never_leads_back(known: list[Known]) -> None:
    """What was worse stays: a delivery told late does not undo a bounce."""
    order = [None, *Fate]
    fates = [fate_of(known[: number + 1]) for number in range(len(known))]
    ranks = [order.index(one.fate if one else None) for one in fates]

    assert ranks == sorted(ranks)


def known(kind: ReceiptKind, seconds: int = 0, bounce: BounceClass | None = None) -> Known:
    """Return a fact."""
    return Known(kind=kind, at=AT + timedelta(seconds=seconds), bounce=bounce)


HARD, SOFT, BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK


@pytest.mark.parametrize(
    ("facts", "fate", "seconds"),
    [
        ([known(ReceiptKind.DEFERRED, 1), known(ReceiptKind.DEFERRED, 9)], Fate.DEFERRED, 9),
        ([known(ReceiptKind.DEFERRED, 9), known(ReceiptKind.DELIVERED, 1)], Fate.DELIVERED, 1),
        ([known(ReceiptKind.DELIVERED, 3), known(ReceiptKind.DELIVERED, 1)], Fate.DELIVERED, 1),
        ([known(ReceiptKind.DELIVERED, 9), known(ReceiptKind.BOUNCED, 1, SOFT)], Fate.BOUNCED, 1),
        ([known(ReceiptKind.BOUNCED, 5, HARD), known(ReceiptKind.BOUNCED, 1, SOFT)], Fate.BOUNCED, 5),
        ([known(ReceiptKind.BOUNCED, 5, BLOCK), known(ReceiptKind.BOUNCED, 1, SOFT)], Fate.BOUNCED, 1),
        ([known(ReceiptKind.BOUNCED, 1, HARD), known(ReceiptKind.COMPLAINED, 7)], Fate.COMPLAINED, 7),
        ([known(ReceiptKind.REJECTED, 1), known(ReceiptKind.SENT, 0)], Fate.REJECTED, 1),
    ],
)
def test_the_gravest_fact_counts_and_of_two_the_first(facts: list[Known], fate: Fate, seconds: int) -> None:
    """Deferred < delivered < rejected < bounced < bounced for good < complained; the newest delay."""
    found = fate_of(facts)

    assert found is not None
    assert (found.fate, found.at) == (fate, AT + timedelta(seconds=seconds))


def test_what_people_do_with_a_mail_is_no_fate() -> None:
    """Opens, clicks, answers and absence notices are receipts, and nothing more."""
    assert fate_of(known(kind) for kind in SILENT) is None


@pytest.mark.parametrize(
    ("kind", "bounce", "is_about_another", "blame"),
    [
        (ReceiptKind.BOUNCED, HARD, False, Blame.DEAD),
        (ReceiptKind.BOUNCED, HARD, True, Blame.SOFT),
        (ReceiptKind.BOUNCED, SOFT, False, Blame.SOFT),
        (ReceiptKind.BOUNCED, None, False, Blame.SOFT),
        (ReceiptKind.BOUNCED, BLOCK, False, None),
        (ReceiptKind.REJECTED, None, False, None),
        (ReceiptKind.REJECTED, HARD, False, Blame.DEAD),
        (ReceiptKind.COMPLAINED, None, True, Blame.COMPLAINT),
        (ReceiptKind.UNSUBSCRIBED, None, False, Blame.UNSUBSCRIBE),
        (ReceiptKind.DEFERRED, SOFT, False, None),
        (ReceiptKind.AUTO_REPLIED, None, False, None),
        (ReceiptKind.DELIVERED, None, False, None),
    ],
)
def test_only_the_recipient_is_blamed_for_what_is_theirs(
    kind: ReceiptKind,
    bounce: BounceClass | None,
    is_about_another: bool,  # noqa: FBT001
    blame: Blame | None,
) -> None:
    """A block is about us; a member of a list is another."""
    assert blame_of(kind, bounce, is_about_another=is_about_another) is blame


S = Earlier("sent", "bounced", True)
OK, DELIVERED = Earlier("sent", None, False), Earlier("sent", "delivered", False)
BLOCKED, QUEUED = Earlier("sent", "bounced", False), Earlier("queued", None, False)
FAILED_SOFT = Earlier("failed", None, True)


@pytest.mark.parametrize(
    ("newest_first", "count"),
    [
        ([], 0),
        ([S, S, S], 3),
        ([S, FAILED_SOFT, S], 3),
        ([OK, OK, S, S], 2),
        ([S, OK, S], 1),
        ([DELIVERED, S, S], 0),
        ([S, DELIVERED, S], 1),
        ([S, BLOCKED, S, QUEUED, S], 3),
        ([QUEUED, S], 1),
    ],
)
def test_a_row_of_soft_bounces_ends_where_something_arrived(
    newest_first: Sequence[Earlier], count: int
) -> None:
    """What is newer than the last bounce is not known yet, unless it was delivered."""
    assert soft_in_a_row(newest_first) == count


def sibling(position: int, status: str = "sent", fate: str | None = None) -> Sibling:
    """Return another message of a notification."""
    return Sibling(position=position, status=status, fate=fate)


@pytest.mark.parametrize(
    ("siblings", "is_left"),
    [
        ([], True),
        ([sibling(0, fate="bounced")], True),
        ([sibling(0, status="suppressed")], True),
        ([sibling(0)], False),
        ([sibling(0, status="queued")], False),
        ([sibling(0, status="unknown")], False),
        ([sibling(1, status="failed")], False),
    ],
)
def test_who_was_told_otherwise_is_not_told_again(siblings: list[Sibling], is_left: bool) -> None:  # noqa: FBT001
    """A later channel had its turn, or another message reached them, or may."""
    assert is_left_untold(0, siblings) is is_left


def test_a_verdict_says_why_in_words() -> None:
    """The class of a bounce and its reason, where there are any."""
    found = fate_of([Known(kind=ReceiptKind.BOUNCED, at=AT, bounce=HARD, reason="userunknown")])
    plain = fate_of([Known(kind=ReceiptKind.DELIVERED, at=AT)])

    assert found is not None
    assert plain is not None
    assert (found.words, plain.words) == ("hard: userunknown", None)
