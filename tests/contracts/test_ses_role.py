"""Amazon SES without keys: those of the machine's role sign, are renewed in time, and are told to nobody."""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.utils import ContainerMetadataFetcher

from notifier.channels import aws_credentials
from notifier.channels.aws_credentials import MachineKeys
from notifier.channels.base import Channel
from notifier.channels.registry import check_providers
from notifier.channels.ses import Ses
from notifier.documents import ConfigErrors
from notifier.errors import Fault, PermanentFailure, Phase, TemporaryFailure
from tests.contracts.aws_metadata_server import BEARER, AwsMetadataServer, role_keys
from tests.contracts.http_server import Answer
from tests.contracts.ses_server import CASE, REGION, SesServer, error

VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_EC2_METADATA_DISABLED",
)  # fmt: skip


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where nothing gives keys, and nobody is asked on the network."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def metadata() -> Iterator[AwsMetadataServer]:
    """What gives the role's keys."""
    with AwsMetadataServer() as server:
        yield server


@pytest.fixture
def instance(metadata: AwsMetadataServer, monkeypatch: pytest.MonkeyPatch) -> AwsMetadataServer:
    """An instance with a role."""
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
    return metadata


@pytest.fixture
def container(metadata: AwsMetadataServer, monkeypatch: pytest.MonkeyPatch) -> AwsMetadataServer:
    """A container with a role."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{metadata.url}/container/keys")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", BEARER)
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    return metadata


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether keys end soon is looked at for each request."""
    monkeypatch.setattr(aws_credentials, "HOLD_SECONDS", 0)


@pytest.fixture
def ses() -> Iterator[SesServer]:
    """Amazon, which knows the role's first keys."""
    with SesServer() as server:
        server.secrets = dict(role_keys(number)[:2] for number in range(1, 9))
        yield server


def channel(ses: SesServer) -> Channel:
    """Return a channel without keys."""
    return CASE.channel("ses", ses.url, access_key_id=None, secret_access_key=None)


def send(through: Channel, times: int = 1) -> None:
    """Send over one session, as the pipeline does."""
    session = through.open()
    try:
        for _ in range(times):
            session.refresh()
            session.send(through.prepare(CASE.message()))
    finally:
        session.close()


def test_an_instances_role_signs(ses: SesServer, instance: AwsMetadataServer) -> None:
    """Version 2 of its service, asked once for all messages and sessions; the session token is signed along."""
    through = channel(ses)

    send(through, 3)
    send(through)

    assert [one.token for one in ses.received] == [role_keys(1)[2]] * 4
    assert instance.given == 1
    assert [one.method for one in instance.questions] == ["PUT", "GET", "GET"]


def test_a_containers_role_signs(ses: SesServer, container: AwsMetadataServer) -> None:
    """With the word the container was given."""
    send(channel(ses))

    assert [one.token for one in ses.received] == [role_keys(1)[2]]
    assert container.given == 1


def test_variables_and_files_give_keys(
    ses: SesServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As with any program of Amazon's; variables win."""
    key, secret, token = role_keys(2)
    file = tmp_path / "credentials"
    file.write_text(
        f"[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\naws_session_token={token}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    send(channel(ses))
    for name, value in zip(VARIABLES, role_keys(3), strict=False):
        monkeypatch.setenv(name, value)
    send(channel(ses))

    assert [one.token for one in ses.received] == [token, role_keys(3)[2]]


@pytest.mark.usefixtures("impatient")
def test_keys_are_renewed_before_they_end(ses: SesServer, container: AwsMetadataServer) -> None:
    """From 15 minutes before: the next message has others, on the same session; those that last stay."""
    container.lifetime = timedelta(minutes=12)
    through = channel(ses)
    session = through.open()
    first = container.given

    container.lifetime = timedelta(hours=6)
    for _ in range(2):
        session.refresh()
        session.send(through.prepare(CASE.message()))
    session.close()

    assert [one.token for one in ses.received] == [role_keys(first + 1)[2]] * 2
    assert container.given == first + 1


@pytest.mark.usefixtures("impatient")
def test_while_they_are_good_who_gives_them_may_be_away(ses: SesServer, container: AwsMetadataServer) -> None:
    """A machine that has none yet waits for it: the flow rests, and is tried again."""
    container.lifetime = timedelta(minutes=12)
    through = channel(ses)
    session = through.open()
    container.always(Answer(500, ""))

    session.refresh()
    session.send(through.prepare(CASE.message()))
    session.close()
    fresh = channel(ses)
    with pytest.raises(TemporaryFailure) as away:
        fresh.open()

    assert len(ses.received) == 1
    assert (away.value.fault, away.value.reason) == (Fault.CREDENTIALS, "credentials-away")
    assert away.value.reply.phase is Phase.AUTH


@pytest.mark.usefixtures("impatient")
def test_keys_near_their_end_sign_nothing(ses: SesServer, container: AwsMetadataServer) -> None:
    """Who gives them is away, and they would be over before the answer: the session is done for."""
    through = channel(ses)
    session = through.open()
    container.lifetime = timedelta(minutes=5)
    vars(vars(through)["_dialect"])["_keys"].forget()
    session.refresh()
    container.always(Answer(500, ""))

    with pytest.raises(TemporaryFailure):
        session.refresh()

    assert not session.is_usable
    session.close()


def test_near_their_end_they_are_not_asked_for_by_every_message(
    ses: SesServer, container: AwsMetadataServer
) -> None:
    """A minute long the same ones do."""
    container.lifetime = timedelta(minutes=12)

    send(channel(ses), 5)

    assert len({one.token for one in ses.received}) == 1
    assert container.given <= 2


def test_keys_amazon_takes_no_more_are_looked_up_anew(ses: SesServer, instance: AwsMetadataServer) -> None:
    """A role may have been changed: the message that met it is tried again with others."""
    through = channel(ses)
    ses.on(error(403, "ExpiredTokenException"))
    with pytest.raises(PermanentFailure) as over:
        send(through)

    send(through)

    assert over.value.fault is Fault.CREDENTIALS
    assert [one.token for one in ses.received] == [role_keys(2)[2]]
    assert instance.given == 2


def test_without_keys_and_role_nothing_is_sent(ses: SesServer) -> None:
    """The flow rests, as where a log-in fails; a check says it before."""
    with pytest.raises(PermanentFailure) as none:
        channel(ses).open()
    settings = Ses(kind="ses", region=REGION)
    with pytest.raises(ConfigErrors) as refused:
        check_providers({"cloud": settings})

    assert (none.value.fault, none.value.reply.phase) == (Fault.CREDENTIALS, Phase.AUTH)
    assert none.value.reason == "no-credentials"
    (wrong,) = refused.value.errors
    assert wrong.field == "providers.cloud.access_key_id"
    assert "this machine has no role" in wrong.problem
    assert "secret_access_key" in str(wrong.mend)


def test_a_profile_there_is_none_of_is_told(ses: SesServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any mistake in what Amazon's programs read."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(TemporaryFailure) as wrong:
        channel(ses).open()

    assert "ProfileNotFound" in str(wrong.value)


def test_a_role_is_asked_for_once_by_all_threads(instance: AwsMetadataServer) -> None:
    """However many begin at once."""
    keys, found = MachineKeys(REGION), []
    threads = [threading.Thread(target=lambda: found.append(keys.current().access_key)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert found == [role_keys(1)[0]] * 8
    assert instance.given == 1
    assert keys.method == "iam-role"


def test_no_key_is_written_down(
    ses: SesServer, container: AwsMetadataServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at the most talkative level of all libraries, nor in what may be printed by mistake."""
    caplog.set_level(logging.DEBUG)
    container.lifetime = timedelta(minutes=12)
    through = channel(ses)
    send(through, 2)
    container.always(Answer(500, f'{{"SecretAccessKey": "{role_keys(1)[1]}"}}'))
    with pytest.raises(TemporaryFailure) as away:
        channel(ses).open()

    said = f"{caplog.text}{away.value!r}{through!r}{vars(through)!r}"
    for number in (1, 2):
        for secret in role_keys(number):
            assert secret not in said
