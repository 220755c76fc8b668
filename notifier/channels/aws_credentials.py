"""Sign requests to Amazon, with the keys of the settings or those of the role of this machine.

Keeps nothing on disk; a key is never told, to logs neither.
"""

import logging
import threading
import time
from typing import Any, Protocol

from notifier.errors import Fault, PermanentFailure, Phase, Reply, TemporaryFailure

_SECONDS = 5
"""For a connection to Amazon's token service, and for its answer; twice at most."""

HOLD_SECONDS = 60.0
"""So long the same keys are handed out unasked: who gives them may be slow, or away, near their end."""

# At DEBUG it writes down what it signs, the session token among it.
logging.getLogger("botocore").setLevel(logging.CRITICAL)


class Keys(Protocol):
    """Where keys come from."""

    def current(self) -> Any:
        """Return botocore's ``ReadOnlyCredentials``, good for a request that is sent at once.

        Raises:
            PermanentFailure: there are none.
            TemporaryFailure: they cannot be had right now.
        """
        ...

    def forget(self) -> None:
        """Look anew before the next request: Amazon does not take them any more."""
        ...


class OwnKeys:
    """The keys of the settings."""

    def __init__(self, access_key_id: str, secret_access_key: str, session_token: str | None) -> None:
        # Here, so that whoever has no such provider never loads it.
        from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415

        self._keys = ReadOnlyCredentials(access_key_id, secret_access_key, session_token)

    def current(self) -> Any:
        """Return them."""
        return self._keys

    def forget(self) -> None:
        """Nothing to do: no others are known."""


class MachineKeys:
    """The keys botocore finds: variables, files, web identity, container, instance, in its order.

    Those of a role end within hours. botocore fetches others from 15 minutes before that on, and no request waits for
    it until 10 minutes before. Shared between threads.

    Source: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html.

    Args:
        region: Where a role is asked for.
    """

    def __init__(self, region: str) -> None:
        self._region, self._lock = region, threading.Lock()
        self._found: Any = None
        self._held: tuple[float, Any] | None = None
        """Until when (monotonic), and the keys."""

    @property
    def method(self) -> str:
        """Where they were found, in botocore's words such as ``iam-role``; empty while they were not."""
        return str(getattr(self._found, "method", "") or "")

    def current(self) -> Any:
        """Return what is good now; the first time, and near its end, that asks over the network."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        held = self._held
        if held is not None and time.monotonic() < held[0]:
            return held[1]
        try:
            with self._lock:
                found = self._found = self._found or self._looked_up()
            if found is not None:
                keys = found.get_frozen_credentials()
                self._held = (time.monotonic() + HOLD_SECONDS, keys)
                return keys
        # RuntimeError: those that were fetched are over, too. The others: files that are not as they should be.
        except (BotoCoreError, ClientError, RuntimeError, OSError, ValueError, LookupError) as error:
            raise _away(error) from None
        raise PermanentFailure(
            "no access key is set, and this machine has no role",
            fault=Fault.CREDENTIALS, reply=Reply(phase=Phase.AUTH), reason="no-credentials",
        )  # fmt: skip

    def forget(self) -> None:
        """Look anew: the role may have others than its end promised."""
        with self._lock:
            self._found = self._held = None

    def _looked_up(self) -> Any:
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        # Each time another: a session remembers what it found.
        session = Session()
        session.set_config_variable("region", self._region)
        patience = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
        session.set_default_client_config(patience)
        return session.get_credentials()


def signed(
    keys: Keys, *, service: str, region: str, method: str, url: str, body: bytes = b""
) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request of JSON, its signature (version 4) among them: good for minutes only.

    Raises:
        SendError: there are no keys, or not right now.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    request = AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(keys.current(), service, region).add_auth(request)
    return tuple(request.headers.items())


def _away(error: Exception) -> TemporaryFailure:
    """Return the failure; what the library says may quote what it got."""
    return TemporaryFailure(
        f"the credentials of this machine's role cannot be had: {type(error).__name__}",
        fault=Fault.CREDENTIALS, reply=Reply(phase=Phase.AUTH), reason="credentials-away",
    )  # fmt: skip
