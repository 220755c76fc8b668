"""Carry out what people ask for by the links in their mails: stop a category, stop all that may be, undo it.

Runs in the sweep, as the worker; the web process only hands in what was asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.crypto import DataKey, Keyring
from notifier.logs import get_logger
from notifier.pipeline.one_by_one import OneByOne
from notifier.pipeline.people.choices import Chooser
from notifier.pipeline.people.preference_pages import PreferencePages
from notifier.receipts import LINK, Receipt, ReceiptKind
from notifier.recipients.refusals import category_rules, refusable
from notifier.recipients.suppression import ALL, Cause
from notifier.recipients.wishes_form import WishesRefused
from notifier.setting_tables import Tracking
from notifier.store import choices, person_links, suppressions
from notifier.store.choices import Change
from notifier.store.database import Connection, Database
from notifier.store.person_links import LinkAsk
from notifier.store.reports import NotReady, hand_in_within
from notifier.tokens import link_seal_key, message_of_tag, mint_person_token

log = get_logger("consent")

_REASON = "unsubscribed"
_PAGES = frozenset({"show", "save"})


class LinkRequests:
    """Carries out what people asked for by link."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        catalog: Catalog,
        clock: Clock,
        tracking: Mapping[str, Tracking],
    ) -> None:
        self._database, self._keyring, self._clock = database, keyring, clock
        self._rules = category_rules(catalog)
        self._chooser = Chooser(keyring, self._rules)
        self._pages = PreferencePages(keyring, self._chooser, self._rules, tracking, clock)
        self._waiting = OneByOne(
            database=database,
            take=person_links.take_ask,
            carry_out=self._carry_out,
            put_aside=_put_aside,
            committed=self._revoke,
        )

    def run(self) -> int:
        """Carry out what waits, for a stint at most; return how many there were."""
        return self._waiting.run()

    def _revoke(self, ask: LinkAsk) -> None:
        # A worker may have claimed a mail before, and looked before.
        suppressions.revoke(self._database, [(ask.tenant, ask.address_index)])

    def _carry_out(self, connection: Connection, ask: LinkAsk) -> None:
        answer = None
        if ask.kind != "show":
            self._spell_out(connection, ask)
        if ask.kind in _PAGES:
            outcome = self._save(connection, ask) if ask.kind == "save" else "shown"
            answer = self._pages.show(connection, ask, self._seal_key(ask))
        else:
            acts = {"unsubscribe": self._unsubscribe, "all": self._all, "undo": self._undo}
            outcome = acts[ask.kind](connection, ask)
        person_links.finish_ask(connection, ask, outcome, answer)
        log.info("consent.asked", ask=ask.kind, how=ask.how, outcome=outcome)

    def _unsubscribe(self, connection: Connection, ask: LinkAsk) -> str:
        self._refuse(connection, ask, [ask.category])
        self._report(connection, ask)
        return "unsubscribed"

    def _all(self, connection: Connection, ask: LinkAsk) -> str:
        self._refuse(connection, ask, refusable(self._rules))
        self._report(connection, ask)
        return "all"

    def _report(self, connection: Connection, ask: LinkAsk) -> None:
        """Let it be known of the message the link stood in, and to rules that wait for it."""
        message = self._message(ask)
        if message is None:
            return
        told = Receipt(
            kind=ReceiptKind.UNSUBSCRIBED, at=self._clock.now(), source=LINK,
            key=f"unsubscribed:{message}", message=message,
        )  # fmt: skip
        try:
            hand_in_within(connection, LINK, [told])
        except NotReady:  # it is carried out all the same
            log.warning("consent.unreported", message_id=str(message))

    def _refuse(self, connection: Connection, ask: LinkAsk, categories: list[str]) -> None:
        """Refuse in the address book, and by the address's keyed hash, which also holds for who is not in it."""
        known = choices.unsubscribed_scopes(connection, ask.tenant, ask.address_index)
        before = self._chooser.refused(connection, ask)
        added = [one for one in categories if one not in known or one not in before]
        if not added:
            return
        self._chooser.change(connection, ask, lambda mine: mine.refusing(added))
        self._suppress(connection, ask, (category for category in added if category not in known))
        self._record(connection, ask, refused=added)

    def _undo(self, connection: Connection, ask: LinkAsk) -> str:
        back = sorted({*choices.last_refused(connection, ask.digest), ask.category})
        self._chooser.change(connection, ask, lambda mine: mine.wanting(back))
        self._release(connection, ask, back)
        self._record(connection, ask, wanted=back)
        return "undone"

    def _save(self, connection: Connection, ask: LinkAsk) -> str:
        try:
            changed = self._pages.save(connection, ask, self._seal_key(ask))
        except WishesRefused:
            return "refused"
        self._suppress(connection, ask, changed.unsubscribe)
        self._release(connection, ask, changed.resubscribe)
        if changed.refused or changed.wanted or changed.fields:
            self._record(
                connection, ask, refused=changed.refused, wanted=changed.wanted, fields=changed.fields
            )
        return "saved"

    def _spell_out(self, connection: Connection, ask: LinkAsk) -> None:
        """Put a refusal of everything, which providers report, as one of each category: some may be taken back."""
        if ALL not in choices.unsubscribed_scopes(connection, ask.tenant, ask.address_index):
            return
        self._suppress(connection, ask, refusable(self._rules))
        self._release(connection, ask, [ALL])

    def _suppress(self, connection: Connection, ask: LinkAsk, categories: Iterable[str]) -> None:
        for category in categories:
            suppressions.suppress(
                connection, ask.tenant, ask.address_index, _REASON,
                cause=Cause.UNSUBSCRIBE, scope=category, message=self._message(ask),
            )  # fmt: skip

    def _release(self, connection: Connection, ask: LinkAsk, categories: Iterable[str]) -> None:
        for category in categories:
            suppressions.release(
                connection, ask.tenant, ask.address_index, causes=[Cause.UNSUBSCRIBE], scope=category
            )

    def _record(
        self, connection: Connection, ask: LinkAsk, *, refused: Sequence[str] = (),
        wanted: Sequence[str] = (), fields: Sequence[str] = (),
    ) -> None:  # fmt: skip
        if ask.person_key is None:  # erased: the suppression is all that may be kept
            return
        choices.record_change(
            connection,
            Change(
                tenant=ask.tenant,
                person_id=ask.person_id,
                how=ask.how,
                link=ask.digest,
                message_id=self._message(ask),
                refused=refused,
                wanted=wanted,
                fields=fields,
            ),
        )

    def _message(self, ask: LinkAsk) -> UUID | None:
        """Return the message the link stood in, as far as that can be believed."""
        # The listener has a key of its own, and so addresses have another tag than links.
        is_by_mail = ask.how == person_links.BY_MAIL
        key = self._keyring.return_path_key if is_by_mail else self._keyring.token_key
        return message_of_tag(key, self._token(ask), ask.tag)

    def _seal_key(self, ask: LinkAsk) -> DataKey:
        """Return the key of what goes between the page behind the link and this process."""
        return DataKey(link_seal_key(self._token(ask)), b"")

    def _token(self, ask: LinkAsk) -> str:
        """Return the token whose hash the link is: a MAC, so that it need not be kept."""
        return mint_person_token(
            self._keyring.token_key, tenant=ask.tenant, person=ask.person_id, category=ask.category
        )


def _put_aside(connection: Connection, ask: LinkAsk, error: Exception) -> None:
    person_links.finish_ask(connection, ask, "failed")
    log.error("consent.stumbled", ask=ask.kind, error=type(error).__name__)
