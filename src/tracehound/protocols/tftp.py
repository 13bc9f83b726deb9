"""In: TFTP datagrams: requests to a server, and the flows from another port of it that carry the data. Out: rows of table `tftp`, and the
files. Never here: how such a flow is found (transactions.py looks for what is `expected`).

RFC 1350 (TFTP), 2347 to 2349 and 7440 (options)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_EXPECTED_FLOWS
from tracehound.protocols.carried import CarriedFile
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit

_RRQ, _WRQ, _DATA, _ACK, _ERROR, _OACK = 1, 2, 3, 4, 5, 6
_ERRORS: Final = (
    "not defined", "file not found", "access violation", "disk full", "illegal operation", "unknown transfer id", "file already exists",
    "no such user", "options refused",
)  # fmt: skip
_REQUEST: Final = re.compile(rb"\x00[\x01\x02]([^\x00]*)\x00([^\x00]*)\x00", re.DOTALL)
_BLOCK_BYTES: Final = 512
_WINDOW: Final = 64
"""Blocks ahead of their turn that are kept (RFC 7440 servers send several at once)."""


@dataclass(slots=True)
class _Transfer:
    reporter: Reporter
    client: tuple[str, int]
    command: str
    name: str | None
    mode: str | None
    options: dict[str, str]
    packet_id: int
    ts_ns: int
    block_bytes: int = _BLOCK_BYTES
    data_port: int | None = None
    data_flow: int | None = None
    file: CarriedFile | None = None
    next_block: int = 1
    ahead: dict[int, bytes] = field(default_factory=dict)
    result: str = "unanswered"
    answer: str | None = None
    lost: bool = False
    over: bool = False

    def take(self, d: Datagram) -> None:
        """A message that is no request."""
        kind = d.data[1]
        if kind == _DATA and len(d.data) >= 4 and not self.over:
            self._data(d)
        elif kind == _ERROR and len(d.data) >= 4:
            code = int.from_bytes(d.data[2:4], "big")
            self.result = _ERRORS[code] if code < len(_ERRORS) else f"error {code}"
            self.answer = words_of(d.data[4:].rstrip(b"\0")) or None
        elif kind == _OACK:
            self._agreed(d.data[2:])
            self.result = "unfinished" if self.result == "unanswered" else self.result
        elif kind == _ACK and self.result == "unanswered":
            self.result = "unfinished"

    def _agreed(self, data: bytes) -> None:
        """RFC 2348 2: the server says which block size holds."""
        options = _options(data)
        size = options.get("blksize", "")
        if size.isdigit() and 8 <= int(size) <= 65_464:
            self.block_bytes = int(size)

    def _data(self, d: Datagram) -> None:
        if self.file is None:
            ends = self.reporter.ends
            self.file = CarriedFile(
                ends._replace(interest=d.interest), "tftp", 0, sent_by_src=self.command == "WRQ", ts_ns=d.ts_ns, packet_id=d.packet_id,
                name=self.name,
            )  # fmt: skip
            self.result = "unfinished"
        block = int.from_bytes(d.data[2:4], "big")
        # RFC 1350 2: blocks count from 1; where files are large, clients and servers let the number run over.
        distance = (block - self.next_block) & 0xFFFF
        if distance == 0:
            self._block(d.data[4:])
            while not self.over and self.next_block & 0xFFFF in self.ahead:
                self._block(self.ahead.pop(self.next_block & 0xFFFF))
        elif distance < _WINDOW:
            self.ahead[block] = d.data[4:]
        elif distance < 0x8000:
            self.lost = True
            self.next_block = block
            self._block(d.data[4:])

    def _block(self, data: bytes) -> None:
        assert self.file is not None
        self.file.add(data)
        self.next_block += 1
        # RFC 1350 6: a block that is not full ends the file.
        if len(data) < self.block_bytes:
            self.over = True
            self.result = "complete"

    def end(self) -> None:
        r = self.reporter
        sent = self.file.bytes if self.file is not None else None
        if self.ahead:
            self.lost = True
        r.row(
            "tftp", self.ts_ns, self.command, self.name, self.mode, [f"{k}={v}" for k, v in self.options.items()] or None, self.data_port,
            self.data_flow, sent, self.result, self.answer, self.packet_id, "blocks are missing" if self.lost else None,
        )  # fmt: skip
        if self.file is not None and self.file.bytes:
            self.file.close(r.emit, complete=self.over and not self.lost, note="blocks are missing" if self.lost else None)


def _options(data: bytes) -> dict[str, str]:
    """RFC 2347: names and values, each ended by a zero; names in whatever case."""
    parts = [words_of(p) for p in data.split(b"\0")[:32]]
    return {name.lower(): value for name, value in zip(parts[::2], parts[1::2], strict=False) if name}


class TftpDatagrams:
    """All flows of TFTP: requests, and what they announce."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.expected: dict[tuple[str, int], str] = {}
        self._by_client: dict[tuple[str, int], _Transfer] = {}
        self._by_flow: dict[int, list[_Transfer]] = {}
        self._data_flows: dict[int, _Transfer] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        if len(d.data) < 2 or d.data[0] != 0:
            return False
        asked = _REQUEST.match(d.data[:1024])
        if asked is not None:
            self._request(d, asked)
            return False
        transfer = self._data_flows.get(d.flow_id)
        if transfer is None:
            sender, receiver = (d.src, d.sport), (d.dst, d.dport)
            transfer = self._by_client.get(sender) or self._by_client.get(receiver)
            if transfer is None:
                return False
            self._data_flows[d.flow_id] = transfer
            transfer.data_flow = d.flow_id
            transfer.data_port = d.sport if receiver == transfer.client else d.dport
            self.expected.pop(transfer.client, None)
        transfer.take(d)
        return False

    def _request(self, d: Datagram, asked: re.Match[bytes]) -> None:
        client = d.src, d.sport
        earlier = self._by_client.get(client)
        name, mode = words_of(asked.group(1)) or None, words_of(asked.group(2)).lower() or None
        command = "RRQ" if d.data[1] == _RRQ else "WRQ"
        if earlier is not None and (earlier.name, earlier.command) == (name, command) and earlier.data_flow is None:
            return
        same_flow = self._by_flow.get(d.flow_id)
        reporter = same_flow[0].reporter if same_flow else Reporter(ends_of(d), self._emit)
        transfer = _Transfer(reporter, client, command, name, mode, _options(d.data[asked.end() :]), d.packet_id, d.ts_ns)
        self._by_client[client] = transfer
        self._by_flow.setdefault(d.flow_id, []).append(transfer)
        self.expected[client] = "tftp_data"
        if len(self.expected) > MAX_EXPECTED_FLOWS:
            self.expected.pop(next(iter(self.expected)))

    def end(self, flow_id: int) -> None:
        transfer = self._data_flows.pop(flow_id, None)
        if transfer is not None:
            self._finish(transfer)
        for asked in self._by_flow.pop(flow_id, []):
            # The flow of the request is over long before that of the data, which ends the transfer then.
            if asked.data_flow is None or asked.data_flow not in self._data_flows:
                self._finish(asked)

    def _finish(self, transfer: _Transfer) -> None:
        if self._by_client.get(transfer.client) is transfer:
            del self._by_client[transfer.client]
            self.expected.pop(transfer.client, None)
        requests = self._by_flow.get(transfer.reporter.ends.flow_id, [])
        if transfer in requests:
            requests.remove(transfer)
        transfer.end()
