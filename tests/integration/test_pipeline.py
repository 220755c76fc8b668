"""An event becomes exactly one mail: ingest, decide, deliver, fall back, record (S1, S3, S5, S6, B3)."""

import json
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from notifier.channels.console import ConsoleChannel
from notifier.crypto import blind_index
from notifier.events import Urgency
from notifier.store import suppressions, tenants
from tests.contracts.sms_server import error
from tests.contracts.smtp_server import At, Close, Say
from tests.services import Flow, MakeFlow


def test_an_event_becomes_one_mail(flow: Flow) -> None:
    """The whole way: stored, decided, rendered, sent, recorded."""
    counts = flow.ingest(flow.sample("order.shipped"))

    sent = flow.deliver()

    assert counts == {"stored": 1, "notifications": 1}
    assert sent == {"sent": 1}
    (mail,) = flow.smtp.received
    parsed = message_from_bytes(mail.data, policy=default)
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert "48213" in parsed["Subject"]
    assert parsed.get_body(("html",)) is not None
    assert flow.messages() == [("email", "sent", None)]
    assert flow.states() == ["sent"]
    assert flow.query("SELECT count(*) FROM work") == [(0,)]


def test_the_same_event_twice_sends_once(flow: Flow) -> None:
    """An event is stored once per (tenant, source, id), in one batch or in two (S3)."""
    event = {**flow.sample("order.shipped"), "id": "order-1"}

    first = flow.ingest(event, event)
    second = flow.ingest(event)
    flow.deliver()

    assert (first["stored"], first["duplicates"]) == (1, 1)
    assert second == {"duplicates": 1}
    assert len(flow.smtp.received) == 1


def test_a_late_earlier_stage_is_recorded_and_not_sent(flow: Flow) -> None:
    """No "approved" after "refunded" (S3)."""
    flow.ingest(flow.sample("returns.refunded"))
    flow.ingest(flow.sample("returns.approved"))

    flow.deliver()

    assert len(flow.smtp.received) == 1
    assert flow.query("SELECT stage FROM journey") == [("refunded",)]
    history = flow.query("SELECT history FROM journey")[0][0]
    assert [(entry["stage"], entry["late"]) for entry in history] == [("refunded", False), ("approved", True)]


def test_an_earlier_stage_waiting_for_a_retry_is_superseded(flow: Flow) -> None:
    """A stale stage is not sent even when it was already on its way (S3)."""
    flow.smtp.on(At.RCPT, Say("450 4.2.0 try later"))
    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()

    flow.ingest(flow.sample("returns.refunded"))
    flow.make_due()
    flow.deliver()

    assert [status for _, status, _ in flow.messages()] == ["superseded", "sent"]
    assert len(flow.smtp.received) == 1


def test_a_hard_bounce_falls_back_to_sms(flow: Flow) -> None:
    """Email refused for good at RCPT: SMS has its turn at once, the reason on record (S5)."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    flow.ingest(flow.sample("returns.approved"))

    flow.deliver()

    assert [(channel, status) for channel, status, _ in flow.messages()] == [
        ("email", "failed"),
        ("sms", "sent"),
    ]
    assert len(flow.sms.received) == 1
    assert flow.states() == ["sent"]
    attempts = flow.query("SELECT outcome, code, enhanced FROM attempt ORDER BY id")
    assert attempts == [("failed", 550, "5.1.1"), ("sent", 201, None)]


def test_sms_refused_falls_back_to_the_portal(flow: Flow) -> None:
    """The last channel of the plan is the inbox (S5)."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    flow.sms.on(error(400, 21211))
    flow.ingest(flow.sample("returns.approved"))

    flow.deliver()

    assert [channel for channel, _, _ in flow.messages()] == ["email", "sms", "portal"]
    data = flow.services.catalog["returns.approved"].sample
    (entry,) = flow.services.inbox.read("default", data["customer"]["email"])
    assert entry.text


def test_a_greylisted_mail_is_tried_again_with_the_same_message_id(flow: Flow) -> None:
    """Temporary failure: the row waits, the second try is the same mail."""
    flow.smtp.on(At.RCPT, Say("450 4.7.1 greylisted, come back later"))
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()

    assert flow.messages()[0][1] == "deferred"
    flow.make_due()
    flow.deliver()

    assert flow.messages() == [("email", "sent", None)]
    assert flow.query("SELECT number, outcome FROM attempt ORDER BY id") == [(1, "deferred"), (2, "sent")]


def test_a_cut_behind_the_dot_is_unknown_and_resent_with_the_same_message_id(flow: Flow) -> None:
    """It may have arrived: the type's policy says resend, and the Message-ID lets receivers drop the twin."""
    flow.smtp.on(At.DOT, Close())
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()

    assert flow.query("SELECT outcome FROM attempt") == [("unknown",)]
    flow.make_due()
    flow.deliver()

    ids = {message_from_bytes(mail.data)["Message-ID"] for mail in flow.smtp.received}
    assert len(ids) == 1
    assert flow.states() == ["sent"]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"type": "no.such_type", "subject": "x", "data": {}}, "type"),
        ({"type": "order.shipped", "subject": "x", "data": {}}, "data"),
        ({"type": "order.shipped", "subject": "x", "data": {}, "tenant": "nobody"}, "tenant"),
        ({"type": "order.shipped", "subject": "a\r\nBcc: x", "data": {}}, "subject"),
        ({"type": "order.shipped", "subject": "x", "data": {}, "time": "yesterday"}, "time"),
        ({"type": "order.shipped", "subject": "x", "data": {"blob": "x" * 300_000}}, "data"),
    ],
)
def test_bad_input_is_refused_with_the_field_and_kept(
    flow: Flow, event: dict[str, object], field: str
) -> None:
    """A clear refusal, a record, and the good event beside it goes through."""
    counts = flow.ingest(event, flow.sample("order.shipped"))
    flow.deliver()

    assert counts["refused"] == 1
    ((kind, found, text),) = flow.query("SELECT kind, field, error FROM dead_letter")
    assert (kind, found) == ("refused", field)
    assert text
    assert len(flow.smtp.received) == 1


def test_bytes_that_are_no_event_are_refused(flow: Flow) -> None:
    """Garbage in the stream hurts nobody else."""
    from notifier.pipeline.incoming import Arrival

    arrivals = [
        Arrival(payload=bad, lane=Urgency.NORMAL, at=datetime.now(UTC))
        for bad in (b"", b"{", b"[1]", b"\xff")
    ]

    counts = flow.services.ingest.arrivals(arrivals)

    assert counts["refused"] == 4


def test_a_missing_template_variable_fails_the_message_with_its_name(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """Half a mail is never sent; the reason names file and variable."""
    import shutil

    from tests.services import ROOT

    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    subject = templates / "order/shipped/subject.txt.j2"
    subject.write_text("{{ data.no_such_field }}")
    flow = make_flow(templates_dir=templates)

    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()

    channel, status, reason = flow.messages()[0]
    assert (channel, status) == ("email", "failed")
    assert "no_such_field" in (reason or "")
    assert "subject.txt.j2" in (reason or "")
    assert flow.smtp.received == []


def test_personal_data_is_nowhere_in_clear(flow: Flow) -> None:
    """Every table is searched for the address, the name and the tracking number (S6, law 10)."""
    flow.smtp.on(At.RCPT, Say("450 4.2.1 <ada.brandt@example.com> is busy"))
    event = flow.sample("order.shipped")
    flow.ingest(event, {**event, "type": "no.such_type"})
    flow.deliver()
    tables = flow.query(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )

    everything = "".join(str(flow.query(f"SELECT to_jsonb(t)::text FROM {name} t")) for (name,) in tables)

    email = event["data"]["customer"]["email"]
    assert len(everything) > 1000
    for secret in (email, email.encode().hex(), event["data"]["customer"]["name"]):
        assert secret not in everything


def test_a_suppressed_address_gets_nothing(flow: Flow) -> None:
    """The gate says why and since when."""
    event = flow.sample("lead.status_changed", to=["sales@notifier.example"])
    index = blind_index(flow.services.keyring.index_key, "default", "sales@notifier.example")
    with flow.services.database.connection() as connection:
        suppressions.suppress(connection, "default", index, "hard bounce 5.1.1")

    flow.ingest(event)
    flow.deliver()

    assert flow.smtp.received == []
    assert {status for _, status, _ in flow.messages()} == {"suppressed"}
    assert "hard bounce" in (flow.messages()[0][2] or "")


def test_a_paused_tenant_waits_and_goes_on(flow: Flow) -> None:
    """Pausing holds mail back; resuming lets it go."""
    with flow.services.database.connection() as connection:
        tenants.set_paused(connection, "default", paused=True)
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()
    assert flow.smtp.received == []

    with flow.services.database.connection() as connection:
        tenants.set_paused(connection, "default", paused=False)
    flow.make_due()
    flow.deliver()

    assert len(flow.smtp.received) == 1


def test_wrong_credentials_rest_the_relay_and_blame_nobody(make_flow: MakeFlow) -> None:
    """The mail waits; nothing falls back, no attempt is used up (law 8)."""
    flow = make_flow()
    flow.smtp.on(At.MAIL, Say("530 5.7.0 authentication required"))
    flow.ingest(flow.sample("order.shipped"), flow.sample("order.delivered"))

    flow.deliver()

    assert flow.sms.received == []
    assert flow.query("SELECT count(*) FROM relay_pause WHERE until > now()") == [(1,)]
    assert flow.query("SELECT attempt FROM work") == [(0,), (0,)]
    flow.make_due()
    flow.deliver()
    flow.deliver()
    assert len(flow.smtp.received) == 2


def test_a_relay_that_is_away_rests_and_comes_back(make_flow: MakeFlow) -> None:
    """No try is charged while nobody answers."""
    flow = make_flow()
    flow.smtp.always(At.GREETING, Close())
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()
    assert flow.messages()[0][1] == "deferred"
    assert flow.query("SELECT attempt, state FROM work") == [(0, 0)]

    flow.smtp.always(At.GREETING, None)
    flow.make_due()
    flow.deliver()

    assert flow.messages()[0][1] == "sent"
    assert flow.query("SELECT count(*) FROM relay_pause") == [(0,)]


def test_an_expired_channel_hands_over_while_its_relay_rests(flow: Flow) -> None:
    """The deadline does not wait for the relay (S5)."""
    flow.smtp.always(At.GREETING, Close())
    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET expires_at = now() - interval '1 second'")
        connection.execute("UPDATE relay_pause SET until = now() + interval '1 hour'")

    flow.services.sweep.run()
    flow.deliver()

    assert [(channel, status) for channel, status, _ in flow.messages()] == [
        ("email", "expired"),
        ("sms", "sent"),
    ]


def test_an_erased_person_gets_nothing_and_can_not_be_read(flow: Flow) -> None:
    """Destroying the key ends waiting messages and closes the stored ones."""
    from notifier.pipeline.people.erase import Eraser

    services = flow.services
    flow.ingest(flow.sample("returns.requested"))
    email = flow.services.catalog["returns.requested"].sample["customer"]["email"]

    assert Eraser(services.database, services.keyring, services.catalog).erase("default", email)
    flow.deliver()

    assert flow.smtp.received == []
    assert flow.messages()[0][1] == "suppressed"
    assert flow.query("SELECT data_key FROM event") == [(None,)]
    assert flow.query("SELECT count(*) FROM timer WHERE key LIKE 'stuck:%%'") == [(0,)]


def test_what_was_said_is_kept_without_its_secrets(flow: Flow) -> None:
    """The body is stored sealed; a reset link in it is blanked (S6, B7)."""
    from notifier.store.messages import unpack

    event = flow.sample("account.password_reset")
    flow.ingest(event, lane=Urgency.URGENT)
    with flow.services.database.connection() as connection:
        from notifier.store.jobs import load_jobs
        from notifier.store.work import Claim

        row = next(iter(load_jobs(connection, [flow.one_id()]).values()))
    from uuid import uuid4

    composer = flow.services.composer
    job = composer.open(row, Claim(row.message_id, uuid4(), 0, row.deadline))
    draft = composer.render(job, flow.services.deliver.settler._tools.lookups.chunk())
    composed = composer.keep(job, composer.write(job, draft, _no_tls_needed()))

    kept = unpack(job.person_key.unseal(composed.body, b"body")).decode()

    assert event["data"]["reset_url"] in composed.prepared.outgoing.content.text
    assert event["data"]["reset_url"] not in kept
    assert json.loads(kept)["text"]


def _no_tls_needed() -> ConsoleChannel:
    import io

    from notifier.channels.console import ConsoleChannel

    return ConsoleChannel(io.StringIO())


def test_a_stuck_return_tells_customer_and_staff(flow: Flow) -> None:
    """When nothing happens for long enough, both hear of it, once (S4)."""
    flow.ingest(flow.sample("returns.requested"))
    flow.deliver()
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE timer SET due_at = now() - interval '1 second' WHERE key LIKE 'stuck:%%'")

    flow.services.sweep.run()
    flow.services.sweep.run()
    flow.deliver()

    assert sorted(row[0] for row in flow.query("SELECT rule FROM notification")) == sorted(
        {row[0] for row in flow.query("SELECT rule FROM notification")}
    )
    recipients = {mail.recipient for mail in flow.smtp.received}
    assert "returns-staff@notifier.example" in recipients
    assert len(flow.smtp.received) == 3


def test_a_schedule_fires_once_per_due_time(flow: Flow) -> None:
    """The daily digest goes out once, from however many sweeps, also after downtime."""
    flow.services.sweep.run()
    with flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE timer SET due_at = due_at - interval '3 days' WHERE key LIKE 'schedule:%%'"
        )

    flow.services.sweep.run()
    flow.services.sweep.run()
    flow.deliver()

    assert flow.query("SELECT count(*) FROM event WHERE type = 'notifier.digest.failures'") == [(1,)]
    assert [mail.recipient for mail in flow.smtp.received] == ["operators@notifier.example"]


def test_a_worker_that_vanished_while_sending_leaves_an_unknown_and_a_retry(flow: Flow) -> None:
    """The lease runs out: the sweep records an unknown try, and the type's policy decides."""
    from uuid import uuid4

    from notifier.store import sending, work

    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        (claimed,) = work.claim(
            connection,
            relay="default",
            channel="email",
            lane="normal",
            limit=1,
            token=uuid4(),
            lease=timedelta(seconds=0),
        )
        assert sending.mark_sending(connection, claimed, timedelta(seconds=0))

    flow.services.sweep.run()
    assert flow.query("SELECT outcome, reason, relay FROM attempt") == [
        ("unknown", "worker_vanished", "default")
    ]
    flow.make_due()
    flow.deliver()

    assert len(flow.smtp.received) == 1
    assert flow.states() == ["sent"]


def test_opted_out_people_are_left_alone(flow: Flow) -> None:
    """A category's opt-out holds for operational mail that is not urgent."""
    from notifier.decisions import Contact
    from notifier.store.contacts import save_contact

    email = "sales@notifier.example"
    key = ("default", blind_index(flow.services.keyring.index_key, "default", email))
    person = flow.services.persons.get([key])[key]
    category = flow.services.catalog["lead.status_changed"].category
    with flow.services.database.connection() as connection:
        save_contact(
            connection,
            flow.services.keyring,
            "default",
            Contact(reference="sales-desk", email=email, opt_outs=frozenset({category})),
            person,
        )

    flow.ingest(flow.sample("lead.status_changed"))
    flow.deliver()

    assert email not in {mail.recipient for mail in flow.smtp.received}


def test_a_poison_timer_goes_to_the_dead_letters_and_the_others_fire(flow: Flow) -> None:
    """One timer nobody can process must not stop the clock for the rest."""
    flow.ingest(flow.sample("returns.requested"), {**flow.sample("returns.requested"), "subject": "R-2"})
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE timer SET due_at = now() - interval '1 second' WHERE key LIKE 'stuck:%%'")
        connection.execute("UPDATE timer SET sealed = 'broken' WHERE key LIKE '%%R-2'")

    flow.services.sweep.run()

    assert flow.query("SELECT kind, type FROM dead_letter") == [("poison", "returns.stuck")]
    assert flow.query("SELECT count(*) FROM event WHERE type = 'returns.stuck'") == [(1,)]


def test_an_outbox_is_drained_with_its_commit(make_flow: MakeFlow, database_url: str) -> None:
    """Rows appear with the producer's commit, are ingested once, and are gone."""
    import psycopg

    from notifier import Client
    from notifier.client.outbox import install

    install(database_url)
    flow = make_flow(outboxes=[database_url])
    event = flow.sample("order.shipped")
    with Client(database_url, source="shop") as client, psycopg.connect(database_url) as producer:
        client.enqueue("order.shipped", subject="O-1", data=event["data"], on=producer)
        before = flow.services.outboxes[0].drain()
        producer.commit()
        after = flow.services.outboxes[0].drain()

    flow.deliver()

    assert (before, after) == (0, 1)
    assert flow.services.outboxes[0].drain() == 0
    assert len(flow.smtp.received) == 1


def test_the_address_book_knows_a_persons_language_and_phone(flow: Flow) -> None:
    """Who is addressed by mail only is told in their language, and can be reached by SMS."""
    from notifier.decisions import Contact
    from notifier.store.contacts import save_contact

    event = flow.sample("returns.approved")
    customer = {**event["data"]["customer"], "email": "Kim@Example.com"}
    customer = {key: value for key, value in customer.items() if key not in {"phone", "locale"}}
    key = ("default", blind_index(flow.services.keyring.index_key, "default", "kim@example.com"))
    person = flow.services.persons.get([key])[key]
    with flow.services.database.connection() as connection:
        save_contact(
            connection,
            flow.services.keyring,
            "default",
            Contact(reference="kim", email="kim@example.com", phone="+4915112345678", locale="de"),
            person,
        )
    flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))

    flow.ingest({**event, "data": {**event["data"], "customer": customer}})
    flow.deliver()

    assert flow.sms.received[0]["To"] == "+4915112345678"
    assert "R\u00fccksendung" in flow.sms.received[0]["Body"] or "Ihre" in flow.sms.received[0]["Body"]
