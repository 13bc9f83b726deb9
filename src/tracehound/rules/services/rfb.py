"""In: the bytes of an RFB (VNC) connection. Out: transactions of its handshake: kind of security, result, name of the desktop.
Never here: rules. RFC 6143 7.1 to 7.3."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from tracehound.rules.services.messages import Said
from tracehound.rules.services.service import COMPLETE, Service, Source

_VERSION: Final = 12
_VNC: Final = 2


class Rfb(Service):
    """One transaction: the handshake, which goes back and forth."""

    name = "rfb"
    sources: ClassVar[dict[str, Source]] = {"rfb.name": Source(False, COMPLETE, lambda tx, _s: tx.fields.get("rfb.name"))}
    events: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._tx = Said(0)
        self.count = 1
        self.transactions.append(self._tx)
        self._parts = (bytearray(), bytearray())
        self._step = ["version", "version"]
        self._minor = 0

    def feed(self, to_server: bool, data: bytes) -> None:
        if self._tx.done(to_server):
            return
        part = self._parts[to_server]
        part += data
        while part and not self.stopped:
            before = len(part), self._step[to_server]
            (self._from_client if to_server else self._from_server)(part)
            if (len(part), self._step[to_server]) == before:
                return

    def gap(self, to_server: bool, size: int) -> None:
        self.stopped = True

    def _from_client(self, part: bytearray) -> None:
        step, need = self._step[1], {"version": _VERSION, "choice": 1, "response": 16, "init": 1}.get(self._step[1], 0)
        if step == "end" or len(part) < need:
            return
        taken = bytes(part[:need])
        del part[:need]
        if step == "version":
            self._minor = int(taken[8:11]) if taken[8:11].isdigit() else 0
            self._step[1] = "choice" if self._minor >= 7 else "wait"
            if self._minor < 7:
                self._step[1] = "response"
        elif step == "choice":
            self._tx.fields["rfb.sectype"] = taken[0]
            self._step[1] = "response" if taken[0] == _VNC else "init"
            self._step[0] = "challenge" if taken[0] == _VNC else "result" if self._minor >= 8 else "init"
        elif step == "response":
            self._step[1] = "init"
        else:
            self._step[1] = "end"
            self._tx.progress[1] = COMPLETE
        self._tx.progress[1] = max(self._tx.progress[1], 1)

    def _from_server(self, part: bytearray) -> None:
        step = self._step[0]
        if step == "version" and len(part) >= _VERSION:
            del part[:_VERSION]
            self._step[0] = "security"
        elif step == "security":
            self._security(part)
        elif step == "challenge" and len(part) >= 16:
            del part[:16]
            self._step[0] = "result"
        elif step == "result" and len(part) >= 4:
            self._tx.fields["rfb.secresult"] = int.from_bytes(part[:4], "big")
            del part[:4]
            self._step[0] = "init" if not self._tx.fields["rfb.secresult"] else "end"
            self._tx.progress[0] = 1 if self._step[0] == "init" else COMPLETE
        elif step == "init" and len(part) >= 24:
            # Width 2, height 2, pixel format 16, length of the name 4, name.
            size = int.from_bytes(part[20:24], "big")
            if len(part) < 24 + size:
                return
            self._tx.fields["rfb.name"] = bytes(part[24 : 24 + size])
            del part[: 24 + size]
            self._step[0] = "end"
            self._tx.progress[0] = COMPLETE
            self.stopped = True

    def _security(self, part: bytearray) -> None:
        if self._minor >= 7:
            if len(part) < 1 + part[0]:
                return
            del part[: 1 + part[0]]
            self._step[0] = "chosen"
            return
        if len(part) < 4:
            return
        # RFC 6143 7.1.2: version 3.3, the server alone decides.
        kind = int.from_bytes(part[:4], "big")
        del part[:4]
        self._tx.fields["rfb.sectype"] = kind
        self._step = ["challenge" if kind == _VNC else "init", "response" if kind == _VNC else "init"]

    def summary(self, tx: Any) -> dict[str, Any] | None:
        out: dict[str, Any] = {"authentication": {"security_type": tx.fields.get("rfb.sectype")}}
        if "rfb.name" in tx.fields:
            out["framebuffer"] = {"name": tx.fields["rfb.name"].decode("utf-8", "replace")}
        return {"rfb": out}
