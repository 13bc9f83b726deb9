"""In: nothing. Out: the information elements of NetFlow v9 and IPFIX that tracehound reads, as data: number, name, and what a value
becomes. Never here: templates or bytes (templates.py).

Sources: IANA, "IP Flow Information Export (IPFIX) Entities" (NetFlow v9's field types 1 to 127 are the same numbers, RFC 3954
section 8); RFC 5103 for reverse elements; CERT's registry (enterprise 6871) for what YAF sends; Cisco's "ASA NetFlow Implementation
Guide" for NSEL. What is not in the table is skipped by its length."""

from __future__ import annotations

from typing import Final

from tracehound.flowlogs import one_way as f

SET: Final = 100
"""SET + field: the value is that field of the record."""
ELSE: Final = 200
"""ELSE + field: likewise, unless something better has told it."""
EITHER: Final = 300
"""EITHER + field: flags, or-ed."""

SKIP: Final = 0
V4_SRC: Final = 1
V4_DST: Final = 2
V6_SRC: Final = 3
V6_DST: Final = 4
UPTIME_START: Final = 5  # ms since the exporter started
UPTIME_END: Final = 6
SECONDS_START: Final = 7  # s since 1970
SECONDS_END: Final = 8
MILLIS_START: Final = 9  # ms since 1970
MILLIS_END: Final = 10
NTP_START: Final = 11  # RFC 7011 6.1.9 and 6.1.10: seconds since 1900 and fraction, 32 bits each
NTP_END: Final = 12
BEFORE_START: Final = 13  # us before the export time
BEFORE_END: Final = 14
BOOT_MILLIS: Final = 15  # ms since 1970 at which the exporter started
DURATION_MILLIS: Final = 16
DURATION_MICROS: Final = 17
ICMP_BOTH: Final = 18  # type * 256 + code
ICMP_TYPE: Final = 19
ICMP_CODE: Final = 20
SAMPLER: Final = 21
SAMPLING_EVERY: Final = 22  # one packet in so many
SAMPLING_TAKEN: Final = 23  # so many packets are taken ...
SAMPLING_SPACE: Final = 24  # ... and then so many left out
SAMPLING_POPULATION: Final = 25  # out of so many
FIREWALL_EVENT: Final = 26  # 3 = denied
FORWARDING: Final = 27  # RFC 7270 4.12: the two upper bits 10 = dropped
BIFLOW: Final = 28  # RFC 5103 6.3: 1 = src is the initiator, 2 = src is the reverse initiator
FIRST_FLAGS: Final = 29  # flags of the first packet: a SYN alone says who began
FIRST_FLAGS_BACK: Final = 30
OBSERVED_SECONDS: Final = 31  # time of an event, where the record has no better times
OBSERVED_MILLIS: Final = 32

REVERSE_ENTERPRISE: Final = 29305
"""RFC 5103 6.1: an element under this number is the same element of the other direction."""

ELEMENTS: Final[dict[int, tuple[str, int]]] = {
    1: ("octetDeltaCount", SET + f.BYTES),
    2: ("packetDeltaCount", SET + f.PKTS),
    4: ("protocolIdentifier", SET + f.PROTO),
    6: ("tcpControlBits", EITHER + f.FLAGS),
    7: ("sourceTransportPort", SET + f.SPORT),
    8: ("sourceIPv4Address", V4_SRC),
    11: ("destinationTransportPort", SET + f.DPORT),
    12: ("destinationIPv4Address", V4_DST),
    21: ("flowEndSysUpTime", UPTIME_END),
    22: ("flowStartSysUpTime", UPTIME_START),
    23: ("postOctetDeltaCount", ELSE + f.BYTES),
    24: ("postPacketDeltaCount", ELSE + f.PKTS),
    27: ("sourceIPv6Address", V6_SRC),
    28: ("destinationIPv6Address", V6_DST),
    32: ("icmpTypeCodeIPv4", ICMP_BOTH),
    34: ("samplingInterval", SAMPLING_EVERY),
    48: ("samplerId", SAMPLER),
    50: ("samplerRandomInterval", SAMPLING_EVERY),
    52: ("minimumTTL", SET + f.TTL),
    53: ("maximumTTL", ELSE + f.TTL),
    58: ("vlanId", SET + f.VLAN),
    85: ("octetTotalCount", ELSE + f.BYTES),
    86: ("packetTotalCount", ELSE + f.PKTS),
    89: ("forwardingStatus", FORWARDING),
    139: ("icmpTypeCodeIPv6", ICMP_BOTH),
    150: ("flowStartSeconds", SECONDS_START),
    151: ("flowEndSeconds", SECONDS_END),
    152: ("flowStartMilliseconds", MILLIS_START),
    153: ("flowEndMilliseconds", MILLIS_END),
    154: ("flowStartMicroseconds", NTP_START),
    155: ("flowEndMicroseconds", NTP_END),
    156: ("flowStartNanoseconds", NTP_START),
    157: ("flowEndNanoseconds", NTP_END),
    158: ("flowStartDeltaMicroseconds", BEFORE_START),
    159: ("flowEndDeltaMicroseconds", BEFORE_END),
    160: ("systemInitTimeMilliseconds", BOOT_MILLIS),
    161: ("flowDurationMilliseconds", DURATION_MILLIS),
    162: ("flowDurationMicroseconds", DURATION_MICROS),
    176: ("icmpTypeIPv4", ICMP_TYPE),
    177: ("icmpCodeIPv4", ICMP_CODE),
    178: ("icmpTypeIPv6", ICMP_TYPE),
    179: ("icmpCodeIPv6", ICMP_CODE),
    180: ("udpSourcePort", ELSE + f.SPORT),
    181: ("udpDestinationPort", ELSE + f.DPORT),
    182: ("tcpSourcePort", ELSE + f.SPORT),
    183: ("tcpDestinationPort", ELSE + f.DPORT),
    192: ("ipTTL", ELSE + f.TTL),
    231: ("initiatorOctets", SET + f.BYTES),
    232: ("responderOctets", SET + f.REPLY_BYTES),
    233: ("firewallEvent", FIREWALL_EVENT),
    239: ("biflowDirection", BIFLOW),
    243: ("dot1qVlanId", ELSE + f.VLAN),
    298: ("initiatorPackets", SET + f.PKTS),
    299: ("responderPackets", SET + f.REPLY_PKTS),
    302: ("selectorId", SAMPLER),
    305: ("samplingPacketInterval", SAMPLING_TAKEN),
    306: ("samplingPacketSpace", SAMPLING_SPACE),
    309: ("samplingSize", SAMPLING_TAKEN),
    310: ("samplingPopulation", SAMPLING_POPULATION),
    322: ("observationTimeSeconds", OBSERVED_SECONDS),
    323: ("observationTimeMilliseconds", OBSERVED_MILLIS),
    40005: ("NF_F_FW_EVENT (ASA 8.4)", FIREWALL_EVENT),
}

REVERSE: Final[dict[int, tuple[str, int]]] = {
    1: ("reverseOctetDeltaCount", SET + f.REPLY_BYTES),
    2: ("reversePacketDeltaCount", SET + f.REPLY_PKTS),
    6: ("reverseTcpControlBits", EITHER + f.REPLY_FLAGS),
    85: ("reverseOctetTotalCount", ELSE + f.REPLY_BYTES),
    86: ("reversePacketTotalCount", ELSE + f.REPLY_PKTS),
}

CERT: Final[dict[int, tuple[str, int]]] = {
    14: ("initialTCPFlags", FIRST_FLAGS),
    15: ("unionTCPFlags", EITHER + f.FLAGS),
    14 | 0x4000: ("reverseInitialTCPFlags", FIRST_FLAGS_BACK),
    15 | 0x4000: ("reverseUnionTCPFlags", EITHER + f.REPLY_FLAGS),
}

ENTERPRISES: Final[dict[int, dict[int, tuple[str, int]]]] = {0: ELEMENTS, REVERSE_ENTERPRISE: REVERSE, 6871: CERT}


def meaning(enterprise: int, element: int) -> int:
    """What a value of this element becomes (SKIP: nothing)."""
    return ENTERPRISES.get(enterprise, {}).get(element, ("", SKIP))[1]
