"""Whom nothing is sent to, as operators see and change it; and mails nobody knows about (O8, B5)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.command import Run, command, lines
from tests.contracts.smtp_server import At, Say
from tests.services import Flow
from tests.tracking import Tracking, bounced

CUSTOMER = "jo@example.com"


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test."""
    with capture_logs():
        yield command(flow.services)


def test_an_entry_says_why_since_when_and_what_to_do(tracking: Tracking, run: Run) -> None:
    """Every cause is an entry of its own, and names the message that led to it."""
    message = tracking.send()
    email = tracking.flow.services.catalog["order.shipped"].sample["customer"]["email"]
    tracking.report(bounced(message))
    run("suppression", "add", email, "--reason", "asked by phone", "--note", "call 17")

    shown = run("suppression", "show", email)
    listed = lines(run("suppression", "list", email, "--json"))
    none = run("suppression", "show", "nobody@example.com")

    assert "hard_bounce: hard bounce: userunknown (5.1.1)" in shown.stdout
    assert str(message) in shown.stdout
    assert "ask for another address" in shown.stdout
    assert "call 17" in shown.stdout
    assert sorted(one["cause"] for one in listed) == ["hard_bounce", "manual"]
    assert email not in shown.stdout + str(listed)
    assert (none.exit_code, none.stdout) == (1, "not suppressed\n")


def test_lifting_one_cause_leaves_the_others(tracking: Tracking, run: Run) -> None:
    """A bounce that was a mistake is lifted in bulk; what people asked for stays (postal#60)."""
    for number in range(3):
        mail = {"name": "Ann", "email": f"ann{number}@example.org"}
        data = {**tracking.flow.services.catalog["order.shipped"].sample, "customer": mail}
        tracking.report(bounced(tracking.send(subject=f"A-{number}", data=data)))
    run("suppression", "add", "ann1@example.org", "--reason", "asked by phone")

    dry = run("suppression", "remove", "--cause", "hard_bounce", "--since", "1h", "--dry-run")
    kept = len(tracking.suppressions())
    done = run("suppression", "remove", "--cause", "hard_bounce", "--since", "1h")
    again = run("suppression", "remove", "--cause", "hard_bounce")
    nothing = run("suppression", "remove")

    assert dry.stdout == "3 entries would be removed\n"
    assert kept == 4
    assert "removed 3 entries of 3 addresses" in done.stdout
    assert tracking.suppressions() == [("manual", "*")]
    assert (again.exit_code, nothing.exit_code) == (1, 2)


def test_what_was_held_back_is_sent_once_the_address_may_be_written_to_again(
    tracking: Tracking, run: Run
) -> None:
    """As long as it is of use, and nobody was told otherwise; also where --retry was forgotten (postal#1973)."""
    flow = tracking.flow
    customer = {
        **flow.services.catalog["order.shipped"].sample,
        "customer": {"name": "Jo", "email": CUSTOMER},
    }
    run("suppression", "add", CUSTOMER)
    for subject in ("A-1", "A-2"):
        flow.ingest(flow.sample("order.shipped", subject=subject, data=customer))
    with flow.services.database.connection() as connection:
        connection.execute("""UPDATE notification SET plan = '[{"channel": "email", "within": null}]'""")
    flow.deliver()
    before = flow.messages()
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE notification SET deadline = now() WHERE subject = 'A-2'")

    forgotten = run("suppression", "remove", CUSTOMER)
    done = run("suppression", "remove", CUSTOMER, "--retry", "--json")
    again = run("suppression", "remove", CUSTOMER, "--retry")
    tracking.flow.deliver()

    assert [row[:2] for row in before] == [("email", "suppressed")] * 2
    assert "1 messages had been held back, and were not queued" in forgotten.stderr
    assert (done.exit_code, '"queued": 1' in done.stdout, again.exit_code) == (0, True, 1)
    assert tracking.flow.query("SELECT subject, status FROM message ORDER BY subject") == [
        ("A-1", "sent"), ("A-2", "suppressed"),
    ]  # fmt: skip
    assert tracking.flow.query("SELECT state FROM notification ORDER BY subject") == [
        ("sent",),
        ("suppressed",),
    ]


LIST = """address,scope,cause,reason,until
ann@example.org,,,left in 2024,
bob@example.org,orders,complaint,,2031-01-01
no address,,,,
cay@example.org,nothing,,,
dan@example.org,,because,,
eve@example.org,,,,tomorrow
+491701234567,,,,
"""


def test_a_list_is_imported_and_each_wrong_line_named(flow: Flow, run: Run, tmp_path: Path) -> None:
    """The rest is added; no address is repeated in what is said of it; read again, nothing is new."""
    file = tmp_path / "list.csv"
    file.write_text("\ufeff" + LIST, encoding="utf-8")

    dry = run("suppression", "import", str(file), "--dry-run")
    before = flow.query("SELECT count(*) FROM suppression")
    first = run("suppression", "import", str(file), "--json")
    again = run("suppression", "import", str(file))
    rows = flow.query("SELECT cause, scope, reason, until IS NULL FROM suppression ORDER BY cause, reason")

    assert (dry.exit_code, before) == (1, [(0,)])
    assert '"new": 3' in first.stdout
    assert [
        line in again.stderr
        for line in ("line 4: address", "line 5: scope", "line 6: cause", "line 7: until")
    ]
    assert "example.org" not in again.stdout + again.stderr
    assert "added 0 entries; 3 were there already" in again.stdout
    assert rows == [
        ("complaint", "orders", "imported", False), ("import", "*", "imported", True),
        ("import", "*", "left in 2024", True),
    ]  # fmt: skip


UGLY = {
    "a spreadsheet's, in Europe": 'E-Mail ; Reason;UNTIL\r\n ann@example.org;"asked ""twice""; ";\r\n\r\n',
    "tabs": "EmailAddress\tscope\nANN@example.org\torders\n",
    "nothing but addresses": "ann@example.org\r\n\r\n",
    "quoted": '"Address"\n"ann@example.org"',
    "lines that were emptied": "Email;Reason;Note\nann@example.org;;\n;;\n ; ;\n;;;;\n",
}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", UGLY.values(), ids=UGLY)
def test_a_list_is_read_as_people_have_it(
    flow: Flow, run: Run, tmp_path: Path, text: str, encoding: str
) -> None:
    """Whatever stands between the columns, however they are spelled; from a file, or standard input."""
    file = tmp_path / "list.csv"
    file.write_bytes(text.encode(encoding))

    done = run("suppression", "import", str(file))
    again = run("suppression", "import", "-", input=file.read_bytes())

    assert (done.exit_code, done.stderr) == (0, "")
    assert "added 1 entries" in done.stdout
    assert "1 were there already" in again.stdout
    assert run("suppression", "show", "ann@example.org").exit_code == 0


def test_a_provider_s_export_is_taken_with_its_other_columns_left_out(run: Run, tmp_path: Path) -> None:
    """Only where that is wished: a slip in "until" would suppress for good."""
    file = tmp_path / "list.csv"
    file.write_text("address,error,code,created_at\nann@example.org,550 no ann@example.org,550,yesterday\n")

    refused = run("suppression", "import", str(file))
    done = run("suppression", "import", str(file), "--ignore-unknown")

    assert (refused.exit_code, "has a column 'error', which we do not know" in refused.stderr) == (2, True)
    assert (done.exit_code, "added 1 entries" in done.stdout) == (0, True)


def test_a_line_that_is_not_in_utf_8_is_left_out(run: Run, tmp_path: Path) -> None:
    """Else a garbled word would be kept for ever."""
    file = tmp_path / "list.csv"
    file.write_bytes("address,reason\nann@example.org,grüßt\nbob@example.org,ok\n".encode("latin-1"))

    done = run("suppression", "import", str(file))

    assert "line 2: reason: holds what is no UTF-8" in done.stderr
    assert "added 1 entries" in done.stdout


@pytest.mark.parametrize(
    "text", ["", "name,reason\n", "address,email\n", "ann@example.org,left\n", "Ann <ann@example.org>\n"]
)
def test_a_file_that_is_no_list_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    """With the line, and the columns there may be; never with an address."""
    file = tmp_path / "list.csv"
    file.write_text(text, encoding="utf-8")

    refused = run("suppression", "import", str(file))

    assert refused.exit_code == 2
    assert "the first line names the columns" in refused.stderr
    assert "example.org" not in refused.stderr


def test_an_entry_that_is_over_is_not_shown(flow: Flow, run: Run) -> None:
    """It keeps nothing back any more."""
    run("suppression", "add", CUSTOMER, "--until", "2031-01-01")
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE suppression SET until = now()")

    shown, listed = run("suppression", "show", CUSTOMER), run("suppression", "list")

    assert (shown.exit_code, shown.stdout) == (1, "not suppressed\n")
    assert listed.stdout == "nothing is suppressed\n"


def test_an_entry_that_stops_nothing_says_so(run: Run) -> None:
    """A category of which nothing may be refused goes out to who is suppressed for it alone."""
    essential = run("suppression", "add", CUSTOMER, "--scope", "account")
    all_ = run("suppression", "add", CUSTOMER)

    assert "nothing of account may be refused" in essential.stderr
    assert (essential.exit_code, all_.stderr) == (0, "")


def test_an_entry_that_is_over_is_not_made(flow: Flow, run: Run) -> None:
    """A slip in the year would keep nothing back, and say that it does."""
    refused = run("suppression", "add", CUSTOMER, "--until", "2020-01-01")

    assert (refused.exit_code, "is over" in refused.stderr) == (2, True)
    assert flow.query("SELECT count(*) FROM suppression") == [(0,)]


def test_an_export_is_imported_again(flow: Flow, run: Run, tmp_path: Path) -> None:
    """Hashes, causes and times as they were."""
    run("suppression", "add", CUSTOMER, "--reason", "asked, by phone", "--until", "2031-01-01")
    file = tmp_path / "list.csv"
    file.write_text(run("suppression", "export").stdout, encoding="utf-8")
    entries = flow.query("SELECT * FROM suppression")
    run("suppression", "remove", "--all")

    done = run("suppression", "import", str(file))

    assert done.exit_code == 0
    assert flow.query("SELECT * FROM suppression") == entries


@pytest.fixture
def lost_answer(tracking: Tracking) -> Callable[[], str]:
    """Send a mail whose connection is cut behind its last byte."""

    def send() -> str:
        tracking.flow.smtp.on(At.DOT, Say(""))
        return str(tracking.send())

    return send


def test_unknown_mails_are_listed_with_what_to_do(
    tracking: Tracking, run: Run, lost_answer: Callable[[], str]
) -> None:
    """The list says what each waits for; settled by a person, it is not sent again."""
    message = lost_answer()

    listed = run("unknown", "list")
    (entry,) = lines(run("unknown", "list", "--json"))
    settled = run("unknown", "settle", message, "--arrived")
    again = run("unknown", "settle", message, "--arrived")

    assert message in listed.stdout
    assert "unknown settle ID --arrived" in listed.stdout
    assert entry["waits_for"] == "retry"
    assert settled.exit_code == 0
    assert again.exit_code == 3
    assert tracking.flow.messages()[0][:2] == ("email", "sent")
    assert tracking.flow.query("SELECT count(*) FROM work") == [(0,)]
    assert run("unknown", "list").stdout == "nothing is unknown\n"


def test_a_mail_that_was_lost_goes_another_way(
    tracking: Tracking, run: Run, lost_answer: Callable[[], str]
) -> None:
    """The person found out that it never arrived: the next channel has its turn."""
    message = lost_answer()

    done = run("unknown", "settle", message, "--lost")
    tracking.flow.deliver()

    assert "now by sms" in done.stdout
    assert tracking.flow.states() == ["sent"]
    assert [row[:2] for row in tracking.flow.messages()] == [("email", "failed"), ("sms", "sent")]
    assert run("unknown", "settle", message).exit_code == 2
    assert run("unknown", "settle", "nonsense", "--lost").exit_code == 1


WRONG = """address,reason,since
good@a.example,ok,
Ann <named@a.example>,ok,
nul@a.example,"x\0y",
late@a.example,fine,9999-12-31T23:59:59-14:00
told@a.example,as ann@a.example asked,
more@a.example,a,,b
"big@a.example",{big},
"quote@a.example"d,ok,
last@a.example,ok,
open@a.example,"never closed
lost@a.example,ok,
"""


def test_no_line_of_a_list_stops_the_others_or_leaks_an_address(
    tracking: Tracking, run: Run, tmp_path: Path
) -> None:
    """Cells no spreadsheet would write, times beyond the calendar, a quote that swallows the rest: each is said."""
    file = tmp_path / "list.csv"
    file.write_text(WRONG.replace("{big}", "x" * 140_000))

    done = run("suppression", "import", str(file), "--json")

    said = json.loads(done.stdout)
    assert (done.exit_code, said["read"]) == (1, 2)
    assert [(one["line"], one["field"]) for one in said["wrong"]] == [
        (3, "address"), (4, "reason"), (5, "since"), (6, "reason"), (7, "line"), (8, "line"), (9, "line"),
        (11, "line"),
    ]  # fmt: skip
    assert "a.example" not in str(tracking.flow.query("SELECT reason, note FROM suppression"))


def test_nobody_is_suppressed_for_a_tenant_there_is_none_of(run: Run, tmp_path: Path) -> None:
    """A slip in the tenant, or in the address, would keep nothing back and say that it does."""
    file = tmp_path / "list.csv"
    file.write_text("address\na@a.example\n")

    added = run("suppression", "add", "a@a.example", "--tenant", "acmee")
    listed = run("suppression", "import", str(file), "--tenant", "acmee")
    named = run("suppression", "add", "Ann <a@a.example>")

    assert "there is no tenant 'acmee'" in added.stderr
    assert "there is no tenant 'acmee'" in listed.stderr
    assert "is no address" in named.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("01701234567",), "ADDRESS: is no number in E.164"),
        (("+0 170 12",), "ADDRESS: is no number in E.164"),
        (("a@b@c",), "ADDRESS: is no address"),
        ((CUSTOMER, "--note", "mail to bob@example.com"), "--note: holds an address"),
        ((CUSTOMER, "--reason", "bob@example.com asked"), "--reason: holds an address"),
    ],
)
def test_what_would_keep_nothing_back_or_be_kept_in_plain_is_refused(
    run: Run, arguments: tuple[str, ...], says: str
) -> None:
    """Somebody believes that nothing is sent there any more; reasons and notes are not sealed."""
    refused = run("suppression", "add", *arguments)

    assert refused.exit_code == 2
    assert says in refused.stderr
    assert "bob@" not in refused.stderr
    assert run("suppression", "list").stdout == "nothing is suppressed\n"


def test_a_number_in_any_spelling_and_an_endpoint_are_suppressed(run: Run) -> None:
    """What a person types of a number is folded; a webhook's endpoint has a name."""
    run("suppression", "add", "+49 170 123-4567")
    endpoint = run("suppression", "add", "sales")

    assert endpoint.exit_code == 0
    assert run("suppression", "show", "+491701234567").exit_code == 0
    assert run("suppression", "remove", "sales").stdout == "removed 1 entry of 1 address\n"
