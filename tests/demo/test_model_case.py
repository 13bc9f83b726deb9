import hashlib
import socket
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from tests.demo.reading import blocks, packets, tcp
from tracehound.demo import model_case
from tracehound.demo.model_case import HOST, PRINTED_BYTES, STOP_NS, ModelCase

MIB = 1 << 20


@pytest.fixture(scope="module")
def case():
    wire, facts = model_case.reconstruct()
    return b"".join(model_case.chunks(wire)), facts


@pytest.fixture(scope="module")
def probes(case):
    """Everything between the host and its targets on port 80: (target, source port) -> segments, seen from the bytes."""
    data, facts = case
    host = socket.inet_aton(HOST)
    targets = {socket.inet_aton(t) for t in facts.targets}
    found = defaultdict(list)
    for p in tcp(data):
        if p.src == host and p.dport == 80 and p.dst in targets:
            found[p.dst, p.sport].append((True, p))
        elif p.dst == host and p.sport == 80 and p.src in targets:
            found[p.src, p.dport].append((False, p))
    return found


def attempts(probes):
    """Split by initial sequence number, because ports come round again."""
    out: list[tuple[int, Any, list[Any]]] = []
    for key, segments in probes.items():
        current: tuple[int, Any, list[Any]] | None = None
        for forth, p in segments:
            if forth and p.flags == 2 and (current is None or p.seq != current[0]):
                current = (p.seq, key, [])
                out.append(current)
            if current is not None:
                current[2].append((forth, p))
    return out


def test_size_order_and_label(case):
    data, facts = case
    assert len(data) < 25 * MIB
    assert facts.packets < 250_000
    times = [p.ts for p in packets(data)]
    assert len(times) == facts.packets
    assert times == sorted(times)
    assert facts.start_ns <= times[0]
    assert times[-1] <= facts.end_ns
    assert 29.5 * 3600 < (times[-1] - times[0]) / 1e9 <= 30 * 3600
    assert b"SYNTHETIC reconstruction" in next(body for _, body in blocks(data))
    assert sum("SYNTHETIC" in p.comment for p in packets(data)) == 3
    assert "SYNTHETIC" in model_case.FILE_NAME


def test_attempts_and_outcomes_are_those_of_the_facts(case, probes):
    _, facts = case
    outcomes: Counter[str] = Counter()
    syn_counts: Counter[int] = Counter()
    statuses: Counter[int] = Counter()
    syns = 0
    for _, _, segments in attempts(probes):
        sent = sum(forth and p.flags == 2 for forth, p in segments)
        syns += sent
        back = [p for forth, p in segments if not forth]
        payload = b"".join(p.payload for p in back)
        if payload:
            outcomes["answered"] += 1
            statuses[int(payload[9:12])] += 1
        elif any(p.flags & 2 for p in back):
            outcomes["accepted"] += 1
        elif back:
            outcomes["refused"] += 1
        else:
            outcomes["nothing back"] += 1
            syn_counts[sent] += 1
    assert sum(outcomes.values()) == facts.attempts
    assert outcomes["answered"] == facts.outcomes["answered"]
    assert outcomes["accepted"] == facts.outcomes["accepted"]
    assert outcomes["refused"] == facts.outcomes["refused"]
    assert outcomes["nothing back"] == facts.outcomes["unanswered"] + facts.outcomes["unreachable"]
    assert syns == facts.syns
    assert statuses == facts.statuses
    assert set(syn_counts) <= {1, 2, 3, 4, 5}
    assert syn_counts[4] + syn_counts[5] > 0.999 * outcomes["nothing back"]


def test_icmp_errors_quote_the_attempts(case):
    data, facts = case
    quoted = set()
    for p in packets(data):
        if p.frame[12:14] == b"\x08\x00" and p.frame[23] == 1 and p.frame[34:36] == b"\x03\x01":
            inner = p.frame[42:]
            if inner[12:16] == socket.inet_aton(HOST):
                quoted.add((inner[16:20], inner[20:28]))
    assert len(quoted) == facts.outcomes["unreachable"]


def test_rate_list_and_shares_are_those_of_the_model(case):
    _, facts = case
    assert len(set(facts.targets)) == 63
    minutes = (facts.stop_ns - facts.first_attempt_ns) / 60e9
    assert 3.0 < facts.attempts / minutes < 4.0
    assert 0.015 < facts.outcomes["answered"] / facts.attempts < 0.025
    assert facts.outcomes["unanswered"] / facts.attempts > 0.8
    assert all(t.endswith(".0") or t == model_case.PRINTED_TARGET for t in facts.targets)
    assert len(facts.names) > 30


def test_each_target_is_visited_about_every_eighteen_minutes(case, probes):
    times = defaultdict(list)
    for _, key, segments in attempts(probes):
        times[key[0]].append(segments[0][1].ts)
    assert len(times) == 63
    for visits in times.values():
        gaps = sorted(b - a for a, b in pairwise(sorted(visits)))
        assert 17 < gaps[len(gaps) // 2] / 60e9 < 19


def test_requests_are_117_bytes_without_referer(case, probes):
    _, facts = case
    requests = [p for segments in probes.values() for forth, p in segments if forth and p.payload]
    assert len(requests) == facts.requests
    assert {len(p.payload) for p in requests} == {117}
    for p in requests:
        line, rest = p.payload.split(b"\r\n", 1)
        assert line.startswith(b"GET /b.cgi?alt&")
        assert line[15:24].isdigit()
        assert line[24:] == b"&000000000000 HTTP/1.1"
        assert b"Host: " + socket.inet_ntoa(p.dst).encode() in rest
        assert b"referer" not in rest.lower()
        assert (p.ttl, p.window) == (126, 8760)
        assert p.payload.endswith(b"\r\n\r\n")


def test_the_printed_packet_is_there_byte_by_byte(case):
    data, facts = case
    found = [p for p in packets(data) if p.frame[14:96] == PRINTED_BYTES]
    assert len(found) == 1
    assert len(PRINTED_BYTES) == 82
    assert found[0].ts == facts.printed_packet_ns
    assert found[0].ts == STOP_NS - (11 * 3600 + 16 * 60 + 52) * 10**9 - 345_552_000
    assert len(found[0].frame) == 14 + 157


def test_source_ports_count_up_by_one(case):
    data, _ = case
    host = socket.inet_aton(HOST)
    ports: list[int] = []
    for p in packets(data):
        if p.frame[12:14] == b"\x08\x00" and p.frame[26:30] == host and p.frame[23] in (6, 17):
            port = int.from_bytes(p.frame[34:36])
            fresh = p.frame[23] == 17 or p.frame[47] == 2
            if fresh and port != 138 and port not in ports[-60:]:
                ports.append(port)
    steps = Counter((b - a) % 3977 for a, b in pairwise(ports))
    assert steps[1] > 0.97 * len(ports)
    assert min(ports) == 1024
    assert max(ports) == 5000


def test_it_stops_after_the_download_and_the_host_goes_on(case, probes):
    data, facts = case
    host = socket.inet_aton(HOST)
    last = max(p.ts for segments in probes.values() for _, p in segments)
    assert 0 <= STOP_NS - facts.stop_ns < 3 * 10**9
    assert last <= facts.stop_ns
    sender = socket.inet_aton(facts.last_target)
    body = b"".join(p.payload for p in tcp(data) if p.src == sender and p.dst == host)
    assert body.split(b"\r\n\r\n", 1)[1] == facts.download
    assert facts.download_bytes == len(facts.download) == 4096
    assert b"application/octet-stream" in body
    after = [p for p in tcp(data) if p.src == host and p.ts > facts.stop_ns]
    assert len({p.dst for p in after}) >= 4
    assert all(b"b.cgi" not in p.payload for p in after)
    assert any(b"Referer: " in p.payload for p in after)


def test_bystanders_are_there(case):
    data, facts = case
    sources = Counter(p.frame[26:30] for p in packets(data) if p.frame[12:14] == b"\x08\x00")
    assert len(facts.bystanders) >= 8
    for bystander in facts.bystanders:
        assert sources[socket.inet_aton(bystander.address)] > 20, bystander.what
    reader = next(b.address for b in facts.bystanders if "board" in b.what)
    board = [p.payload for p in tcp(data) if p.src == socket.inet_aton(reader) and b"/cgi-bin/b.cgi?page=" in p.payload]
    assert len(board) > 20
    assert all(b"Referer: " in p and b"Cookie: " in p for p in board)


SMALL = ModelCase(probing_hours=1.0, after_hours=0.3)


def test_same_seed_same_hash_and_another_seed_another():
    def digest(case):
        return hashlib.sha256(b"".join(model_case.evidence(case))).hexdigest()

    assert digest(SMALL) == digest(SMALL)
    assert digest(SMALL) != digest(ModelCase(seed=1, probing_hours=1.0, after_hours=0.3))


@pytest.mark.parametrize("per_min", [3.5, 1.0, 0.2])
def test_knobs_rate_and_duration(per_min):
    case = ModelCase(targets_per_min=per_min, probing_hours=8, after_hours=1, bystanders=False, ordinary=False)
    wire, facts = model_case.reconstruct(case)
    assert facts.attempts == pytest.approx(per_min * 480, rel=0.1)
    assert (facts.end_ns - facts.start_ns) == 9 * 3600 * 10**9
    assert len(facts.targets) == min(63, facts.attempts)
    assert len(wire) == facts.packets


def test_knobs_failing_share_targets_and_ever_new():
    case = ModelCase(failing_share=0.5, targets=20, probing_hours=3, bystanders=False, stops=False)
    _, facts = model_case.reconstruct(case)
    assert len(facts.targets) == 20
    assert facts.outcomes["answered"] / facts.attempts == pytest.approx(0.5, abs=0.03)
    assert facts.stop_ns == 0
    _, new = model_case.reconstruct(ModelCase(ever_new=True, probing_hours=2, bystanders=False))
    assert len(new.targets) == new.attempts
    _, many = model_case.reconstruct(ModelCase(targets=200, probing_hours=2, bystanders=False))
    assert len(many.targets) == 200


def test_outside_scanner_only_when_asked():
    quiet, _ = model_case.reconstruct(SMALL)
    loud, _ = model_case.reconstruct(ModelCase(probing_hours=6, after_hours=0.3, outside_scanner=True))
    assert sum(f.data[36:38] == (1433).to_bytes(2) for f in quiet.frames() if f.data[23:24] == b"\x06") < 10
    assert sum(f.data[36:38] == (1433).to_bytes(2) for f in loud.frames() if f.data[23:24] == b"\x06") >= 800
