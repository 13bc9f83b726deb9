"""In: a capture with names in it. Out: the proof that the program asks no network while it works, nor can be made to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wire import Wire, dns_query, dns_response

GUARD = """
import sys

def refuse(event, args):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
                 "socket.sendto", "socket.sendmsg", "socket.bind", "urllib.Request", "http.client.connect"}:
        print("NETWORK", event, args, file=sys.stderr, flush=True)
        raise RuntimeError("network: " + event)

sys.addaudithook(refuse)
"""
"""Python itself tells an audit hook of every one of these, whoever calls; the hook cannot be taken out again."""


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """A scan and an answered request, with names that could be asked for."""
    wire = Wire()
    host, server, resolver = wire.host("130.216.54.131"), wire.host("193.99.144.85"), wire.host("10.1.0.1")
    name = "www.heise.de"
    host.exchange(resolver, 53, dns_query(1, name), dns_response(1, name, answers=(server.address,)), 1.0)
    talk = host.connect(server, 80, 2.0).send(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").close()
    for i in range(1, 120):
        host.unanswered(wire.host(f"24.{i}.{i}.0"), 80, 10.0 + i * 15)
    path = tmp_path_factory.mktemp("offline") / "names.pcap"
    path.write_bytes(wire.pcap())
    return path


def program(words: list[str], folder: Path, *, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(GUARD)
    source = str(Path(__file__).resolve().parents[1] / "src")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), source))}
    return subprocess.run(
        [*before, sys.executable, *words], env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_guard_sees_the_network(tmp_path):
    for attempt in ("socket.create_connection(('192.0.2.1', 80), 1)", "socket.gethostbyname('www.example')"):
        done = program(["-c", f"import socket; {attempt}"], tmp_path)
        assert "NETWORK socket." in done.stderr


@pytest.mark.parametrize(
    "words", [["investigate", "--json"], ["investigate", "--report", "out.html"], ["http"], ["dns"], ["flows"]]
)
def test_no_verb_asks_the_network(words, capture, tmp_path):
    words = [str(tmp_path / w) if w.endswith(".html") else w for w in words]
    done = program(["-m", "tracehound", words[0], str(capture), *words[1:]], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr
    assert done.stdout


def test_who_asks_the_network_neither(tmp_path):
    done = program(["-m", "tracehound", "who", "193.99.144.85", "24.1.1.0"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr
    assert [json.loads(line)["address"] for line in done.stdout.splitlines()] == ["193.99.144.85", "24.1.1.0"]


def _no_network() -> tuple[str, ...]:
    words = ("unshare", "--user", "--map-root-user", "--net")
    for tried in (words, ("unshare", "--net")):
        if (
            shutil.which("unshare")
            and subprocess.run([*tried, "true"], capture_output=True, check=False).returncode == 0
        ):
            return tried
    return ()


@pytest.mark.skipif(not _no_network(), reason="this machine does not let us take the network away (unshare --net)")
def test_a_machine_without_network_gives_the_same_verdict(capture, tmp_path):
    words = ["-m", "tracehound", "investigate", str(capture), "--json"]
    with_network = program(words, tmp_path)
    without = program(words, tmp_path, before=_no_network())
    assert with_network.returncode == without.returncode == 0, without.stderr
    assert json.loads(without.stdout) == json.loads(with_network.stdout)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('http://192.0.2.1/x.csv')",
        "SELECT * FROM 'https://192.0.2.1/x.parquet'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH 'http://192.0.2.1/x.db'",
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY flows TO 'stolen.csv'",
        "SET enable_external_access = true",
    ],
)
def test_sql_reaches_nothing_but_the_tables(statement, capture, tmp_path):
    done = program(["-m", "tracehound", "sql", str(capture), "-c", statement], tmp_path)
    assert done.returncode == 2, done.stdout
    assert "NETWORK" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("stolen.csv").exists()


def test_a_report_loads_nothing(capture, tmp_path):
    report = tmp_path / "report.html"
    assert program(["-m", "tracehound", "investigate", str(capture), "--report", str(report)], tmp_path).returncode == 0
    text = report.read_text(encoding="utf-8")
    assert "130.216.54.131" in text
    for loads in ('src="http', "src='http", "url(http", "@import", "<link", "<iframe", "fetch(", "XMLHttpRequest"):
        assert loads not in text
