"""In: TFTP messages in datagrams. Out: one transaction a request. Never here: rules. RFC 1350."""

from __future__ import annotations

from typing import Any, ClassVar

from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source


class Tftp(Messages):
    name = "tftp"
    sources: ClassVar[dict[str, Source]] = sources("tftp.file")
    events: ClassVar[tuple[str, ...]] = ()

    def message(self, to_server: bool, data: bytes) -> None:
        # Operation 2 (1 read, 2 write), name, 0, mode, 0.
        if int.from_bytes(data[:2], "big") in (1, 2):
            self.tell(to_server, {"tftp.file": data[2:].partition(b"\0")[0]})

    def summary(self, tx: Any) -> dict[str, Any] | None:
        return {"tftp": {"file": tx.fields["tftp.file"].decode("latin1")}}
