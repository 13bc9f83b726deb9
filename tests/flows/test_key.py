"""Community IDs against the published vectors, and both directions hash alike."""

import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.flows.key import community_id, flow_hash, icmp_counterpart


def plain(kernel: Any) -> Any:
    return kernel.py_func


def packed(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


VECTORS = [
    ("128.232.110.120", "66.35.250.204", 6, 34855, 80, False, True, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("192.168.1.52", "8.8.8.8", 17, 54585, 53, False, True, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    ("192.168.0.89", "192.168.0.1", 1, 8, 0, False, True, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    ("10.0.0.1", "10.0.0.2", 1, 11, 0, True, True, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
    ("198.51.100.254", "10.0.0.5", 1, 3, 1, True, True, "1:KtawU2b5j2syFGENjW9kZaJmXTw="),
    (
        "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 6, 63943, 25, False, True,
        "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
    ),
    ("10.1.12.1", "10.1.12.2", 46, 0, 0, False, False, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
    ("192.168.170.8", "192.168.170.56", 132, 7, 7, False, True, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    ("130.216.54.131", "202.178.254.2", 6, 1566, 80, False, True, "1:QiyThZLmmWkpMWqFiEB7EGfyey4="),
]  # fmt: skip


@pytest.mark.parametrize(("src", "dst", "proto", "sport", "dport", "one_way", "ports", "expected"), VECTORS)
def test_published_vectors(src, dst, proto, sport, dport, one_way, ports, expected):
    assert community_id(packed(src), packed(dst), proto, sport, dport, one_way=one_way, has_ports=ports) == expected
    if not one_way:
        back = community_id(packed(dst), packed(src), proto, dport, sport, one_way=False, has_ports=ports)
        assert back == expected


def test_seed():
    got = community_id(
        packed("128.232.110.120"), packed("66.35.250.204"), 6, 34855, 80, one_way=False, has_ports=True, seed=1
    )
    assert got == "1:3V71V58M3Ksw/yuFALMcW0LAHvc="


half = st.integers(0, 2**63 - 1)
port = st.integers(0, 65535)


@given(half, half, port, half, half, port, st.integers(0, 255))
def test_hash_is_symmetric_and_the_same_plain(a, b, p, c, d, q, proto):
    with np.errstate(over="ignore"):
        forward = flow_hash(a, b, p, c, d, q, proto)
        assert forward == flow_hash(c, d, q, a, b, p, proto)
        assert forward == plain(flow_hash)(
            np.int64(a), np.int64(b), np.int64(p), np.int64(c), np.int64(d), np.int64(q), np.int64(proto)
        )
    assert 0 <= forward < 2**32


def test_icmp_counterparts():
    assert icmp_counterpart(1, 8) == 0 and icmp_counterpart(1, 0) == 8
    assert icmp_counterpart(58, 128) == 129 and icmp_counterpart(58, 135) == 136
    assert icmp_counterpart(1, 3) == -1 and icmp_counterpart(58, 1) == -1
