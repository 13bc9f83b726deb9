"""In: the ordered bytes of both directions of a flow. Out: IRC commands as rows of table `irc`, server passwords as rows of `logins`,
and the connections that DCC SEND offers. Never here: the bytes of a file (transferred.py), or a password.

RFC 1459 and 2812 (IRC); the CTCP and DCC notes of Zeuge, Rollo and Mesander (1994) for DCC SEND."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from tracehound.protocols.lines import TextSession, visible, words_of
from tracehound.protocols.session import Emit, Expected, FlowEnds
from tracehound.protocols.transferred import Transfer, TransferSession
from tracehound.streams.reassemble import Chunk

_KEPT: Final = frozenset(
    {"NICK", "USER", "JOIN", "PART", "PRIVMSG", "NOTICE", "TOPIC", "MODE", "KICK", "QUIT", "INVITE", "OPER", "SQUERY", "DCC"})
_TALK: Final = frozenset({"PRIVMSG", "NOTICE", "TOPIC"})
_SECRET: Final = frozenset({"OPER", "PASS"})
_NUMERIC: Final = {"332": "TOPIC"}
"""RFC 2812 5.1: RPL_TOPIC tells who joins the channel's topic, where bots find their orders."""
_BOT: Final = re.compile(r"[.!@$%&~`^*-]([A-Za-z][\w.\-]{1,40})(?=\s|$)")
_DCC: Final = re.compile(r'\\x01DCC SEND (?:"([^"]{1,400})"|(\S{1,400})) (\S{1,45}) (\d{1,5})(?: (\d{1,18}))?', re.IGNORECASE)


class IrcSession(TextSession):
    service = "irc"
    server_first = re.compile(rb":|NOTICE|ERROR|PING ", re.IGNORECASE)

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        super().__init__(ends, chunk, emit)
        self.expected: list[Expected] = []
        self._nick: str | None = None
        self._user: str | None = None
        self._password: tuple[int, int] | None = None
        self._welcome: tuple[bool, str] | None = None

    def client_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        self._message(line, True, packet_id, ts_ns)

    def server_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        self._message(line, False, packet_id, ts_ns)

    def _message(self, line: bytes, by_client: bool, packet_id: int, ts_ns: int) -> None:
        """RFC 2812 2.3.1: [":" prefix SPACE] command *14(SPACE middle) [SPACE ":" trailing]; IRCv3 puts @tags first."""
        words = words_of(line).lstrip(" ")
        if words.startswith("@"):
            words = words.partition(" ")[2].lstrip(" ")
        sender = None
        if words.startswith(":"):
            sender, _, words = words[1:].partition(" ")
        head, colon, trailing = words.lstrip(" ").partition(" :")
        parts = head.split()
        if not parts:
            return
        command, arguments = parts[0].upper(), parts[1:]
        if colon:
            arguments.append(trailing)
        if not by_client and command.isdigit():
            self._numeric(command, arguments)
            if command not in _NUMERIC:
                return
            command, arguments = _NUMERIC[command], arguments[1:]
        if command == "PASS" and by_client:
            self._password = packet_id, ts_ns
        if command in _KEPT:
            self._row(command, arguments, by_client, sender, packet_id, ts_ns)
        if by_client and command in _LEARN and arguments:
            _LEARN[command](self, arguments[0].lstrip(":"))

    def _numeric(self, code: str, arguments: list[str]) -> None:
        """RFC 2812 5: 001 lets in; 464 is a wrong password, 465 a ban."""
        if self._welcome is None and code in ("001", "464", "465"):
            self._welcome = code == "001", " ".join([code, *arguments[-1:]])

    def _learn_nick(self, name: str) -> None:
        self._nick = name

    def _learn_user(self, name: str) -> None:
        self._user = name

    def _row(
        self, command: str, arguments: list[str], by_client: bool, sender: str | None, packet_id: int, ts_ns: int
    ) -> None:
        number = self.number("irc")
        if number is None:
            return
        value = arguments[0].lstrip(":") if arguments else None
        addl = " ".join(arguments[1:]) or None
        if command in _SECRET and addl:
            addl = "<hidden>"
        text = addl or ""
        order = _BOT.match(text) if command in _TALK else None
        offer = _DCC.search(text)
        name = size = None
        if offer is not None:
            name, size = self._offer(offer)
        self.emit("irc", (*self.begin(number, ts_ns), self._nick, self._user, by_client, sender, command, value, addl,
                          order.group() if order else None, name, size, packet_id, self.said))  # fmt: skip

    def _offer(self, offer: re.Match[str]) -> tuple[str, int | None]:
        """DCC SEND name address port [size]: the sender listens; IPv4 addresses are written as one decimal number."""
        name = offer.group(1) or offer.group(2)
        size = int(offer.group(5)) if offer.group(5) and int(offer.group(5)) < 2**62 else None
        port = int(offer.group(4))
        try:
            given = offer.group(3)
            address = str(ip_address(int(given) if given.isdigit() and int(given) < 2**32 else given))
        except ValueError:
            return name, size
        if 0 < port < 65_536:
            transfer = Transfer("irc_dcc_data", visible(name), size=size)
            self.expected.append(
                Expected(address, port, "irc_dcc_data", lambda ends, chunk, emit: TransferSession(ends, chunk, emit, transfer))
            )
        return name, size

    def done(self) -> None:
        if self._password is not None:
            accepted, answer = self._welcome or (None, None)
            packet_id, ts_ns = self._password
            self.login(self._nick or self._user, "password", cleartext=True, accepted=accepted, answer=answer,
                       packet_id=packet_id, ts_ns=ts_ns)  # fmt: skip


_LEARN: Final[dict[str, Callable[[IrcSession, str], None]]] = {"NICK": IrcSession._learn_nick, "USER": IrcSession._learn_user}


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> IrcSession:
    """Opener for STREAMS."""
    return IrcSession(ends, chunk, emit)
