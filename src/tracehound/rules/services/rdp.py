"""In: the first bytes of an RDP connection. Out: a transaction of the connection request. Never here: rules.
[MS-RDPBCGR] 2.2.1.1, RFC 1006 (TPKT)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source

_COOKIE: Final = re.compile(rb"Cookie: mstshash=([^\r\n]*)\r\n")
_REQUEST: Final = 0xE0


class Rdp(Messages):
    name = "rdp"
    sources: ClassVar[dict[str, Source]] = sources("rdp.cookie")
    events: ClassVar[tuple[str, ...]] = ()

    def size(self, head: bytes, to_server: bool) -> int:
        # TPKT: version 3, reserved 1, length 2. What comes behind the exchange of requests is TLS.
        if len(head) >= 1 and head[0] != 3:
            return -1
        return int.from_bytes(head[2:4], "big") or -1 if len(head) >= 4 else 0

    def message(self, to_server: bool, data: bytes) -> None:
        if to_server and len(data) > 6 and data[5] == _REQUEST:
            cookie = _COOKIE.search(data)
            self.tell(to_server, {"rdp.cookie": cookie[1] if cookie else None})

    def summary(self, tx: Any) -> dict[str, Any] | None:
        cookie = tx.fields.get("rdp.cookie")
        return {"rdp": {"event_type": "initial_request"} | ({"cookie": cookie.decode("latin1")} if cookie else {})}
