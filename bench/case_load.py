"""In: a case served to many at once. Out: how long the case's page takes, and whether every acknowledged note is in the case's log.
Never here: a judgement of the machine.

    python -m bench.case_load CASES_DIR [--readers 50] [--writers 5] [--seconds 60] [--pause 1.0]

CASES_DIR is copied first (`tracehound demo DIR --case` makes DIR/cases). A reader opens the page of case 1, looks at it for about
`--pause` seconds (half to one and a half of it), and opens it again; a writer writes notes the same way, five times as often, with a
token of the API."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.case_pages import cpu_s, serve
from tracehound.edges.casefile import Case, find_case
from tracehound.web.accounts import Accounts


class Reader(threading.Thread):
    def __init__(self, place: tuple[str, int], cookie: str, until: float, pause: float) -> None:
        super().__init__(daemon=True)
        self.place, self.cookie, self.until, self.pause = place, cookie, until, pause
        self.took_s: list[float] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        chance = random.Random()
        time.sleep(chance.random() * self.pause)
        connection = http.client.HTTPConnection(*self.place, timeout=60)
        while time.monotonic() < self.until:
            begin = time.perf_counter()
            connection.request("GET", "/cases/1", headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            body = answer.read()
            self.took_s.append(time.perf_counter() - begin)
            if answer.status != 200 or b"</html>" not in body:
                self.wrong.append(f"{answer.status}: {body[:100]!r}")
            time.sleep(self.pause * (0.5 + chance.random()))


class Writer(threading.Thread):
    def __init__(self, number: int, place: tuple[str, int], token: str, until: float, pause: float) -> None:
        super().__init__(daemon=True)
        self.number, self.place, self.token, self.until, self.pause = number, place, token, until, pause
        self.took_s: list[float] = []
        self.acknowledged: dict[int, tuple[str, str]] = {}
        self.wrong: list[str] = []

    def run(self) -> None:
        chance = random.Random()
        connection = http.client.HTTPConnection(*self.place, timeout=60)
        nth = 0
        while time.monotonic() < self.until:
            nth += 1
            text = f"writer {self.number} note {nth}"
            begin = time.perf_counter()
            head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request("POST", "/cases/1/note.json", json.dumps({"text": text}), head)
            answer = connection.getresponse()
            body = answer.read()
            self.took_s.append(time.perf_counter() - begin)
            if answer.status == 201:
                got = json.loads(body)
                self.acknowledged[got["entry"]] = (got["hash"], text)
            else:
                self.wrong.append(f"{answer.status}: {body[:100]!r}")
            time.sleep(self.pause / 5 * (0.5 + chance.random()))


def centile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    p = argparse.ArgumentParser(description="Many readers and writers of one case at once.")
    p.add_argument("cases", type=Path)
    p.add_argument("--readers", type=int, default=50)
    p.add_argument("--writers", type=int, default=5)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--pause", type=float, default=1.0)
    args = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracehound-load-") as folder:
        cases = Path(folder) / "cases"
        shutil.copytree(args.cases, cases)
        measure(cases, args)


def measure(cases: Path, args: argparse.Namespace) -> None:
    accounts = Accounts(cases)
    accounts.add("bench", "a password of the bench", "analyst")
    cookie, token = f"tracehound_session={accounts.session('bench', 'reader').session}", accounts.token("bench", "analyst", "bench")
    server, address = serve(cases)
    try:
        url = urlsplit(address)
        place = (str(url.hostname), int(url.port or 0))
        load = os.getloadavg()[0]
        until = time.monotonic() + args.seconds
        readers = [Reader(place, cookie, until, args.pause) for _ in range(args.readers)]
        writers = [Writer(i, place, token, until, args.pause) for i in range(args.writers)]
        for t in (*readers, *writers):
            t.start()
        for t in (*readers, *writers):
            t.join()
        spent = cpu_s(server.pid)
    finally:
        server.terminate()
        server.wait()
    with Case(find_case(cases, "1")) as case:
        kept = {e.seq: (e.hash, e.data.get("text")) for e in case.entries()}
        wrong = case.verify()
    acknowledged = {seq: note for w in writers for seq, note in w.acknowledged.items()}
    lost = [seq for seq, note in acknowledged.items() if kept.get(seq) != note]
    pages, notes = [t for r in readers for t in r.took_s], [t for w in writers for t in w.took_s]
    failed = [x for r in readers for x in r.wrong] + [x for w in writers for x in w.wrong]
    print(f"load before {load:.1f}; {args.readers} readers, {args.writers} writers, {args.seconds:.0f} s, pause {args.pause} s")
    for says, values in (("case page", pages), ("note", notes)):
        print(f"{says:<10} {len(values):6,} times; median {1e3 * centile(values, .5):.0f} ms, 95 % {1e3 * centile(values, .95):.0f} ms, "
              f"longest {1e3 * max(values):.0f} ms")  # fmt: skip
    print(f"server: {spent:.1f} s of processor time; {len(failed)} requests failed {failed[:2]}")
    print(f"{len(acknowledged):,} notes acknowledged, {len(lost)} lost; custody {'holds' if not wrong else wrong[:3]}")


if __name__ == "__main__":
    main()
