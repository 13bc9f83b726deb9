"""In: rows of Argus records, rules applied (argus_rules.py). Out: argus' own words for them, as columns: protocol, state, flags,
direction, cause. Never here: how a whole line is printed (argus_text.py, argus_write.py).

Sections are those of the format description that the reader was written from."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flowlogs.argus_layout import (
    ACK_BYTES,
    BASE,
    BLOCK,
    CAUSE,
    DST_CONGESTED,
    DST_DISORDER,
    DST_RETRANS,
    DST_SHUT,
    ENCAPS,
    ENCAPS_QUALIFIER,
    ESTABLISHED,
    EVENT,
    FIN,
    FIN_ACK,
    FRAGMENT,
    HIGH_SEQ,
    ICMP,
    ICMP_CODE,
    ICMP_TYPE,
    IP_OPTIONS,
    IPATTR,
    KEY,
    KEY_ARP,
    KEY_ETHERNET,
    KEY_EXTRA,
    KEY_IPV4,
    KEY_IPV6,
    KEY_ISIS,
    KEY_MATRIX,
    KEY_NONE,
    KEY_QUALIFIER,
    KEY_RARP,
    KEY_WLAN,
    MAC_QUALIFIER,
    MAR,
    METER,
    MPLS,
    NET,
    NET_FRAGMENT,
    NET_QUALIFIER,
    NET_RTCP,
    NET_RTP,
    NET_TCP_INITIAL,
    NET_TCP_PERFORMANCE,
    NET_TCP_STATUS,
    NET_UDT,
    NET_WORDS,
    NETFLOW,
    NORMAL_CLOSE,
    PKTS,
    PORT,
    PROTO,
    RESET,
    RETRANS,
    REVERSED,
    SAW_SYN,
    SAW_SYN_SENT,
    SRC_CONGESTED,
    SRC_DISORDER,
    SRC_RETRANS,
    SRC_SHUT,
    STATUS,
    TCP_BYTES,
    TYPE,
    VERSION,
    VLAN_QUALIFIER,
    WIN_BYTES,
)
from tracehound.flowlogs.argus_names import ETHERTYPES, PROTOCOLS
from tracehound.flowlogs.argus_records import Rows
from tracehound.flowlogs.argus_rules import TURNED_BY_TCP, unsure
from tracehound.kernels import Int, kernel

CAUSES: Final = {
    0x10: "Start", 0x20: "Status", 0x30: "Stop", 0x40: "Timeout", 0x60: "Shutdown", 0x80: "Error",
}  # fmt: skip

# -- state, section 8.8 -------------------------------------------------------------------------------------------------
STATES: Final = (
    "", "STA", "CON", "STP", "SHT", "ADN", "MAX", "ERR", "RST", "FIN", "CLO", "TIM", "ACC", "REQ", "INT", "RSP", "UNK",
    "ECR", "SRC", "RED", "AHA", "ECO", "RTA", "RTS", "TXD", "PAR", "TST", "TSR", "IRQ", "IRR", "MAS", "MSR", "SEC", "ROB", "TRC",
    "DCE", "MHR", "WAY", "IAH", "MRQ", "MRP", "DNQ", "DNP", "SKP", "PHO", "NRS", "NRA", "NNS", "NNA", "PTB",
    "UR", "URN", "URH", "URO", "URP", "URF", "URS", "URNU", "URHU", "URISO", "URNPRO", "URHPRO", "URNTOS", "URHTOS", "URFIL", "URPRE",
    "URCUT", "URNR", "URAD", "URBS", "URAR", "URSF", "URRR", "URES", "TXT", "TXR", "PPH", "PPNH", "PPO",
    "EXM", "EEO", "EER", "L1-IIH", "L2-IIH", "L1-LSP", "L2-LSP", "L1-CSNP", "L2-CSNP", "L1-PSNP", "L2-PSNP",
)  # fmt: skip
_S: Final = {word: code for code, word in enumerate(STATES)}
_ICMP: Final = {
    0: "ECR", 4: "SRC", 5: "RED", 6: "AHA", 8: "ECO", 9: "RTA", 10: "RTS", 11: "TXD", 12: "PAR", 13: "TST", 14: "TSR", 15: "IRQ",
    16: "IRR", 17: "MAS", 18: "MSR", 19: "SEC", **dict.fromkeys(range(20, 30), "ROB"), 30: "TRC", 31: "DCE", 32: "MHR", 33: "WAY",
    34: "IAH", 35: "MRQ", 36: "MRP", 37: "DNQ", 38: "DNP", 39: "SKP", 40: "PHO", 41: "NRS", 42: "NRA", 43: "NNS", 44: "NNA",
    45: "PTB", 1: "", 2: "", 7: "",
}  # fmt: skip
_UNREACHABLE: Final = (
    "URN", "URH", "URO", "URP", "URF", "URS", "URNU", "URHU", "URISO", "URNPRO", "URHPRO", "URNTOS", "URHTOS", "URFIL", "URPRE", "URCUT",
)  # fmt: skip
_ICMPV6: Final = {
    (1, 0): "URNR", (1, 1): "URAD", (1, 2): "URBS", (1, 3): "URAR", (1, 4): "URP", (1, 5): "URSF", (1, 6): "URRR", (1, 7): "URES",
    (3, 0): "TXT", (3, 1): "TXR", (4, 0): "PPH", (4, 1): "PPNH", (4, 2): "PPO",
}  # fmt: skip
_ICMPV6_ANY: Final = {
    2: "PTB", 128: "ECO", 129: "ECR", 130: "MRQ", 131: "MHR", 143: "MHR", 133: "NRS", 134: "NRA", 135: "NNS", 136: "NNA", 137: "RED",
}  # fmt: skip
_ISIS: Final = {15: "L1-IIH", 16: "L2-IIH", 18: "L1-LSP", 20: "L2-LSP", 24: "L1-CSNP", 25: "L2-CSNP", 26: "L1-PSNP", 27: "L2-PSNP"}
_ICMP_STATE: Final = np.full(256, _S["UNK"], dtype=np.int64)
_ICMP_CODE_STATE: Final = np.full(256, _S["UR"], dtype=np.int64)
_ICMPV6_STATE: Final = np.full((256, 256), _S["UNK"], dtype=np.int64)
_ISIS_STATE: Final = np.zeros(256, dtype=np.int64)
for _kind, _word in _ICMP.items():
    _ICMP_STATE[_kind] = _S[_word]
for _kind, _word in enumerate(_UNREACHABLE):
    _ICMP_CODE_STATE[_kind] = _S[_word]
for _kind, _word in _ICMPV6_ANY.items():
    _ICMPV6_STATE[_kind] = _S[_word]
for (_kind, _code), _word in _ICMPV6.items():
    _ICMPV6_STATE[_kind, _code] = _S[_word]
for _kind, _word in _ISIS.items():
    _ISIS_STATE[_kind] = _S[_word]

_NEW_ICMPV6: Final = np.array([_S["EXM"], _S["EEO"], _S["EER"], 0], dtype=np.int64)

_STA: Final = _S["STA"]
_CON: Final = _S["CON"]
_STP: Final = _S["STP"]
_SHT: Final = _S["SHT"]
_ADN: Final = _S["ADN"]
_MAX: Final = _S["MAX"]
_ERR: Final = _S["ERR"]
_RST: Final = _S["RST"]
_FIN: Final = _S["FIN"]
_CLO: Final = _S["CLO"]
_TIM: Final = _S["TIM"]
_ACC: Final = _S["ACC"]
_REQ: Final = _S["REQ"]
_INT: Final = _S["INT"]
_RSP: Final = _S["RSP"]
_UNK: Final = _S["UNK"]


@kernel
def _management_state(cause: Int) -> Int:
    reason = cause & 0xF0
    if reason == 0x10:
        return _STA
    if reason == 0x20:
        return _CON
    if reason == 0x30:
        return _STP
    if reason == 0x60:
        return _SHT
    if reason == 0x80 and cause & 0xF == 1:
        return _ADN
    if reason == 0x80 and cause & 0xF == 2:
        return _MAX
    return _ERR


@kernel
def _tcp_state(status: Int, cause: Int, sent: Int, back: Int) -> Int:
    if status & RESET:
        return _RST
    if status & (FIN | FIN_ACK):
        return _FIN
    if status & NORMAL_CLOSE:
        return _CLO
    if status and cause & 0x40:
        return _TIM
    if status & ESTABLISHED:
        return _CON
    if status & SAW_SYN_SENT:
        return _ACC
    if status & SAW_SYN:
        return _REQ
    if status or (sent > 0 and back > 0):
        return _CON
    return _INT


@kernel
def write_states(rows: Rows, count: Int, states: NDArray[np.int64]) -> None:
    """Codes into STATES."""
    for i in range(count):
        row = rows[i]
        key, cause, sent, back = row[KEY], row[CAUSE], row[PKTS], row[PKTS + 1]
        state = 0
        if row[TYPE] == MAR:
            state = _management_state(cause)
        elif row[TYPE] == EVENT:
            state = 0
        elif cause == 0x80:
            state = _ERR
        elif key == KEY_NONE:
            state = 0
        elif key == KEY_MATRIX:
            state = _UNK
        elif key == KEY_ISIS:
            state = _ISIS_STATE[row[KEY_EXTRA] & 0xFF]
        elif (key == KEY_IPV4 or key == KEY_IPV6) and row[PROTO] == 6:
            subtype = row[NET]
            told = subtype == NET_TCP_INITIAL or subtype == NET_TCP_STATUS or subtype == NET_TCP_PERFORMANCE
            status = row[STATUS] if told else 0
            if row[REVERSED] == TURNED_BY_TCP:
                # ra sets a bit of its own to say so, which is that of a normal close as well.
                status |= NORMAL_CLOSE
            state = _tcp_state(status, cause, sent, back)
        elif key == KEY_IPV4 and row[PROTO] == 1:
            kind, code = row[PORT], row[PORT + 1]
            if row[ICMP] >= 0:
                kind, code = row[ICMP_TYPE], row[ICMP_CODE]
            state = _UNK
            if kind == 3:
                state = _ICMP_CODE_STATE[code & 0xFF]
            elif kind >= 0:
                state = _ICMP_STATE[kind]
            elif row[KEY_QUALIFIER] & FRAGMENT:
                state = _ICMP_STATE[0]
        elif key == KEY_IPV6 and row[PROTO] == 58:
            kind, code = row[PORT], row[PORT + 1]
            if kind < 0:
                # Of a fragment ra prints the identification's bytes as if they were type and code.
                kind, code = row[KEY_EXTRA] >> 24 & 0xFF, row[KEY_EXTRA] >> 16 & 0xFF
            state = _ICMPV6_STATE[kind, code]
            if row[VERSION] == 5 and 133 <= kind <= 136:
                # ra 5.0 calls neighbour discovery by the names of extended echo.
                state = _NEW_ICMPV6[kind - 133]
        elif row[METER] == 0:
            state = _INT if key == KEY_ARP else 0
        elif sent > 0 and back > 0:
            state = _CON
        elif sent > 0:
            state = _INT if key == KEY_ARP or cause & 0x10 else _REQ
        else:
            state = _RSP
        states[i] = state


# -- direction, section 8.7 ---------------------------------------------------------------------------------------------
DIRECTIONS: Final = ("", "->", "<->", "<-", "-", "?>", "<?>", "<?", "?", "who", "tel")


@kernel
def write_directions(rows: Rows, count: Int, directions: NDArray[np.int64]) -> None:
    """Codes into DIRECTIONS."""
    for i in range(count):
        row = rows[i]
        directions[i] = 0
        if row[TYPE] == MAR or row[METER] == 0:
            continue
        sent, back = row[PKTS] > 0, row[PKTS + 1] > 0
        if row[KEY] == KEY_ARP or row[KEY] == KEY_RARP:
            directions[i] = 9
            continue
        code = 2 if sent and back else (1 if sent else (3 if back else 0))
        if row[PROTO] == 6 and (row[KEY] == KEY_IPV4 or row[KEY] == KEY_IPV6) and row[NET] > 0:
            if unsure(row):
                code = 6 if sent and back else (5 if sent else (7 if back else 8))
            else:
                code = 1
        directions[i] = code


# -- flags, section 8.9 -------------------------------------------------------------------------------------------------
_ENCAPSULATION: Final = np.frombuffer(b"melv*", dtype=np.uint8)
_ENCAPS_LETTERS: Final = np.frombuffer(b"melvpiGAP6HCASFsRwzATJE", dtype=np.uint8)
_ENCAPS_BITS: Final = np.array(
    # In the order of the letters. Bits without a letter of their own print nothing.
    [0x1, 0x2, 0x8, 0x4, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000, 0x10000, 0x20000, 0x40000,
     0x80000, 0x400000, 0x2000000, 0x4000000],
    dtype=np.int64,
)  # fmt: skip


@kernel
def gap(row: Rows, end: Int) -> Int:
    """Bytes of one side that the probe did not see, as ra reckons them."""
    if row[BLOCK + end] == 0 or row[HIGH_SEQ + end] == 0 or row[BASE + end] == row[ACK_BYTES + end] or row[RETRANS + end] != 0:
        return 0
    distance = row[HIGH_SEQ + end] - row[BASE + end] & 0xFFFFFFFF
    seen = row[TCP_BYTES + end]
    if distance == seen or distance == seen - row[WIN_BYTES + end]:
        return 0
    if distance >= 0x80000000:
        distance -= 0x100000000
    missing = max(0, distance - seen)
    return missing - 1 if missing > 0 else 0


@kernel
def _encapsulation(row: Rows) -> Int:
    if row[MAC_QUALIFIER] >= 0 and row[MAC_QUALIFIER] & 3:
        return 77  # M: several hardware addresses
    if row[ENCAPS_QUALIFIER] >= 0:
        mask = row[ENCAPS] | row[ENCAPS + 1]
        if mask == 0:
            return 32
        if mask & (mask - 1):
            return 42
        for k in range(_ENCAPS_BITS.size):
            if mask == _ENCAPS_BITS[k]:
                return _ENCAPS_LETTERS[k]
        return 32
    letter = 32
    if row[MPLS] >= 0:
        letter = 109
    if row[MAC_QUALIFIER] >= 0:
        letter = 101
    if row[VLAN_QUALIFIER] >= 0:
        letter = 118
    return letter


@kernel
def _ip_option(bits: Int) -> Int:
    if bits & (bits - 1):
        return 79  # O: several
    for bit, letter in ((0x01, 82), (0x02, 84), (0x04, 43), (0x08, 76), (0x10, 68), (0x20, 83), (0x40, 65)):
        if bits == bit:
            return letter
    return 85  # U: unknown


@kernel
def write_flags(rows: Rows, count: Int, text: NDArray[np.uint8]) -> None:
    """The nine letters of `flgs` into text[count, 9]."""
    for i in range(count):
        row = rows[i]
        out = text[i]
        out[:] = 32
        if row[TYPE] == MAR:
            continue
        if row[TYPE] == NETFLOW:
            out[0] = 78
        out[1] = _encapsulation(row)
        if row[ICMP] >= 0 and row[ICMP] & 7:
            out[2] = 85 if row[ICMP] & 1 else (82 if row[ICMP] & 2 else 84)
        status, subtype = row[STATUS], row[NET]
        tcp = row[PROTO] == 6 and (row[KEY] == KEY_IPV4 or row[KEY] == KEY_IPV6)
        if tcp and (subtype == NET_TCP_STATUS or subtype == NET_TCP_PERFORMANCE or subtype == NET_TCP_INITIAL):
            if status & SRC_RETRANS and status & DST_RETRANS:
                out[3] = 42
            elif status & SRC_RETRANS:
                out[3] = 115
            elif status & DST_RETRANS:
                out[3] = 100
            elif gap(row, 0) or gap(row, 1):
                out[3] = 103
            elif status & SRC_DISORDER and status & DST_DISORDER:
                out[3] = 38
            elif status & SRC_DISORDER:
                out[3] = 105
            elif status & DST_DISORDER:
                out[3] = 114
            if status & SRC_SHUT and status & DST_SHUT:
                out[4] = 64
            elif status & SRC_SHUT:
                out[4] = 83
            elif status & DST_SHUT:
                out[4] = 68
            if status & SRC_CONGESTED and status & DST_CONGESTED:
                out[5] = 69
            elif status & SRC_CONGESTED:
                out[5] = 120
            elif status & DST_CONGESTED:
                out[5] = 116
        if row[IPATTR] >= 0 and row[IPATTR] & 0x30:
            out[6] = 70
        if row[KEY] and row[KEY_QUALIFIER] & FRAGMENT:
            out[6] = 70
        if subtype == NET_FRAGMENT:
            out[6] = 86 if row[NET_QUALIFIER] & 2 else 102
        if row[IPATTR] >= 0 and row[IPATTR] & 0xC:
            options = (row[IP_OPTIONS] | row[IP_OPTIONS + 1]) & 0xFF
            out[7] = _ip_option(options)


# -- columns --------------------------------------------------------------------------------------------------------------


def named(codes: NDArray[np.int64], names: tuple[str, ...]) -> pa.Array:
    """Codes into `names` as a dictionary column; the empty name is null."""
    empty = np.array([name == "" for name in names])
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=empty[codes]), pa.array(names, pa.string()))


def states(rows: Rows) -> pa.Array:
    codes = np.zeros(len(rows), dtype=np.int64)
    write_states(rows, len(rows), codes)
    return named(codes, STATES)


def directions(rows: Rows) -> pa.Array:
    codes = np.zeros(len(rows), dtype=np.int64)
    write_directions(rows, len(rows), codes)
    return named(codes, DIRECTIONS)


def flags(rows: Rows) -> pa.Array:
    """`flgs` without the blanks on its right, as ra prints it with a separator; null where nothing is set."""
    text = np.empty((len(rows), 9), dtype=np.uint8)
    write_flags(rows, len(rows), text)
    encoded = pa.FixedSizeBinaryArray.from_buffers(pa.binary(9), len(rows), [None, pa.py_buffer(text)]).dictionary_encode()
    words = [bytes(word).decode("ascii").rstrip() for word in encoded.dictionary.to_pylist()]
    return named(encoded.indices.to_numpy().astype(np.int64), tuple(words) or ("",))


def causes(rows: Rows) -> pa.Array:
    return named(rows[:, CAUSE] >> 4, tuple(CAUSES.get(code << 4, "Unknown") for code in range(16)))


_UNASSIGNED: Final = "unas"
_IP_NAMES: Final = tuple(PROTOCOLS[n] if n < len(PROTOCOLS) else ("ib" if n == 253 else _UNASSIGNED) for n in range(256))
_MORE: Final = ("arp", "rarp", "wlan", "isis", "ip", "man", "evt", "rtp", "rtcp", "udt", "")


def protocols(rows: Rows) -> pa.Array:
    """Section 8.3."""
    key, proto, net = rows[:, KEY], rows[:, PROTO], rows[:, NET]
    ip = (key == KEY_IPV4) | (key == KEY_IPV6)
    udp = ip & (proto == 17)
    few = (rows[:, PKTS] < 5) & (rows[:, PKTS + 1] < 5)
    ethernet = key == KEY_ETHERNET
    place = {name: 256 + n for n, name in enumerate(_MORE)}
    # Other EtherTypes than those met here get their names below.
    types, index = np.unique(proto[ethernet], return_inverse=True)
    codes = np.select(
        [
            rows[:, TYPE] == MAR, rows[:, TYPE] == EVENT,
            udp & (key == KEY_IPV4) & (net == NET_RTP) & (rows[:, NET_WORDS] == 10) & ~few,
            udp & (net == NET_RTCP) & (rows[:, NET_WORDS] == 6), udp & (key == KEY_IPV4) & (net == NET_UDT),
            ip, key == KEY_ARP, key == KEY_RARP, key == KEY_WLAN, key == KEY_ISIS, key == KEY_MATRIX,
        ],
        [
            place["man"], place["evt"], place["rtp"], place["rtcp"], place["udt"], proto & 0xFF, place["arp"], place["rarp"],
            place["wlan"], place["isis"], place["ip"],
        ],
        default=place[""],
    )  # fmt: skip
    codes[ethernet] = 256 + len(_MORE) + index
    return named(codes, _IP_NAMES + _MORE + tuple(ETHERTYPES.get(t, str(t)) for t in types.tolist()))
