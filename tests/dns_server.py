"""A DNS server on loopback that answers from a table, over real UDP; what is not there does not exist."""

import socketserver
import threading
from collections.abc import Mapping, Sequence
from typing import Self

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[tuple[str, str], Sequence[str]]
"""(name, type) to records as a zone file has them."""


class DnsServer:
    """Serves a zone until it is left."""

    def __init__(self, zone: Zone) -> None:
        self.zone = {
            (f"{name.rstrip('.')}.".lower(), kind): list(data) for (name, kind), data in zone.items()
        }
        handler = type("Handler", (_Handler,), {"zone": self.zone})
        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def place(self) -> str:
        """Where it listens, as the settings name a server."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(socketserver.BaseRequestHandler):
    zone: dict[tuple[str, str], list[str]]

    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = query.question[0].name.to_text().lower()
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        if records := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *records))
        elif not any(one == name or one.endswith(f".{name}") for one, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        sock.sendto(answer.to_wire(), self.client_address)
