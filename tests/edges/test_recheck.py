"""In: servers on loopback. Out: each way of answering as one word. Never here: any other address."""

import socket
import threading

import pytest

from tracehound.cli.main import run
from tracehound.edges.recheck import AGENT, ask
from tracehound.errors import UsageError


class Server(threading.Thread):
    """Takes one connection, keeps what it was sent, answers with `reply` (None: waits until the other side gives up)."""

    def __init__(self, reply):
        super().__init__(daemon=True)
        self.reply, self.got = reply, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5)
            self.got = connection.recv(4096)
            if self.reply:
                connection.sendall(self.reply)
            elif self.reply is None:
                connection.recv(1)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_answers_in_one_word():
    assert ask("127.0.0.1", closed_port()).outcome == "refused"
    server = Server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
    answer = ask("127.0.0.1", server.port, "head")
    assert (answer.outcome, answer.detail) == ("answered", "HTTP/1.1 302 Found")
    assert server.got.startswith(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1:")
    assert AGENT.encode() in server.got
    assert b"Cookie" not in server.got
    assert ask("127.0.0.1", Server(b"x").port).outcome == "accepted"
    assert (ask("127.0.0.1", Server(b"").port, "get").outcome) == "accepted"
    silent = ask("127.0.0.1", Server(None).port, "get", timeout_s=0.2)
    assert (silent.outcome, silent.detail) == ("accepted", "silent")


def test_what_a_server_says_never_reaches_a_terminal_as_it_is():
    assert "\x1b" not in ask("127.0.0.1", Server(b"\x1b[2J\r\n").port, "get").detail


@pytest.mark.parametrize("words", [["127.0.0.1", "0"], ["a b", "80"], ["::1", "80", "--every", "1"], ["::1", "80", "--times", "3"]])
def test_what_makes_no_sense_is_refused_before_anything_is_sent(words):
    with pytest.raises(UsageError):
        run(["recheck", *words])


def test_each_try_is_entered_in_the_case(tmp_path, capsys):
    cases = ["--cases", str(tmp_path)]
    assert run(["case", "new", "x", *cases]) == 0
    assert run(["recheck", "127.0.0.1", str(closed_port()), "--case", "1", *cases]) == 1
    capsys.readouterr()
    assert run(["case", "show", "1", *cases]) == 0
    assert "refused" in capsys.readouterr().out
