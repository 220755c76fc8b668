"""Look whether those who take our messages let us in: one verdict per relay, one for the gateway.

Opens a session and closes it, or asks for the account; hands nothing over.
"""

import base64
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Final

import httpcore
import httpx

from notifier.channels.base import Channel
from notifier.channels.http_deadline import NOT_ANSWERED, NOT_CONNECTED, NOT_WRITTEN, DeadlineBackend
from notifier.channels.inquiry import ask
from notifier.channels.provider import ProviderSettings
from notifier.channels.registry import KINDS
from notifier.errors import Fault, SendError
from notifier.pipeline.checks.verdict import Check, State, fail, ok, warn
from notifier.setting_tables import Relay, Sms

_HTTP_SECONDS: Final = 5.0
"""For all of it: finding the host, connecting, and an answer that drips."""


def check_relay(name: str, relay: Relay, channel: Channel) -> Check:
    """The relay lets us in; a session is opened and closed."""
    check, place = f"relay {name}", f"{relay.host}:{relay.port}"
    started = time.monotonic()
    try:
        with closing(channel.open()):
            seconds = time.monotonic() - started
    except SendError as failure:
        reply = " ".join(str(part) for part in (failure.reply.code, failure.reply.text) if part)
        detail = f"{place} at {failure.reply.phase}: {failure.reason}" + (f" ({reply})" if reply else "")
        return fail(check, detail, _RELAY_MENDS.get(failure.fault, f"see relays.{name} in notifier.yaml"))
    tls = {"starttls": "STARTTLS", "implicit": "TLS", "none": "no TLS"}[relay.security]
    detail = f"{place}, {tls}, {'logged in' if relay.username else 'no login'}, {seconds:.2f} s"
    if relay.security == "none" and relay.host not in {"127.0.0.1", "::1", "localhost"}:
        return warn(check, detail, f"set relays.{name}.security to starttls or implicit")
    return ok(check, detail)


_RELAY_MENDS: Mapping[Fault, str] = {
    Fault.NETWORK: "check host, port and firewall; messages wait meanwhile",
    Fault.TLS: "check the relay's certificate, ca_file and security",
    Fault.CREDENTIALS: "check username and password",
}


def check_sms(sms: Sms) -> Check:
    """The gateway answers and takes our account; asks for the account, sends nothing."""
    try:
        code = _account_status(sms)
    except (*NOT_CONNECTED, *NOT_WRITTEN, *NOT_ANSWERED) as error:
        return fail("sms", f"{sms.base_url}: {type(error).__name__}", "check sms.base_url and the network")
    status = f"{sms.base_url} answers {code}"
    if code in {401, 403}:
        return fail("sms", status, "check sms.account_sid and sms.auth_token")
    # Gateways that speak only the message part of the API answer 404, 405 or 501 here: they are there.
    if httpx.codes.is_server_error(code) and code != httpx.codes.NOT_IMPLEMENTED:
        return warn("sms", status, "ask the provider; messages wait meanwhile")
    return ok("sms", status)


def check_provider(name: str, settings: ProviderSettings) -> Check:
    """The provider answers, takes our credentials, and lets the account send; sends nothing."""
    kind = KINDS[settings.kind]
    check, over = f"provider {name}", f"{kind.capabilities.channel.value} over {settings.kind}"
    if kind.inquire is None:
        mend = f"`notifier provider test {name} --to ADDRESS`"
        return Check(name=check, state=State.PASS, detail=f"{over}: only a message shows more", mend=mend)
    try:
        seen = ask(kind.inquire(settings), _HTTP_SECONDS)
    except SendError as failure:
        return fail(check, f"{over}: {failure}", "`notifier config check`")
    except (*NOT_CONNECTED, *NOT_WRITTEN, *NOT_ANSWERED) as error:
        mend = f"check the network, and base_url of providers.{name} where it is set"
        return fail(check, f"{over}: {type(error).__name__}", mend)
    return Check(name=check, state=State(seen.level), detail=f"{over}: {seen.words}", mend=seen.mend)


def _account_status(sms: Sms) -> int:
    url = f"{sms.base_url.rstrip('/')}/2010-04-01/Accounts/{sms.account_sid}.json"
    token = base64.b64encode(f"{sms.account_sid}:{sms.auth_token.get_secret_value()}".encode())
    backend = DeadlineBackend()
    backend.deadline = time.monotonic() + _HTTP_SECONDS
    with (
        httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend) as pool,
        pool.stream("GET", url, headers=[(b"Authorization", b"Basic " + token)]) as answer,
    ):
        return answer.status
