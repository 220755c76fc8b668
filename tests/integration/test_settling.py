"""Messages that were not simply sent end somewhere, for a reason on record, and nobody else waits (S5)."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from notifier.catalog import Catalog
from notifier.channels.smtp_connection import network
from notifier.crypto import MasterKeys, blind_index
from notifier.errors import Phase
from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.pipeline.relays.flows import Place
from notifier.store import sending, suppressions, work
from notifier.store.database import Database
from notifier.store.keyrings import rotate
from notifier.store.roles import MIGRATOR
from tests.contracts.smtp_server import At, Hang, Say
from tests.services import ROOT, Flow, MakeFlow, as_role


def channels(flow: Flow) -> list[tuple[str, str]]:
    """Return (channel, status) of all messages, oldest first."""
    return [(channel, status) for channel, status, _ in flow.messages()]


def test_a_suppressed_address_leaves_the_other_channels(flow: Flow) -> None:
    """A mailbox that bounced is no reason not to send an SMS."""
    email = flow.services.catalog["returns.approved"].sample["customer"]["email"]
    index = blind_index(flow.services.keyring.index_key, "default", email)
    with flow.services.database.connection() as connection:
        suppressions.suppress(connection, "default", index, "hard bounce 5.1.1")

    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()

    assert channels(flow) == [("email", "suppressed"), ("sms", "sent")]
    assert flow.states() == ["sent"]


def test_a_mail_that_must_travel_encrypted_goes_another_way_and_holds_nobody(flow: Flow) -> None:
    """The relay has no TLS: the reset goes by SMS, the order beside it goes out at once."""
    flow.ingest(flow.sample("account.password_reset"), flow.sample("order.shipped"), lane=Urgency.URGENT)
    flow.deliver()

    assert ("email", "failed") in channels(flow)
    assert ("sms", "sent") in channels(flow)
    assert ("email", "sent") in channels(flow)
    assert flow.query("SELECT count(*) FROM relay_pause") == [(0,)]


@pytest.mark.parametrize("at", [At.RCPT, At.DATA, At.DOT])
def test_a_policy_refusal_of_one_message_holds_no_other(flow: Flow, at: At) -> None:
    """550 5.7.1 about one recipient or content: that message falls back, the relay goes on."""
    flow.smtp.on(at, Say("550 5.7.1 refused by policy"))

    flow.ingest(flow.sample("returns.approved"), flow.sample("order.shipped"))
    flow.deliver()

    assert sorted(channels(flow)) == [("email", "failed"), ("email", "sent"), ("sms", "sent")]
    assert flow.query("SELECT count(*) FROM relay_pause") == [(0,)]


def test_without_an_sms_gateway_the_portal_is_next(make_flow: MakeFlow) -> None:
    """A channel nobody configured is left out of the plan, not waited for."""
    flow = make_flow(sms=None)
    flow.smtp.on(At.RCPT, Say("550 5.1.1 no such user"))

    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()

    assert channels(flow) == [("email", "failed"), ("portal", "sent")]


def test_messages_of_a_relay_that_was_renamed_go_to_the_new_one(make_flow: MakeFlow) -> None:
    """Nothing waits for a name nobody answers to."""
    flow = make_flow()
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET relay = 'old-name', due_at = now() - interval '2 minutes'")

    flow.services.sweep.run()
    flow.deliver()

    assert channels(flow) == [("email", "sent")]


def test_messages_of_a_channel_nobody_serves_any_more_fall_back(make_flow: MakeFlow) -> None:
    """The gateway was taken out of the configuration while a message waited for it."""
    before = make_flow()
    before.smtp.on(At.RCPT, Say("550 5.1.1 no such user"))
    before.ingest(before.sample("returns.approved"))
    before.services.deliver.run(ChannelName.EMAIL, "normal")
    flow = make_flow(sms=None)
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET due_at = now() - interval '2 minutes'")

    flow.services.sweep.run()
    flow.deliver()

    assert channels(flow) == [("email", "failed"), ("sms", "failed"), ("portal", "sent")]
    assert "no relay 'sms'" in (flow.messages()[1][2] or "")


def test_a_process_with_the_old_keyring_finds_the_keys_of_a_rotation(
    flow: Flow, make_flow: MakeFlow, database_url: str
) -> None:
    """Rotating needs no restart: what was sealed under the new key opens."""
    from tests.conftest import MASTER_KEY

    _ = flow.services.keyring
    owner = Database(as_role(database_url, MIGRATOR), size=1)
    with owner.transaction() as connection:
        rotate(connection, MasterKeys.parse(MASTER_KEY))
    owner.dispose()

    make_flow().ingest(flow.sample("order.shipped"))
    flow.deliver()

    assert channels(flow) == [("email", "sent")]


def test_a_type_this_process_does_not_know_waits_for_one_that_does(
    flow: Flow, make_flow: MakeFlow, tmp_path: Path
) -> None:
    """A rolling deployment loses nothing."""
    import shutil

    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config/events/orders.yaml").unlink()
    (tmp_path / "config/rules/orders.yaml").unlink()
    flow.ingest(flow.sample("order.shipped"))

    make_flow(config_dir=tmp_path / "config").deliver()

    assert channels(flow) == [("email", "deferred")]
    assert "order.shipped" in (flow.messages()[0][2] or "")
    flow.make_due()
    flow.deliver()
    assert channels(flow) == [("email", "sent")]


def test_a_row_whose_event_is_gone_ends(flow: Flow) -> None:
    """Nothing is taken and dropped for ever."""
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        connection.execute("DELETE FROM event")

    flow.deliver()

    assert channels(flow) == [("email", "failed")]
    assert flow.query("SELECT count(*) FROM work") == [(0,)]


def test_a_relay_that_hangs_is_left_alone_after_one_message(flow: Flow) -> None:
    """The second message does not wait through the same silence; the relay rests."""
    flow.smtp.on(At.MAIL, Hang())
    flow.ingest(*[flow.sample("order.shipped") for _ in range(3)])

    started = time.monotonic()
    flow.services.deliver.run(ChannelName.EMAIL, "normal")
    took = time.monotonic() - started

    assert took < 5
    assert flow.query("SELECT count(*) FROM relay_pause WHERE until > now()") == [(1,)]
    assert sorted(row[0] for row in flow.query("SELECT attempt FROM work")) == [0, 0, 1]
    flow.make_due()
    flow.deliver()
    flow.deliver()
    assert [status for _, status in channels(flow)] == ["sent"] * 3


def test_a_mistake_of_our_own_in_an_adapter_is_unknown_not_forever(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a session raises, the message ends up on record and is tried again."""
    from notifier.channels.smtp_session import SmtpSession

    send = SmtpSession.send
    broken = iter([True])

    def sometimes(self: SmtpSession, message: object) -> object:
        if next(broken, False):
            raise KeyError("jane@example.com")
        return send(self, message)  # type: ignore[arg-type]

    monkeypatch.setattr(SmtpSession, "send", sometimes)
    flow.ingest(flow.sample("order.shipped"), flow.sample("order.shipped"))
    flow.deliver()
    flow.make_due()
    flow.deliver()

    assert [status for _, status in channels(flow)] == ["sent", "sent"]
    assert ("unknown", "KeyError") in flow.query("SELECT outcome, reason FROM attempt")


def test_slow_live_data_holds_nobody_until_the_claim_is_lost(make_flow: MakeFlow) -> None:
    """Writing stops in time, sends what it has and gives the rest back."""
    flow = make_flow(tuning={"claim_lease": "2s"})
    render = flow.services.composer.render

    def slowly(*arguments: object) -> object:
        time.sleep(0.3)
        return render(*arguments)  # type: ignore[arg-type]

    flow.services.composer.render = slowly  # type: ignore[method-assign, assignment]
    flow.ingest(*[flow.sample("order.shipped") for _ in range(6)])

    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    sent = len(flow.smtp.received)
    assert 1 <= sent < 6
    assert flow.query("SELECT count(*) FROM work WHERE state = 0") == [(6 - sent,)]


def test_a_message_unknown_and_unready_stays_unknown(flow: Flow, make_flow: MakeFlow, tmp_path: Path) -> None:
    """A process that cannot open it must not turn "may have arrived" into "not sent yet"."""
    import shutil

    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config/events/orders.yaml").unlink()
    (tmp_path / "config/rules/orders.yaml").unlink()
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        (claimed,) = work.claim(
            connection, relay="default", channel="email", lane="normal", limit=1, token=uuid4(),
            lease=timedelta(0),
        )  # fmt: skip
        sending.mark_sending(connection, claimed, timedelta(0))

    make_flow(config_dir=tmp_path / "config").services.sweep.run()

    assert flow.query("SELECT state, is_sending FROM work") == [(1, True)]


def test_two_relays_and_one_hangs_while_sms_goes_on(make_flow: MakeFlow) -> None:
    """Another channel of the same process is not held by a hung relay."""
    flow = make_flow(
        lists={
            name: [{"email": f"{name}@notifier.example", "phone": "+4930123401"}]
            for name in ("operators", "on-call", "returns-staff", "sales", "helpdesk")
        }
    )
    flow.smtp.always(At.GREETING, Hang())
    flow.ingest(flow.sample("order.shipped"))
    hung = threading.Thread(target=flow.services.deliver.run, args=(ChannelName.EMAIL, "normal"))
    hung.start()

    flow.ingest(flow.sample("login.repeated_failures"), lane=Urgency.URGENT)
    flow.services.deliver.run(ChannelName.SMS, "urgent")
    while_hung = hung.is_alive()
    hung.join()

    assert while_hung
    assert len(flow.sms.received) == 1


# Time on a channel


def test_the_last_channel_of_a_plan_has_all_the_time_that_is_left(make_flow: MakeFlow) -> None:
    """Without a gateway the mail is alone: its five minutes are over, and it is tried on (S3)."""
    flow = make_flow(sms=None)
    flow.smtp.on(At.RCPT, Say("451 4.7.1 greylisted"))
    flow.ingest(flow.sample("account.password_reset"))

    assert flow.query("SELECT w.expires_at = n.deadline FROM work w, notification n") == [(True,)]


def test_what_has_no_other_channel_is_left_to_its_tries_by_the_sweep(make_flow: MakeFlow) -> None:
    """Also where an older release wrote an earlier end: it neither postpones the try nor comes every second."""
    flow = make_flow(sms=None)
    flow.ingest(flow.sample("account.verification"))
    with flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE work SET expires_at = now() - interval '1 second', due_at = now() + interval '1 hour'"
        )

    flow.services.sweep.run()
    again = flow.services.sweep.run()

    assert again["expired"] == 0
    rows = flow.query(
        """SELECT w.state, w.expires_at = n.deadline, w.due_at > now() + interval '50 minutes'
           FROM work w, notification n"""
    )
    assert rows == [(0, True, True)]


def test_what_waits_for_another_process_does_not_come_every_second(make_flow: MakeFlow) -> None:
    """Its type is unknown here and its channel's time is over: it waits, and lets others be looked at."""
    other, flow = make_flow(), make_flow()
    other.ingest(other.sample("order.shipped"))
    known = {entry.type: entry for entry in other.services.catalog if entry.type != "order.shipped"}
    vars(flow.services)["catalog"] = Catalog(known)
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET expires_at = now() - interval '1 second'")

    flow.services.sweep.run()

    assert flow.query("SELECT w.expires_at = n.deadline FROM work w, notification n") == [(True,)]
    assert flow.services.sweep.run()["expired"] == 0


@pytest.mark.parametrize("end", ["suppressed", "deadline"])
def test_what_may_have_arrived_ends_as_unknown_whatever_stops_it(flow: Flow, end: str) -> None:
    """The gate, or the deadline: nobody may say that it was never sent."""
    flow.ingest(flow.sample("returns.approved"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET may_have_arrived = true")
        if end == "deadline":
            connection.execute("UPDATE notification SET deadline = now() - interval '1 second'")
        else:
            email = flow.services.catalog["returns.approved"].sample["customer"]["email"]
            index = blind_index(flow.services.keyring.index_key, "default", email)
            suppressions.suppress(connection, "default", index, "hard bounce 5.1.1")

    flow.deliver()

    assert channels(flow) == [("email", "unknown")]
    assert flow.states() == ["unknown"]
    assert flow.smtp.received == []


def test_a_relay_that_is_away_says_nothing_about_what_is_another_workers_by_now(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was slow, its claim ran out, and another one has sent the mail: the record stays as it is."""
    flow.ingest(flow.sample("order.shipped"))

    def taken(_place: Place) -> None:
        with flow.services.database.connection() as connection:
            connection.execute("UPDATE work SET token = gen_random_uuid()")
            connection.execute("UPDATE message SET status = 'sent'")
        raise network(Phase.CONNECT, "timeout")

    monkeypatch.setattr(Place, "session", taken)

    flow.deliver()

    assert channels(flow) == [("email", "sent")]
    assert flow.query("SELECT count(*) FROM attempt") == [(0,)]


def test_a_message_above_the_limit_is_not_sent(make_flow: MakeFlow) -> None:
    """Nobody need find out from a relay; the reason says the limit, and the next channel has its turn."""
    flow = make_flow(limits={"message_bytes": 3000})

    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()

    assert channels(flow)[0] == ("email", "failed")
    assert flow.smtp.received == []
    assert "too-large" in (flow.messages()[0][2] or "")
