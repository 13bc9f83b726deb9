"""In: QUIC datagrams. Out: a transaction for each side's first packets: version, and what the hello says. Never here: rules.

RFC 9000, RFC 9001, RFC 9369; packets are opened by protocols/quic_initial.py, hellos read by protocols/tls.py."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Final

from tracehound.protocols.quic import CryptoStream, chlo_tags, crypto_frames
from tracehound.protocols.quic_initial import INITIAL, Keys, decrypted, keys_for, packets, version_name
from tracehound.protocols.tls import ClientHello, Cut, parse_client_hello
from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source

_GOOGLE: Final = 0x5130
"""Versions "Q0xx" (their first two bytes)."""
_SNI, _AGENT = b"SNI\0", b"UAID"


class Quic(Messages):
    name = "quic"
    sources: ClassVar[dict[str, Source]] = sources("quic.sni quic.ua ja3.hash ja3.string ja4.hash", both="quic.version")
    events: ClassVar[tuple[str, ...]] = ("failed_decrypt",)

    def __init__(self, *, stream: bool = False) -> None:
        super().__init__(stream=stream)
        self._keys: dict[bool, Keys] | None = None
        self._keyed_by = b""
        self._streams = {True: CryptoStream(), False: CryptoStream()}
        self._hello = bytearray()
        self._told = {True: False, False: False}

    def message(self, to_server: bool, data: bytes) -> None:
        if self._told[to_server]:
            return
        for packet in packets(data):
            if packet.kind != INITIAL or self._told[to_server]:
                continue
            fields: dict[str, Any] = {"quic.version": version_name(packet.version).encode()}
            if packet.version >> 16 == _GOOGLE:
                tags = chlo_tags(packet.payload)
                self._tell_once(to_server, fields | {"quic.sni": tags.get(_SNI), "quic.ua": tags.get(_AGENT)})
                continue
            plain = decrypted(packet, self._keys[to_server]) if self._keys is not None else None
            if plain is None and to_server and packet.dcid != self._keyed_by:
                keys = keys_for(packet.version, packet.dcid)
                plain = decrypted(packet, keys[True])
                if plain is not None or self._keys is None:
                    self._keys, self._keyed_by = keys, packet.dcid
            if plain is None:
                if to_server:
                    self._tell_once(to_server, fields).event("failed_decrypt", to_server)
                continue
            if not to_server:
                self._tell_once(to_server, fields)
                continue
            for offset, part in crypto_frames(plain)[0]:
                self._hello += self._streams[True].add(offset, part)
            hello = self._whole_hello()
            if hello is not None:
                name = hello.server_name()
                text = hello.ja3()
                digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
                self._tell_once(to_server, fields | {
                    "quic.sni": name.encode("latin1", "replace") if name is not None else None, "ja3.string": text.encode(),
                    "ja3.hash": digest.encode(), "ja4.hash": hello.ja4("q").encode(),
                })  # fmt: skip

    def _tell_once(self, to_server: bool, fields: dict[str, Any]) -> Any:
        self._told[to_server] = True
        return self.tell(to_server, fields)

    def _whole_hello(self) -> ClientHello | None:
        """RFC 8446 4: type 1 (client hello), length 3."""
        data = self._hello
        if len(data) < 4 or data[0] != 1 or len(data) < 4 + int.from_bytes(data[1:4], "big"):
            return None
        try:
            return parse_client_hello(bytes(data[4 : 4 + int.from_bytes(data[1:4], "big")]))
        except Cut:
            return None

    def summary(self, tx: Any) -> dict[str, Any] | None:
        out: dict[str, Any] = {}
        for key, name in (("version", "quic.version"), ("sni", "quic.sni"), ("ua", "quic.ua"), ("ja4", "ja4.hash")):
            if name in tx.fields:
                out[key] = tx.fields[name].decode("latin1")
        if "ja3.hash" in tx.fields:
            out["ja3"] = {"hash": tx.fields["ja3.hash"].decode(), "string": tx.fields["ja3.string"].decode()}
        return {"quic": out}
