"""In: NTP messages in datagrams. Out: one transaction a message. Never here: rules. RFC 5905 7.3."""

from __future__ import annotations

from typing import ClassVar

from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source


class Ntp(Messages):
    name = "ntp"
    sources: ClassVar[dict[str, Source]] = sources(both="ntp.reference_id")
    events: ClassVar[tuple[str, ...]] = ("malformed_data",)

    def message(self, to_server: bool, data: bytes) -> None:
        # Leap indicator 2 bits, version 3, mode 3; stratum, poll, precision; root delay and dispersion 4 each; reference id 4.
        if len(data) < 16:
            self.tell(to_server, {}).event("malformed_data", to_server)
            return
        first = data[0]
        self.tell(to_server, {
            "ntp.leap_indicator": first >> 6, "ntp.version": first >> 3 & 7, "ntp.mode": first & 7, "ntp.stratum": data[1],
            "ntp.reference_id": data[12:16],
        })  # fmt: skip
