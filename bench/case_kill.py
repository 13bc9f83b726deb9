"""In: a number. Out: so many times a program that writes notes is killed (SIGKILL) at a random moment; then whether every note that it
said was written is in the log, unaltered, and whether the case's custody holds. Never here: an orderly end.

    python -m bench.case_kill [--kills 200] [--served 20]

Two programs write to one case, and one of them is killed; `--served` of the kills hit a web server that takes the notes instead."""

from __future__ import annotations

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.case_pages import serve
from tracehound.edges.casefile import Case, new_case_folder
from tracehound.web.accounts import Accounts

_WRITER = """
import sys
from pathlib import Path
from tracehound.edges.casefile import Case
with Case(Path(sys.argv[1])) as case:
    nth = 0
    while True:
        nth += 1
        entry = case.act("writer", "note", {"text": f"{sys.argv[2]} {nth} " + "x" * (nth * 997 % 5000), "about": None})
        sys.stdout.write(f"{entry.seq} {entry.hash}\\n")
        sys.stdout.flush()
"""
_MOST_S = 0.25


def writer(folder: Path, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WRITER, str(folder), name], stdout=subprocess.PIPE)


def acknowledged(program: subprocess.Popen[bytes]) -> list[tuple[int, str]]:
    """What a killed program had said; a line that was cut says nothing."""
    assert program.stdout is not None
    lines = program.stdout.read().split(b"\n")[:-1]
    return [(int(seq), digest.decode()) for seq, digest in (line.split() for line in lines)]


def killed_writer(folder: Path, nth: int, chance: random.Random) -> list[tuple[int, str]]:
    one, other = writer(folder, f"a{nth}"), writer(folder, f"b{nth}")
    assert one.stdout is not None
    first = one.stdout.readline()
    time.sleep(chance.random() * _MOST_S)
    one.send_signal(signal.SIGKILL)
    time.sleep(0.02)
    other.send_signal(signal.SIGKILL)
    one.wait()
    other.wait()
    seq, digest = first.split()
    return [(int(seq), digest.decode()), *acknowledged(one), *acknowledged(other)]


def killed_server(cases: Path, token: str, chance: random.Random) -> list[tuple[int, str]]:
    server, address = serve(cases)
    url = urlsplit(address)
    said: list[tuple[int, str]] = []

    def write() -> None:
        connection = http.client.HTTPConnection(str(url.hostname), int(url.port or 0), timeout=30)
        head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            while True:
                connection.request("POST", "/cases/1/note.json", json.dumps({"text": "served " + "y" * chance.randrange(5_000)}), head)
                answer = connection.getresponse()
                got = json.loads(answer.read())
                if answer.status == 201:
                    said.append((got["entry"], got["hash"]))
        except (OSError, http.client.HTTPException, ValueError):
            return  # the server is gone, in the middle of an answer perhaps

    threads = [threading.Thread(target=write) for _ in range(3)]
    for t in threads:
        t.start()
    until = time.monotonic() + 30
    while not said and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(chance.random() * _MOST_S)
    server.send_signal(signal.SIGKILL)
    server.wait()
    for t in threads:
        t.join()
    return said


def main() -> None:
    p = argparse.ArgumentParser(description="Kills programs that write to a case.")
    p.add_argument("--kills", type=int, default=200)
    p.add_argument("--served", type=int, default=20)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="tracehound-kill-") as place:
        cases = Path(place) / "cases"
        number, folder = new_case_folder(cases, "killed")
        Case.create(folder, "bench", title="Killed", number=number).close()
        accounts = Accounts(cases)
        accounts.add("bench", "a password of the bench", "analyst")
        token = accounts.token("bench", "analyst", "bench")
        said: list[tuple[int, str]] = []
        wrong: list[str] = []
        for nth in range(args.kills):
            fresh = killed_server(cases, token, chance) if nth < args.served else killed_writer(folder, nth, chance)
            said += fresh
            with Case(folder) as case:
                for seq, digest in fresh:
                    found = case.rows("SELECT hash FROM log WHERE seq = ?", (seq,))
                    if not found or found[0]["hash"] != digest:
                        wrong.append(f"kill {nth}: entry {seq} is lost or altered")
        with Case(folder) as case:
            custody = case.verify()
            entries = case.last_entry()
        print(f"{args.kills} kills ({args.served} of a server): {len(said):,} notes acknowledged, {len(wrong)} lost {wrong[:3]}")
        print(f"log of {entries.seq if entries else 0:,} entries; custody {'holds' if not custody else custody[:3]}")


if __name__ == "__main__":
    main()
