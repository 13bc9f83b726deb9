"""In: flows (through `ask`). Out: the home networks of this evidence, with the reason. Never here: a network looked up
anywhere else.

Home is the side that the evidence was taken for: private ranges that are in use, and beyond them the network that one end
of nearly all other flows lies in, which may well be public (130.216.0.0/16 in the model case)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracehound.detectors.catalog import Ask
from tracehound.enrich.networks import U64, contains, is_v4, parse
from tracehound.errors import UsageError

PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
LOCAL: Final = ("169.254.0.0/16", "fe80::/10", "127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128")
GROUPS: Final = ("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")
MIN_PRIVATE_SHARE: Final = 0.05
"""Private ranges with less of the flows than this are leaks or answers of routers, not the home network."""
ENOUGH: Final = 0.9
MIN_NETWORK_SHARE: Final = 0.2
MAX_PUBLIC: Final = 4
MAX_PAIRS: Final = 300_000
FLOWS_LOOKED_AT: Final = 2_000_000
"""Of more flows than this every second, third, ... is enough to tell a share from."""

_PAIRS: Final = """
SELECT CAST(src AS VARCHAR) AS src, CAST(dst AS VARCHAR) AS dst, count(*) AS flows,
    avg(CASE WHEN ttl_src <= 32 THEN 32 - ttl_src WHEN ttl_src <= 64 THEN 64 - ttl_src
             WHEN ttl_src <= 128 THEN 128 - ttl_src ELSE 255 - ttl_src END) AS hops
FROM flows WHERE src IS NOT NULL AND dst IS NOT NULL AND flow_id % $every = 0
GROUP BY 1, 2 ORDER BY flows DESC, 1, 2 LIMIT $most
"""


class _Ends(NamedTuple):
    """Ends of pairs: addresses (two uint64 each), network keys, flows a pair, hops of the originator (NaN unknown)."""

    src: tuple[U64, U64]
    dst: tuple[U64, U64]
    src_key: U64
    dst_key: U64
    flows: NDArray[np.int64]
    hops: NDArray[np.float64]

    def keep(self, mask: NDArray[np.bool_]) -> _Ends:
        def cut(pair: tuple[U64, U64]) -> tuple[U64, U64]:
            return pair[0][mask], pair[1][mask]

        return _Ends(
            cut(self.src), cut(self.dst), self.src_key[mask], self.dst_key[mask], self.flows[mask], self.hops[mask]
        )


def given(networks: Sequence[str]) -> tuple[str, ...]:
    """Networks as the user named them, in canonical text. Raises UsageError."""
    try:
        return tuple(str(ipaddress.ip_network(text.strip(), strict=False)) for text in networks)
    except ValueError as error:
        raise UsageError(f"--home: {error}") from None


def is_home(networks: Sequence[str], hi: U64, lo: U64) -> NDArray[np.bool_]:
    """Which of n addresses are at home."""
    return contains(networks, hi, lo)


def _key(hi: U64, lo: U64) -> U64:
    """/16 of an IPv4 address, /48 of an IPv6 address, as one number (an IPv6 /48 in use is above 2**32)."""
    result: U64 = np.where(is_v4(hi, lo), (lo >> np.uint64(16)) & np.uint64(0xFFFF), hi >> np.uint64(16))
    return result


def infer_home(ask: Ask) -> tuple[tuple[str, ...], str]:
    """Home networks (CIDR text) and one sentence that says why."""
    flows = int(ask("SELECT COUNT(*) AS n FROM flows", {})["n"][0].as_py())
    pairs = ask(_PAIRS, {"most": MAX_PAIRS, "every": -(-flows // FLOWS_LOOKED_AT) or 1})
    if pairs.num_rows == 0:
        return PRIVATE, "no flows to tell the home network from; the private ranges are taken"
    src, dst = parse(pairs["src"]), parse(pairs["dst"])
    hops = np.asarray(pairs["hops"].to_numpy(zero_copy_only=False), np.float64)
    ends = _Ends(src, dst, _key(*src), _key(*dst), pairs["flows"].to_numpy().astype(np.int64), hops)
    ordinary = ~(contains(GROUPS + LOCAL, *dst) | contains(LOCAL, *src))
    if not ordinary.any():
        local = tuple(b for b in LOCAL if (contains((b,), *src) | contains((b,), *dst)).any())
        return (
            *PRIVATE,
            *local,
        ), "only loopback, link-local and group traffic; the private ranges are taken with these"
    ends = ends.keep(ordinary)
    total = int(ends.flows.sum())
    home: list[str] = []
    reasons: list[str] = []
    covered = np.zeros(len(ends.flows), bool)
    private = contains(PRIVATE, *ends.src) | contains(PRIVATE, *ends.dst)
    share = int(ends.flows[private].sum()) / total
    if share >= MIN_PRIVATE_SHARE:
        used = [b for b in PRIVATE if (contains((b,), *ends.src) | contains((b,), *ends.dst)).any()]
        home += used
        reasons.append(f"{share:.0%} of the flows have an end in the private ranges {', '.join(used)}")
        covered |= private
    while len(home) < MAX_PUBLIC + len(PRIVATE) and int(ends.flows[covered].sum()) < ENOUGH * total:
        rest = ends.keep(~covered)
        network, share = _best(rest)
        if network is None or share * int(rest.flows.sum()) < MIN_NETWORK_SHARE * total:
            break
        home.append(network)
        reasons.append(f"{share:.0%} of {'the other ' if reasons else 'the '}flows have an end in {network}")
        covered |= contains((network,), *ends.src) | contains((network,), *ends.dst)
    if not home or int(ends.flows[covered].sum()) < MIN_NETWORK_SHARE * total:
        return PRIVATE, "no network has an end of most flows; the private ranges are taken"
    if covered.any() and all(n.endswith(("/32", "/128")) for n in home):
        reasons.append("no other host of that network is in the evidence")
    return tuple(home), "; ".join(reasons)


def _best(ends: _Ends) -> tuple[str | None, float]:
    """The network that most flows have an end in, narrowed to what is in use of it, and its share.

    Where two networks have nearly the same share (one host talks to one network), the originators nearer to the point of
    capture, by their TTL, are at home; then the side that originates more."""
    total = int(ends.flows.sum())
    if total == 0:
        return None, 0.0
    both = np.concatenate([ends.src_key, ends.dst_key])
    keys, place = np.unique(both, return_inverse=True)
    src_place, dst_place = place[: len(ends.flows)], place[len(ends.flows) :]
    weight = np.bincount(src_place, ends.flows, len(keys))
    started = weight.copy()
    weight += np.bincount(dst_place, np.where(src_place != dst_place, ends.flows, 0), len(keys))
    top = float(weight.max())
    rivals = np.flatnonzero(weight >= 0.95 * top)

    def far(k: int) -> float:
        mask = (src_place == k) & ~np.isnan(ends.hops)
        return float(np.average(ends.hops[mask], weights=ends.flows[mask])) if mask.any() else 256.0

    rank = sorted((int(k) for k in rivals[:64]), key=lambda k: (round(far(k) / 2), -started[k], int(keys[k])))
    best = rank[0]
    return _narrow(ends, int(keys[best])), float(weight[best]) / total


def _narrow(ends: _Ends, key: int) -> str:
    """The network of `key` narrowed: one address, one /24 (/64), else the /16 (/48)."""
    hi = np.concatenate([ends.src[0], ends.dst[0]])
    lo = np.concatenate([ends.src[1], ends.dst[1]])
    mask = np.concatenate([ends.src_key, ends.dst_key]) == np.uint64(key)
    hi, lo = hi[mask], lo[mask]
    if bool(is_v4(hi[:1], lo[:1])[0]):
        values = {int(v) & 0xFFFF_FFFF for v in np.unique(lo).tolist()}
        size = 0 if len(values) == 1 else 8 if len({v >> 8 for v in values}) == 1 else 16
        return str(ipaddress.IPv4Network((min(values) >> size << size, 32 - size)))
    wide = {(int(a) << 64) | int(b) for a, b in zip(hi.tolist(), lo.tolist(), strict=True)}
    size = 0 if len(wide) == 1 else 64 if len({v >> 64 for v in wide}) == 1 else 80
    return str(ipaddress.IPv6Network((min(wide) >> size << size, 128 - size)))
