"""In: the bytes of an SSH connection. Out: one transaction: banners and key exchange offers. Never here: rules.

RFC 4253; HASSH: https://github.com/salesforce/hassh."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.rules.services.service import COMPLETE, Service, Source, Transaction

BANNER: Final = 1
OFFER: Final = 2
_MAX_BANNER: Final = 8192
_LONG_BANNER: Final = 256
"""RFC 4253 4.2 allows 255 with the line break."""
_MAX_RECORD: Final = 40_000
_KEXINIT, _NEWKEYS = 20, 21


@dataclass(slots=True)
class SshTransaction(Transaction):
    """Lists by side: [to_client, to_server]."""

    proto: list[bytes | None] = field(default_factory=lambda: [None, None])
    software: list[bytes | None] = field(default_factory=lambda: [None, None])
    hassh: list[str | None] = field(default_factory=lambda: [None, None])


def _hassh(side: bool, *, digest: bool) -> Any:
    def get(tx: SshTransaction, _to_server: bool) -> bytes | None:
        text = tx.hassh[side]
        if text is None:
            return None
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().encode() if digest else text.encode()

    return get


SOURCES: Final[dict[str, Source]] = {
    "ssh.proto": Source(None, BANNER, lambda tx, s: tx.proto[s]),
    "ssh.software": Source(None, BANNER, lambda tx, s: tx.software[s]),
    "ssh.hassh": Source(True, OFFER, _hassh(True, digest=True)),
    "ssh.hassh.string": Source(True, OFFER, _hassh(True, digest=False)),
    "ssh.hassh.server": Source(False, OFFER, _hassh(False, digest=True)),
    "ssh.hassh.server.string": Source(False, OFFER, _hassh(False, digest=False)),
}  # fmt: skip


class Ssh(Service):
    name = "ssh"
    sources = SOURCES
    events = ("invalid_banner", "long_banner", "invalid_record", "long_kex_record")

    def __init__(self) -> None:
        super().__init__()
        self._tx = SshTransaction(0)
        self.count = 1
        self.transactions.append(self._tx)
        self._parts = [bytearray(), bytearray()]
        self._banner = [False, False]

    def feed(self, to_server: bool, data: bytes) -> None:
        tx, part = self._tx, self._parts[to_server]
        if tx.done(to_server):
            return
        part += data
        while not self._banner[to_server]:
            end = part.find(b"\n")
            if end < 0:
                if len(part) > _MAX_BANNER:
                    tx.event("long_banner", to_server)
                    tx.progress[to_server] = COMPLETE
                return
            line = bytes(part[:end]).rstrip(b"\r")
            del part[: end + 1]
            if len(line) > _LONG_BANNER:
                tx.event("long_banner", to_server)
            if line.startswith(b"SSH-") and line.count(b"-") < 2:
                tx.event("invalid_banner", to_server)
            if line.startswith(b"SSH-"):
                self._banner[to_server] = True
                # RFC 4253 4.2: SSH-protoversion-softwareversion SP comments
                proto, _, rest = line[4:].partition(b"-")
                tx.proto[to_server] = proto
                tx.software[to_server] = rest.split(b" ", 1)[0]
                tx.progress[to_server] = BANNER
        while len(part) >= 6 and not tx.done(to_server):
            # RFC 4253 6: packet length 4, padding length 1, payload.
            size = int.from_bytes(part[:4], "big")
            if size < 2 or part[4] >= size:
                tx.event("invalid_record", to_server)
                tx.progress[to_server] = COMPLETE
                return
            if size > _MAX_RECORD:
                tx.event("long_kex_record" if part[5] == _KEXINIT else "invalid_record", to_server)
                tx.progress[to_server] = COMPLETE
                return
            if len(part) < 4 + size:
                return
            kind, body = part[5], bytes(part[6 : 4 + size - part[4]])
            del part[: 4 + size]
            if kind == _KEXINIT:
                tx.hassh[to_server] = _offer(body, to_server)
                tx.progress[to_server] = OFFER
            elif kind == _NEWKEYS:
                tx.progress[to_server] = COMPLETE
                self.encrypted = tx.done(True) and tx.done(False)

    def summary(self, tx: SshTransaction) -> dict[str, Any] | None:
        """Suricata's `ssh` object."""
        out: dict[str, Any] = {}
        for name, side in (("client", True), ("server", False)):
            proto = tx.proto[side]
            if proto is None:
                continue
            out[name] = {"proto_version": proto.decode("latin1"), "software_version": (tx.software[side] or b"").decode("latin1")}
            text = tx.hassh[side]
            if text is not None:
                out[name]["hassh"] = {"hash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), "string": text}
        return {"ssh": out} if out else None


def _offer(body: bytes, to_server: bool) -> str | None:
    """The lists that HASSH names: key exchange, then encryption, MAC and compression of the sender's direction."""
    lists, at = [], 16
    for _ in range(8):
        size = int.from_bytes(body[at : at + 4], "big")
        if at + 4 + size > len(body):
            return None
        lists.append(body[at + 4 : at + 4 + size].decode("latin1"))
        at += 4 + size
    # RFC 4253 7.1: kex, host keys, encryption c2s, s2c, MAC c2s, s2c, compression c2s, s2c.
    chosen = (0, 2, 4, 6) if to_server else (0, 3, 5, 7)
    return ";".join(lists[k] for k in chosen)
