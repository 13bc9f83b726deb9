"""In: addresses, and the address table as a value (edges/packaged.py loads it). Out: per address the autonomous system,
its organisation, the country and the network, as columns. Never here: files, name look-ups, judgement (access.py).

Addresses are two uint64 as everywhere in the core: IPv4 is ::ffff:a.b.c.d. The table is sorted starts; a value holds from
its start up to the next, so a look-up is one binary search over columns."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound.packets.addresses import address_number

U64 = NDArray[np.uint64]
V4_PREFIX: Final = 0xFFFF
"""Upper 32 bits of the lower half of an IPv4-mapped address (RFC 4291 section 2.5.5.2)."""
_V4 = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AddressTable:
    """Ranges of addresses; `v4_*` starts are uint32, `v6_*` starts the upper 64 bits (uint64).

    v4_asn, v6_asn           uint32, AS number, 0 = nothing known
    v4_country, v6_country   uint8, index into countries_v4 / countries_v6, 0 = nothing known
    name_asn, names          sorted uint32 and the organisation of each
    date                     day of the data, ISO 8601
    attribution              what must be said of the sources
    """

    v4_start: NDArray[np.uint32]
    v4_asn: NDArray[np.uint32]
    v4_country_start: NDArray[np.uint32]
    v4_country: NDArray[np.uint8]
    v6_start: U64
    v6_asn: NDArray[np.uint32]
    v6_country_start: U64
    v6_country: NDArray[np.uint8]
    countries_v4: tuple[str, ...]
    countries_v6: tuple[str, ...]
    name_asn: NDArray[np.uint32]
    names: pa.StringArray
    date: str
    attribution: str

    def provider(self, asn: int) -> str | None:
        """Organisation of one AS number, None where it is not known."""
        return self.providers(np.array([asn], np.int64))[0]

    def providers(self, asns: NDArray[np.int64]) -> list[str | None]:
        """Organisation of each AS number, None where it is not known."""
        place = np.minimum(np.searchsorted(self.name_asn, asns.astype(np.uint32)), len(self.name_asn) - 1)
        known = self.name_asn[place] == asns
        texts: list[str | None] = self.names.take(pa.array(place, mask=~known)).to_pylist()
        return texts


class Networks(NamedTuple):
    """What the table says of n addresses.

    asn       int64, 0 = not known
    country   Arrow text, ISO 3166 codes, null = not known
    network   Arrow text, prefixes: the largest block around the address that one AS announces; a /24 or /48 where unknown
    """

    asn: NDArray[np.int64]
    country: pa.StringArray
    network: pa.StringArray


def parse(addresses: Sequence[str] | pa.Array | pa.ChunkedArray) -> tuple[U64, U64]:
    """Text -> two uint64 arrays (upper and lower half). What is no address becomes :: ."""
    column: Any = addresses if isinstance(addresses, pa.Array | pa.ChunkedArray) else pa.array(addresses, pa.string())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = pc.fill_null(column.cast(pa.string()), "")
    # The same addresses come again and again; each is read once.
    told = column.dictionary_encode()
    hi, lo = _numbers(told.dictionary)
    place = told.indices.to_numpy()
    return hi[place], lo[place]


def _numbers(column: pa.StringArray) -> tuple[U64, U64]:
    hi = np.zeros(len(column), np.uint64)
    lo = np.zeros(len(column), np.uint64)
    v4 = pc.match_substring_regex(column, _V4).to_numpy(zero_copy_only=False).astype(bool)
    if v4.any():
        parts = pc.split_pattern(column.filter(pa.array(v4)), ".")
        octets = pc.list_flatten(parts).cast(pa.uint64()).to_numpy().reshape(-1, 4)
        value = (octets[:, 0] << 24) | (octets[:, 1] << 16) | (octets[:, 2] << 8) | octets[:, 3]
        valid = (octets <= 255).all(axis=1)
        lo[v4] = np.where(valid, value | np.uint64(V4_PREFIX << 32), np.uint64(0))
    others = np.flatnonzero(~v4)
    for i, text in zip(others.tolist(), column.take(pa.array(others)).to_pylist(), strict=True):
        high, low, version = address_number(text)
        if version == 6:
            hi[i], lo[i] = high, low
    return hi, lo


def is_v4(hi: U64, lo: U64) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = (hi == 0) & ((lo >> np.uint64(32)) == V4_PREFIX)
    return result


def _block(value: U64, first: U64, last: U64, bits: int) -> NDArray[np.int64]:
    """Bits of the largest aligned block around `value` that lies in [first, last]; blocks nest, so bisection finds it."""
    low = np.zeros(len(value), np.int64)
    high = np.full(len(value), bits, np.int64)
    while (low < high).any():
        middle = (low + high + 1) // 2
        mask = (np.uint64(1) << middle.astype(np.uint64)) - np.uint64(1)
        fits = ((value & ~mask) >= first) & ((value | mask) <= last)
        low = np.where(fits, middle, low)
        high = np.where(fits, high, middle - 1)
    return low


def _search(starts: U64, value: U64, top: int) -> tuple[NDArray[np.int64], U64, U64]:
    """Place of each value in sorted starts, with the first and last value of that range."""
    place = np.searchsorted(starts, value, side="right") - 1
    after = np.append(starts[1:] - np.uint64(1), np.uint64(top))
    return place, starts[place], after[place]


def _v4_text(value: int, size: int) -> str:
    base = value >> size << size
    return f"{base >> 24}.{base >> 16 & 255}.{base >> 8 & 255}.{base & 255}/{32 - size}"


def _v6_text(value: int, size: int) -> str:
    return f"{ipaddress.IPv6Address((value >> size << size) << 64)}/{64 - size}"


def lookup(table: AddressTable, hi: U64, lo: U64) -> Networks:
    """AS number, country and network of n addresses (see Networks)."""
    n = len(hi)
    asn = np.zeros(n, np.int64)
    country = np.zeros(n, np.int64)
    network = np.zeros(n, np.int64)
    country_texts: list[str | None] = [None]
    network_texts: list[str] = []
    v4 = is_v4(hi, lo)
    v4_country, v6_country = (table.v4_country_start, table.v4_country), (table.v6_country_start, table.v6_country)
    families: tuple[tuple[Any, ...], ...] = (
        (
            v4,
            lo & np.uint64(0xFFFF_FFFF),
            table.v4_start,
            table.v4_asn,
            *v4_country,
            table.countries_v4,
            32,
            8,
            _v4_text,
        ),
        (~v4, hi, table.v6_start, table.v6_asn, *v6_country, table.countries_v6, 63, 16, _v6_text),
    )
    for mask, values, starts, numbers, country_starts, codes, names, bits, default, text in families:
        if not mask.any():
            continue
        value = values[mask]
        top = (1 << 32) - 1 if bits == 32 else (1 << 64) - 1
        place, first, last = _search(starts.astype(np.uint64), value, top)
        asn[mask] = numbers[place]
        size = np.where(numbers[place] > 0, _block(value, first, last, bits), default)
        where, _, _ = _search(country_starts.astype(np.uint64), value, top)
        country[mask] = codes[where].astype(np.int64) + len(country_texts)
        country_texts += [name or None for name in names]
        shift = size.astype(np.uint64)
        base = value >> shift << shift
        order = np.lexsort((size, base))
        fresh = np.ones(len(order), bool)
        fresh[1:] = (np.diff(base[order]) != 0) | (np.diff(size[order]) != 0)
        chosen = order[fresh]
        inverse = np.empty(len(order), np.int64)
        inverse[order] = np.cumsum(fresh) - 1 + len(network_texts)
        network_texts += [text(b, k) for b, k in zip(base[chosen].tolist(), size[chosen].tolist(), strict=True)]
        network[mask] = inverse
    return Networks(
        asn,
        pa.array(country_texts, pa.string()).take(pa.array(country)),
        pa.array(network_texts, pa.string()).take(pa.array(network)),
    )


def contains(networks: Sequence[str], hi: U64, lo: U64) -> NDArray[np.bool_]:
    """Which of n addresses lie in any of the networks (CIDR text; a bare address is a network of one).

    Raises ValueError where a network is none (callers turn it into a UsageError)."""
    inside = np.zeros(len(hi), bool)
    v4 = is_v4(hi, lo)
    for text in networks:
        net = ipaddress.ip_network(text, strict=False)
        base, length = int(net.network_address), net.prefixlen
        if net.version == 4:
            shift = np.uint64(32 - length)
            inside |= v4 & ((lo & np.uint64(0xFFFF_FFFF)) >> shift == np.uint64(base >> (32 - length)))
            continue
        top, low = base >> 64, base & 0xFFFF_FFFF_FFFF_FFFF
        if length == 0:
            inside |= ~v4
        elif length <= 64:
            inside |= ~v4 & (hi >> np.uint64(64 - length) == np.uint64(top >> (64 - length)))
        else:
            shift = np.uint64(128 - length)
            inside |= ~v4 & (hi == np.uint64(top)) & (lo >> shift == np.uint64(low >> (128 - length)))
    return inside


SPECIAL: Final[tuple[tuple[str, str], ...]] = (
    ("0.0.0.0/8", "this network (RFC 791)"),
    ("10.0.0.0/8", "private use (RFC 1918)"),
    ("100.64.0.0/10", "shared address space behind carrier NAT (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link-local (RFC 3927)"),
    ("172.16.0.0/12", "private use (RFC 1918)"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.168.0.0/16", "private use (RFC 1918)"),
    ("198.18.0.0/15", "benchmarking (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 5771)"),
    ("240.0.0.0/4", "reserved or broadcast (RFC 1112)"),
    ("::/127", "unspecified or loopback (RFC 4291)"),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("fc00::/7", "unique local (RFC 4193)"),
    ("fe80::/10", "link-local (RFC 4291)"),
    ("ff00::/8", "multicast (RFC 4291)"),
)
"""Special-purpose blocks (RFC 6890) that no provider holds, first match holds."""


def special_codes(hi: U64, lo: U64) -> NDArray[np.int64]:
    """Index into SPECIAL of the block that each address lies in, -1 for an ordinary one."""
    result = np.full(len(hi), -1, np.int64)
    for code, (block, _) in enumerate(SPECIAL):
        result[(result < 0) & contains((block,), hi, lo)] = code
    return result


def special_use(hi: U64, lo: U64) -> list[str | None]:
    """What the special-purpose registries say of each address, None for an ordinary one."""
    return [None if code < 0 else SPECIAL[code][1] for code in special_codes(hi, lo).tolist()]
