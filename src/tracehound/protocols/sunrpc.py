"""In: ONC RPC (Sun RPC) over UDP or TCP. Out: rows of table `sunrpc`, one a procedure that a flow calls. Never here: what NFS reads and
writes.

RFC 5531 (RPC; section 11: record marking), 1833 (portmapper, rpcbind), 1094 and 1813 (NFS 2 and 3, mount), IANA's list of programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tracehound.limits import MAX_SUNRPC_KINDS, MAX_SUNRPC_MESSAGE_BYTES, MAX_SUNRPC_MESSAGES, MAX_SUNRPC_WAITING
from tracehound.protocols.framed import Framer
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, ends_of, swapped
from tracehound.protocols.session import Datagram, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

PROGRAMS: Final[dict[int, str]] = {
    100000: "portmapper", 100001: "rstatd", 100002: "rusersd", 100003: "nfs", 100004: "ypserv", 100005: "mountd", 100007: "ypbind",
    100008: "walld", 100009: "yppasswdd", 100011: "rquotad", 100012: "sprayd", 100017: "rexd", 100020: "llockmgr", 100021: "nlockmgr",
    100024: "status", 100026: "bootparam", 100028: "ypupdated", 100029: "keyserv", 100068: "cmsd", 100069: "ypxfrd", 100083: "ttdbserverd",
    100133: "nsm_addrand", 100227: "nfs_acl", 100232: "sadmind", 100235: "cachefsd", 100300: "nisd", 150001: "pcnfsd", 300019: "amd",
    300598: "dmispd",
}  # fmt: skip
_PORTMAPPER, _NFS, _MOUNT = 100000, 100003, 100005
_PROCEDURES: Final[dict[tuple[int, int], str]] = {
    (_PORTMAPPER, 2): "NULL SET UNSET GETPORT DUMP CALLIT",
    (_PORTMAPPER, 3): "NULL SET UNSET GETADDR DUMP CALLIT GETTIME UADDR2TADDR TADDR2UADDR",
    (_PORTMAPPER, 4): "NULL SET UNSET GETADDR DUMP BCAST GETTIME UADDR2TADDR TADDR2UADDR GETVERSADDR INDIRECT GETADDRLIST GETSTAT",
    (_MOUNT, 1): "NULL MNT DUMP UMNT UMNTALL EXPORT EXPORTALL",
    (_MOUNT, 2): "NULL MNT DUMP UMNT UMNTALL EXPORT EXPORTALL PATHCONF",
    (_MOUNT, 3): "NULL MNT DUMP UMNT UMNTALL EXPORT",
    (_NFS, 2): "NULL GETATTR SETATTR ROOT LOOKUP READLINK READ WRITECACHE WRITE CREATE REMOVE RENAME LINK SYMLINK MKDIR RMDIR "
               "READDIR STATFS",
    (_NFS, 3): "NULL GETATTR SETATTR LOOKUP ACCESS READLINK READ WRITE CREATE MKDIR SYMLINK MKNOD REMOVE RMDIR RENAME LINK READDIR "
               "READDIRPLUS FSSTAT FSINFO PATHCONF COMMIT",
    (_NFS, 4): "NULL COMPOUND",
}  # fmt: skip
_CALL, _REPLY = 0, 1
_AUTH_UNIX: Final = 1
_ACCEPTED: Final = ("SUCCESS", "PROG_UNAVAIL", "PROG_MISMATCH", "PROC_UNAVAIL", "GARBAGE_ARGS", "SYSTEM_ERR")
_LISTED: Final = 40


class _Cut(Exception):
    """A message ends before its fields do."""


class _Xdr:
    """Reads numbers and strings off the front (RFC 4506: all in fours)."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def number(self) -> int:
        if self.at + 4 > len(self.data):
            raise _Cut
        self.at += 4
        return int.from_bytes(self.data[self.at - 4 : self.at], "big")

    def string(self) -> bytes:
        size = self.number()
        if self.at + size > len(self.data):
            raise _Cut
        part = self.data[self.at : self.at + size]
        self.at += size + (-size & 3)
        return part


@dataclass(slots=True)
class _Kind:
    program: int
    version: int
    procedure: int
    packet_id: int
    ts_ns: int
    host_name: str | None
    uid: int | None
    argument: str | None
    calls: int = 0
    replies: int = 0
    result: str | None = None
    answer: str | None = None

    @property
    def operation(self) -> str:
        names = _PROCEDURES.get((self.program, self.version), "").split()
        return names[self.procedure] if self.procedure < len(names) else str(self.procedure)


def _transport(number: int) -> str:
    return {6: "tcp", 17: "udp"}.get(number, str(number))


def _program(number: int) -> str:
    return PROGRAMS.get(number, str(number))


def _argument(program: int, operation: str, x: _Xdr) -> str | None:
    """What some calls ask for."""
    if program == _PORTMAPPER and operation in ("GETPORT", "SET", "UNSET"):
        asked, version, transport = x.number(), x.number(), x.number()
        return f"{_program(asked)} {version} {_transport(transport)}"
    if program == _PORTMAPPER and operation in ("GETADDR", "GETVERSADDR"):
        asked, version = x.number(), x.number()
        return f"{_program(asked)} {version} {words_of(x.string())}"
    if program == _PORTMAPPER and operation == "CALLIT":
        return f"{_program(x.number())} {x.number()} procedure {x.number()}"
    if program == _MOUNT and operation in ("MNT", "UMNT"):
        return words_of(x.string()) or None
    return None


def _answer(kind: _Kind, x: _Xdr) -> str | None:
    """What some replies tell."""
    operation = kind.operation
    if kind.program == _PORTMAPPER and operation == "GETPORT":
        return str(x.number())
    if kind.program == _PORTMAPPER and operation in ("GETADDR", "GETVERSADDR"):
        return words_of(x.string()) or None
    if kind.program == _PORTMAPPER and operation == "DUMP" and kind.version == 2:
        found: list[str] = []
        while x.number() and len(found) < _LISTED:
            program, version, transport, port = (x.number() for _ in range(4))
            found.append(f"{_program(program)} {version} {_transport(transport)} {port}")
        return ", ".join(found) or None
    if kind.program == _MOUNT and operation == "MNT":
        status = x.number()
        return None if status == 0 else {1: "EPERM", 2: "ENOENT", 13: "EACCES", 20: "ENOTDIR"}.get(status, f"error {status}")
    if kind.program == _MOUNT and operation == "EXPORT":
        exports: list[str] = []
        while x.number() and len(exports) < _LISTED:
            exports.append(words_of(x.string()))
            while x.number():
                x.string()
        return ", ".join(exports) or None
    return None


class RpcCalls(Reporter):
    """Calls of one flow and their replies."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self._kinds: dict[tuple[Any, ...], _Kind] = {}
        self._waiting: dict[int, _Kind] = {}
        self.read = 0

    def message(self, data: bytes, packet_id: int, ts_ns: int) -> None:
        self.read += 1
        try:
            x = _Xdr(data)
            xid, direction = x.number(), x.number()
            if direction == _CALL:
                self._call(x, xid, packet_id, ts_ns)
            elif direction == _REPLY:
                self._reply(x, xid)
        except _Cut:
            self.note("a message is cut")

    def _call(self, x: _Xdr, xid: int, packet_id: int, ts_ns: int) -> None:
        # RFC 5531 9: RPC version, program, version, procedure, credentials, verifier, arguments.
        if x.number() != 2:
            return
        program, version, procedure = x.number(), x.number(), x.number()
        flavor, credentials = x.number(), x.string()
        x.number(), x.string()
        host_name = uid = None
        if flavor == _AUTH_UNIX:
            # Appendix A: stamp, machine, user, group, groups.
            c = _Xdr(credentials, 4)
            host_name, uid = words_of(c.string()) or None, c.number()
        kind = _Kind(program, version, procedure, packet_id, ts_ns, host_name, uid, None)
        kind.argument = _argument(program, kind.operation, x)
        key = (program, version, procedure, kind.argument)
        if key not in self._kinds and len(self._kinds) < MAX_SUNRPC_KINDS:
            self._kinds[key] = kind
        known = self._kinds.get(key)
        if known is None:
            return
        known.calls += 1
        self._waiting[xid] = known
        if len(self._waiting) > MAX_SUNRPC_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _reply(self, x: _Xdr, xid: int) -> None:
        kind = self._waiting.pop(xid, None)
        if kind is None:
            return
        kind.replies += 1
        if kind.result is not None:
            return
        if x.number() != 0:
            kind.result = "AUTH_ERROR" if x.number() == 1 else "RPC_MISMATCH"
            return
        x.number(), x.string()
        status = x.number()
        kind.result = _ACCEPTED[status] if status < len(_ACCEPTED) else str(status)
        if status == 0:
            kind.answer = _answer(kind, x)

    def end(self) -> None:
        for k in self._kinds.values():
            self.row(
                "sunrpc", k.ts_ns, _program(k.program), k.program, str(k.version), k.operation, k.calls, k.replies, k.result, k.host_name,
                k.uid, k.argument, k.answer, k.packet_id, self.said,
            )  # fmt: skip
        self._kinds.clear()


class RpcRecords:
    """ONC RPC over TCP: records of fragments, each with its length and a bit that says it is the last."""

    def __init__(self, ends: FlowEnds, emit: Emit, *, originator_is_client: bool) -> None:
        self.finished = False
        self._calls = RpcCalls(ends if originator_is_client else swapped(ends), emit)
        self._framers = {
            side: Framer(4, lambda head: 4 + (int.from_bytes(head, "big") & 0x7FFFFFFF), MAX_SUNRPC_MESSAGE_BYTES) for side in (True, False)
        }
        self._begun = {True: b"", False: b""}

    def feed(self, chunk: Chunk) -> None:
        side = chunk.from_originator
        if chunk.gap_before:
            self._calls.note("bytes are missing")
        for data, packet_id, ts_ns in self._framers[side].feed(chunk):
            if len(self._begun[side]) < MAX_SUNRPC_MESSAGE_BYTES:
                self._begun[side] += data[4:]
            if data[0] & 0x80:
                whole, self._begun[side] = self._begun[side], b""
                self._calls.message(whole, packet_id, ts_ns)
        if self._calls.read > MAX_SUNRPC_MESSAGES or all(f.lost for f in self._framers.values()):
            if self._calls.read > MAX_SUNRPC_MESSAGES:
                self._calls.note("later messages were not counted")
            self.finished = True

    def close(self, note: str) -> None:
        self._calls.note(note)
        self._calls.end()


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> RpcRecords:
    """Opener for STREAMS."""
    return RpcRecords(ends, emit, originator_is_client=chunk.from_originator != (chunk.data[8:12] == b"\0\0\0\1"))


class RpcDatagrams:
    """All flows of ONC RPC over UDP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, RpcCalls] = {}

    def datagram(self, datagram: Datagram) -> bool:
        flow = self._flows.get(datagram.flow_id)
        if flow is None:
            flow = self._flows[datagram.flow_id] = RpcCalls(ends_of(datagram), self._emit)
        flow.message(datagram.data, datagram.packet_id, datagram.ts_ns)
        if flow.read > MAX_SUNRPC_MESSAGES:
            flow.note("later messages were not counted")
            return True
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            flow.end()
