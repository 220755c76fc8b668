"""The values that stand in several tables of the settings: lengths of time, ports, rates, servers.

Each says what is wrong with a value that it refuses; none knows where the value stands.
"""

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from notifier.documents import Duration

PHONE = r"^\+[1-9]\d{6,14}$"


def _phone(value: str) -> str:
    if re.fullmatch(PHONE, value) is None:
        raise ValueError("must be a number in E.164, such as +4915112345678")
    return value


Phone = Annotated[str, AfterValidator(_phone)]
_REMEMBERED = timedelta(days=29)


def _is_some(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _is_remembered(value: timedelta) -> timedelta:
    if value > _REMEMBERED:
        raise ValueError(f"must be at most {_REMEMBERED.days}d: for so long is known what was told already")
    return value


def _dns_server(value: str) -> str:
    host, colon, port = value.rpartition(":") if value.count(":") == 1 else (value, "", "")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("must be an IP address, with :port behind it if need be") from None
    if colon and not (port.isdigit() and 0 < int(port) <= 65535):  # noqa: PLR2004
        raise ValueError("the port must be 1 to 65535")
    return value


DnsServer = Annotated[str, AfterValidator(_dns_server)]
Wait = Annotated[Duration, AfterValidator(_is_some)]
Remembered = Annotated[Wait, AfterValidator(_is_remembered)]
"""No longer than we know what was handed in already."""
Port = Annotated[int, Field(ge=1, le=65535)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


_PER = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _read_rate(value: Any) -> Any:
    """Read ``14/s``, ``600/m``, ``10000/h`` or ``50000/d`` as messages a second."""
    if isinstance(value, float):
        return value
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)/([smhd])", value) if isinstance(value, str) else None
    if found is None or float(found[1]) <= 0:
        raise ValueError("must be a rate such as 14/s, 600/m, 10000/h or 50000/d")
    return float(found[1]) / _PER[found[2]]


Rate = Annotated[float, BeforeValidator(_read_rate)]
"""Messages a second, written ``14/s``, ``600/m``, ``10000/h`` or ``50000/d``."""
