"""In: what the modules of the engine say that they can do. Out: their union: names that a rule may need. Never here: doing it."""

from __future__ import annotations

from typing import Final

from tracehound.rules import events, link_events, packet, predicates, state, tcp_events, transforms, verify
from tracehound.rules.services.catalog import SERVICE_CLASSES

_PROTOCOLS: Final = frozenset(
    f"protocol:{name}" for name in (
        "ip", "pkthdr", "ether", "arp", "tcp", "tcp-pkt", "tcp-stream", "udp", "icmp", "icmpv4", "icmpv6", "sctp", "ipv4", "ipv6", "igmp",
    )
)  # fmt: skip


def _services() -> set[str]:
    out: set[str] = set()
    for made in SERVICE_CLASSES:
        out.add(f"protocol:{made.name}")
        out |= {f"buffer:{name}" for name in made.sources}
        out |= {f"event:app-layer:{made.name}.{name}" for name in made.events}
    return out


HONOURS: Final[frozenset[str]] = (
    verify.HONOURS | transforms.HONOURS | predicates.HONOURS | state.HONOURS | _PROTOCOLS | _services()
    | {f"buffer:{name}" for name in packet.BUFFERS} | {"buffer:payload", "protocol:http1", "direction:=>", "action:config"}
    | {f"event:decode:{name}" for name in events.PACKET | link_events.LINK}
    | {f"event:stream:{name}" for name in events.REASSEMBLY | tcp_events.STREAM}
)  # fmt: skip
"""What the engine verifies exactly."""
