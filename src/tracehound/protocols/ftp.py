"""In: the ordered bytes of both directions of an FTP control connection. Out: commands with their replies as rows of table `ftp`,
logins as rows of `logins`, and the data connections that are announced. Never here: the bytes of a data connection
(transferred.py), or a password.

RFC 959 (FTP), 2428 (EPRT, EPSV), 1639 (LPRT is not read), 4217 (AUTH TLS)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from tracehound.protocols.lines import Exchange, Replies, TextSession, words_of
from tracehound.protocols.session import Emit, Expected, FlowEnds
from tracehound.protocols.transferred import Transfer, TransferSession
from tracehound.streams.reassemble import Chunk

_SIX: Final = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
_EXTENDED: Final = re.compile(r"\((.)\1\1(\d{1,5})\1\)")
_FILES: Final = frozenset({"RETR", "STOR", "APPE", "STOU"})
_LISTINGS: Final = frozenset({"LIST", "NLST", "MLSD"})
_SECRET: Final = frozenset({"PASS", "ACCT"})
_ODD_REPLY: Final = re.compile(rb"(?:\d{1,2}|\d{4,9})[ -]")
_VERB: Final = re.compile(rb"[A-Za-z]{3,12}")


@dataclass(slots=True)
class Command:
    number: int | None
    name: str | None
    arg: str | None
    user: str | None
    packet_id: int
    ts_ns: int
    transfer: Transfer | None = None
    where: tuple[str, int] | None = None


def six_numbers(words: str) -> tuple[str, int] | None:
    """RFC 959 4.1.2: h1,h2,h3,h4,p1,p2."""
    found = _SIX.search(words)
    if found is None:
        return None
    numbers = [int(n) for n in found.groups()]
    if max(numbers) > 255:
        return None
    return ".".join(map(str, numbers[:4])), numbers[4] << 8 | numbers[5]


def extended_port(words: str) -> tuple[str, int] | None:
    """RFC 2428 2: EPRT <d>net-prt<d>net-addr<d>tcp-port<d>."""
    parts = words.strip().split(words.strip()[:1]) if words.strip() else []
    if len(parts) < 4 or not parts[3].isdigit() or len(parts[3]) > 5 or int(parts[3]) > 65_535:
        return None
    try:
        return str(ip_address(parts[2])), int(parts[3])
    except ValueError:
        return None


class FtpSession(TextSession):
    service = "ftp"

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        super().__init__(ends, chunk, emit)
        self.expected: list[Expected] = []
        self._exchange = Exchange(self._paired)
        self._replies = Replies()
        self._user: str | None = None
        self._transfer: Transfer | None = None
        self._first_reply = True
        self._numbers["ftp"] = 1
        """0 is kept for the greeting, whose bytes come after the commands of the same batch."""

    # -- client -------------------------------------------------------------------------------------------------------------
    def client_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        # RFC 959 4.1.3: ABOR comes behind Telnet's IP and Synch (IAC bytes).
        verb, _, rest = line.lstrip(b"\xff\xf4\xf2\xf1").rstrip(b"\r\n").partition(b" ")
        if not verb:
            return
        name = verb.upper().decode("latin-1") if _VERB.fullmatch(verb) else words_of(verb)
        if name == "USER":
            self._user = words_of(rest)
        arg = words_of(rest) or None
        command = Command(self.number("ftp"), name, "<hidden>" if name in _SECRET and arg else arg, self._user, packet_id, ts_ns)
        act = _ACTS.get(name)
        if act is not None:
            act(self, command, arg or "")
        self._exchange.command(command)

    def _do_port(self, command: Command, arg: str) -> None:
        """The client listens: known at once, whether the server then agrees or not."""
        command.transfer = self._transfer = Transfer("ftp_data")
        command.where = six_numbers(arg) if command.name == "PORT" else extended_port(arg)
        if command.where:
            self._expect(*command.where, command.transfer)

    def _do_pasv(self, command: Command, arg: str) -> None:
        command.transfer = self._transfer = Transfer("ftp_data")

    def _do_file(self, command: Command, arg: str) -> None:
        if self._transfer is not None:
            self._transfer.name = arg or None

    def _do_listing(self, command: Command, arg: str) -> None:
        if self._transfer is not None:
            self._transfer.note = "a listing of " + (arg or "the current folder")

    def _expect(self, address: str, port: int, transfer: Transfer) -> None:
        if port:
            self.expected.append(
                Expected(address, port, "ftp_data", lambda ends, chunk, emit: TransferSession(ends, chunk, emit, transfer))
            )

    # -- server ---------------------------------------------------------------------------------------------------------------
    def server_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        reply = self._replies.line(line)
        if reply is None and not self._replies.unfinished and _ODD_REPLY.match(line):
            # zeek/ftp/ftp-invalid-reply-code.pcap: a reply whose code has not three digits still answers its command.
            reply = (0, words_of(line))
        if reply is None:
            return
        greeting, self._first_reply = self._first_reply and reply[0] in (220, 120, 421), reply[0] == 120
        if greeting:
            self._emit_row(Command(0 if reply[0] != 120 else None, None, None, None, packet_id, ts_ns), reply)
        elif 100 <= reply[0] < 200:
            # RFC 959 4.2: a 1yz reply is preliminary, another follows.
            return
        else:
            self._exchange.reply(reply)

    def _paired(self, command: Command, reply: tuple[int, str] | None) -> None:
        act = _ANSWERS.get(command.name or "")
        if act is not None:
            act(self, command, reply)
        self._emit_row(command, reply)

    def _passive(self, command: Command, reply: tuple[int, str] | None) -> None:
        """RFC 959: 227 (h1,h2,h3,h4,p1,p2); RFC 2428 3: 229 (|||port|)."""
        if reply is None or command.transfer is None:
            return
        server = self.ends.responder
        if command.name == "PASV":
            command.where = six_numbers(reply[1]) if reply[0] == 227 else None
        else:
            found = _EXTENDED.search(reply[1]) if reply[0] == 229 else None
            command.where = (server, int(found.group(2))) if found and int(found.group(2)) < 65_536 else None
        if command.where is not None:
            self._expect(*command.where, command.transfer)
            if command.where[0] != server:
                # Behind NAT the server names an address of its own network; clients then take the one they know.
                self._expect(server, command.where[1], command.transfer)

    def _logged_in(self, command: Command, reply: tuple[int, str] | None) -> None:
        """RFC 959 5.4: 230 and 202 let in, 331 and 332 ask on, all else refuses."""
        code = reply[0] if reply else 0
        if command.name == "USER" and code not in (230, 232):
            return
        accepted = None if code in (0, 332) else code in (230, 202, 232)
        self.login(command.user, "password", cleartext=True, accepted=accepted, answer=f"{code} {reply[1]}" if reply else None,
                   packet_id=command.packet_id, ts_ns=command.ts_ns)  # fmt: skip

    # -- rows -------------------------------------------------------------------------------------------------------------------
    def _emit_row(self, command: Command, reply: tuple[int, str] | None) -> None:
        if command.number is None:
            return
        where = command.where
        self.emit(
            "ftp",
            (
                *self.begin(command.number, command.ts_ns), command.user, command.name, command.arg, (reply[0] or None) if reply else None,
                reply[1] if reply else None, where[0] if where else None, where[1] if where else None,
                command.name in ("PASV", "EPSV") if where else None, command.packet_id, self.said,
            ),
        )  # fmt: skip

    def gap(self, client: bool) -> None:
        self._exchange.lose()

    def done(self) -> None:
        self._exchange.lose()


_ACTS: Final[dict[str, Callable[[FtpSession, Command, str], None]]] = {
    "PORT": FtpSession._do_port, "EPRT": FtpSession._do_port, "PASV": FtpSession._do_pasv, "EPSV": FtpSession._do_pasv,
    **dict.fromkeys(_FILES, FtpSession._do_file), **dict.fromkeys(_LISTINGS, FtpSession._do_listing),
}  # fmt: skip
_ANSWERS: Final[dict[str, Callable[[FtpSession, Command, tuple[int, str] | None], None]]] = {
    "PASV": FtpSession._passive, "EPSV": FtpSession._passive, "USER": FtpSession._logged_in, "PASS": FtpSession._logged_in,
}  # fmt: skip


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> FtpSession:
    """Opener for STREAMS."""
    return FtpSession(ends, chunk, emit)
