"""In: nothing. Out: the row that stands for one Argus record while it is read, and the bits and codes of the format.
Never here: what reads or changes a row (argus_records.py, argus_rules.py), or words for people (argus_words.py).

A row is int64[WIDTH]. A pair is two places, NAME for the source and NAME + 1 for the destination; all pairs lie together, from
PAIRS on, so that turning a record round is one loop. Lengths and places were read from files of argus 3.0.8.2 and 5.0.3; the names
follow argus' own headers (argus_def.h)."""

from __future__ import annotations

from typing import Final

TYPE: Final = 0  # high nibble of the record's first byte: 0x10 flow, 0x30 converted NetFlow, 0x40 event, 0x50 any flow, 0x80 management
CAUSE: Final = 1  # the record's second byte: cause in the high nibble, option in the low
OFFSET: Final = 2  # where the record begins in the (decompressed) file
NUMBER: Final = 3  # number of the record in its file, from 1; management records count
KEY: Final = 4  # kind of the flow key: a KEY_ name of this file
KEY_QUALIFIER: Final = 5  # qualifier byte of the FLOW DSR
PROTO: Final = 6  # IP protocol; Ethernet: EtherType; otherwise -1
KEY_EXTRA: Final = 7  # ICMP: identifier as stored, read big-endian; ESP: SPI; ISIS: checksum
SENSOR_KIND: Final = 8  # TRANSPORT: kind of the probe's id, 0 none
SENSOR_AT: Final = 9  # ... place of the id in the buffer; -1 none
SENSOR_SIZE: Final = 10  # ... its bytes
INTERFACE_AT: Final = 11  # ... place of the interface's name (4 bytes); -1 none
SEQ: Final = 12  # ... number that the probe gave the record; -1 none
METER: Final = 13  # 1: counters of packets and bytes, 4: of payload as well, 0: none
NET: Final = 14  # NETWORK: subtype; -1 none
NET_WORDS: Final = 15  # ... its length in words
STATUS: Final = 16  # ... status word at +4 (0 where there is none)
TCP_STATE: Final = 17  # ... state word of TCP performance
OPTIONS: Final = 18  # ... TCP options
SYN_ACK: Final = 19  # ... microseconds from SYN to SYN-ACK
ACK_DATA: Final = 20  # ... microseconds from SYN-ACK to ACK
NET_ICMP: Final = 21  # ... NETWORK/ICMP: type << 8 | code; -1 none
NET_QUALIFIER: Final = 22  # ... its qualifier
ICMP: Final = 23  # mapped ICMP error: qualifier; -1 none
ICMP_TYPE: Final = 24  # ... type
ICMP_CODE: Final = 25  # ... code
ICMP_NODE: Final = 26  # ... who sent it, IPv4
MAC_QUALIFIER: Final = 27  # MAC: qualifier; -1 none
VLAN_QUALIFIER: Final = 28  # VLAN: qualifier; -1 none
MPLS: Final = 29  # MPLS: subtype; -1 none
ENCAPS_QUALIFIER: Final = 30  # ENCAPS: qualifier; -1 none
IPATTR: Final = 31  # IPATTR: qualifier; -1 none
JITTER: Final = 32  # JITTER: qualifier; -1 none
AGR: Final = 33  # records merged into this one; -1 none
LABEL_AT: Final = 34  # LABEL: place of its text in the buffer; -1 none
LABEL_SIZE: Final = 35  # ... its bytes
ICMP_ASN: Final = 36  # autonomous system of the ICMP node; -1 none
REVERSED: Final = 37  # 1: the record was turned round by a rule of section 7.3 or 7.5
VERSION: Final = 38  # 3 or 5

PAIRS: Final = 39
HI: Final = 39  # pair: address, upper 64 bits
LO: Final = 41  # pair: address, lower 64 bits; IPv4 as ::ffff:a.b.c.d; hardware address: lower 48
PORT: Final = 43  # pair: port; ICMP: type, code; Ethernet: ssap, dsap; -1 none
BEGIN: Final = 45  # pair: first packet, ns; 0 unset
FINISH: Final = 47  # pair: last packet, ns; 0 unset
PKTS: Final = 49  # pair: packets
BYTES: Final = 51  # pair: bytes, whole frames
APP: Final = 53  # pair: payload; 0 where METER is 1
FLAGS: Final = 55  # pair: TCP flags
BASE: Final = 57  # pair: TCP initial sequence number
HIGH_SEQ: Final = 59  # pair: TCP highest sequence number
TCP_BYTES: Final = 61  # pair: TCP payload as the TCP model counts it
RETRANS: Final = 63  # pair: TCP retransmitted packets
ACK_BYTES: Final = 65  # pair: TCP ackbytes
WIN_BYTES: Final = 67  # pair: TCP winbytes
WINDOW: Final = 69  # pair: TCP window, unscaled
SHIFT: Final = 71  # pair: TCP window scale
BLOCK: Final = 73  # pair: 1: there is a block of TCP performance
MAC: Final = 75  # pair: hardware address; -1 none
VLAN: Final = 77  # pair: 802.1Q tag; -1 none
LABELS: Final = 79  # pair: MPLS label; -1 none
ENCAPS: Final = 81  # pair: encapsulations seen, bits
MIN_SIZE: Final = 83  # pair: smallest packet; -1 none
MAX_SIZE: Final = 85  # pair: largest packet; -1 none
TTL: Final = 87  # pair: TTL; -1 none
TOS: Final = 89  # pair: type of service; -1 none
IP_ID: Final = 91  # pair: IP identification as stored, read big-endian; -1 none
IP_OPTIONS: Final = 93  # pair: IP options, bits
ACTIVE_MEAN: Final = 95  # pair: JITTER, active: mean, bits of a float32; -1 none
ACTIVE_SD: Final = 97  # pair: ... standard deviation
IDLE_MEAN: Final = 99  # pair: JITTER, idle
IDLE_SD: Final = 101  # pair: ...
USER_AT: Final = 103  # pair: DATA: place of the payload in the buffer; -1 none
USER_SIZE: Final = 105  # pair: ... its bytes
COUNTRY: Final = 107  # pair: two letters, big-endian; 0 none
ASN: Final = 109  # pair: autonomous system; -1 none
STROKES: Final = 111  # pair: keystrokes; -1 none
WIDTH: Final = 113

# Kinds of flow keys.
KEY_NONE: Final = 0
KEY_IPV4: Final = 4
KEY_IPV6: Final = 6
KEY_ARP: Final = 10
KEY_RARP: Final = 11
KEY_ETHERNET: Final = 12
KEY_WLAN: Final = 13
KEY_ISIS: Final = 14
KEY_MATRIX: Final = 15  # layer-3 matrix: addresses only
KEY_OTHER: Final = 16

# Record types.
FAR: Final = 0x10
NETFLOW: Final = 0x30
EVENT: Final = 0x40
AFLOW: Final = 0x50
MAR: Final = 0x80

# Qualifier flags of the FLOW DSR.
DIRECTION: Final = 0x20
MASKLEN: Final = 0x40
FRAGMENT: Final = 0x80

# TCP status bits.
SAW_SYN: Final = 0x1
SAW_SYN_SENT: Final = 0x2
ESTABLISHED: Final = 0x4
FIN: Final = 0x8
FIN_ACK: Final = 0x10
NORMAL_CLOSE: Final = 0x20
SRC_RETRANS: Final = 0x100
DST_RETRANS: Final = 0x200
SRC_SHUT: Final = 0x400
DST_SHUT: Final = 0x800
RESET: Final = 0x3000
SRC_CONGESTED: Final = 0x4000
DST_CONGESTED: Final = 0x8000
SRC_DISORDER: Final = 0x10000
DST_DISORDER: Final = 0x20000

# Subtypes of the NETWORK DSR.
NET_TCP_INITIAL: Final = 0x03
NET_TCP_STATUS: Final = 0x04
NET_TCP_PERFORMANCE: Final = 0x05
NET_RTCP: Final = 0x09
NET_RTP: Final = 0x0A
NET_UDT: Final = 0x0D
NET_ICMP_STATE: Final = 0x34
NET_ISIS: Final = 0x36
NET_ESP: Final = 0x38
NET_FRAGMENT: Final = 0x45
