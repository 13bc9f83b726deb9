"""In: a conversation written as one. Out: capture bytes for a test. Never here: packet building (tracehound.demo.wire).

wire = Wire()
wire.host(A).connect(wire.host(B), 80, at=1).send(b"GET / HTTP/1.0\\r\\n\\r\\n").reply(b"HTTP/1.0 200 OK\\r\\n\\r\\nhi").close()
path.write_bytes(wire.pcap())"""

from __future__ import annotations

from collections.abc import Callable

from tracehound.demo.wire import *  # noqa: F403
from tracehound.demo.wire import Host, Wire

CLIENT = "10.1.0.5"
SERVER = "192.0.2.80"


def capture(write: Callable[[Wire, Host, Host], object], **options: int) -> bytes:
    """A pcap of what `write(wire, client, server)` says. Options are those of Wire."""
    wire = Wire(**options)
    write(wire, wire.host(CLIENT), wire.host(SERVER))
    return wire.pcap()


def exchange(request: bytes, response: bytes, port: int = 80) -> bytes:
    """A pcap of one TCP conversation: handshake, request, response, both close."""
    return capture(lambda wire, a, b: a.connect(b, port, at=1.0).send(request).reply(response).server_close())
