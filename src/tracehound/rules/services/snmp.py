"""In: SNMP messages in datagrams. Out: one transaction a message. Never here: rules. RFC 1157, RFC 3416, RFC 3414."""

from __future__ import annotations

from typing import Any, ClassVar

from tracehound.protocols.der import Broken, element, elements
from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source

_PDU = 0xA0


class Snmp(Messages):
    name = "snmp"
    sources: ClassVar[dict[str, Source]] = sources(both="snmp.community snmp.usm")
    events: ClassVar[tuple[str, ...]] = ("malformed_data",)

    def message(self, to_server: bool, data: bytes) -> None:
        fields: dict[str, Any] = {}
        try:
            parts = elements(data, element(data, 0, len(data)), 8)
            version = int.from_bytes(data[parts[0].start : parts[0].stop], "big")
            # RFC 3584 1: 0 is version 1, 1 is version 2c, 3 is version 3.
            fields["snmp.version"] = {0: 1, 1: 2}.get(version, version)
            if version == 3:
                security = elements(data, element(data, parts[2].start, parts[2].stop), 8)
                fields["snmp.usm"] = data[security[3].start : security[3].stop]
                pdu = elements(data, parts[3], 4)[-1] if parts[3].tag == 0x30 else None
            else:
                fields["snmp.community"] = data[parts[1].start : parts[1].stop]
                pdu = parts[2]
            if pdu is not None and pdu.tag & 0xE0 == _PDU:
                fields["snmp.pdu_type"] = pdu.tag & 0x1F
                if pdu.tag & 0x1F == 4:
                    # RFC 1157 4.1.6: enterprise, agent address, generic trap.
                    generic = elements(data, pdu, 6)[2]
                    fields["snmp.trap_type"] = int.from_bytes(data[generic.start : generic.stop], "big")
        except (Broken, IndexError):
            self.tell(to_server, fields).event("malformed_data", to_server)
            return
        self.tell(to_server, fields)

    def summary(self, tx: Any) -> dict[str, Any] | None:
        out: dict[str, Any] = {"version": tx.fields.get("snmp.version")}
        for key in ("community", "usm"):
            if "snmp." + key in tx.fields:
                out[key] = tx.fields["snmp." + key].decode("latin1")
        return {"snmp": out}
