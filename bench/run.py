"""In: the capture of build_capture.py, and the programs installed here. Out: how long each takes and how much memory, side by
side, with every command as it was run. Never here: a judgement that fails a build; a target is "reached" or "not reached".

Whole processes are timed, tracehound and peers in turn, several rounds, and the median counts: what else the machine does
then meets all alike. This process stays small and imports nothing large, because Linux counts the peak memory of a process
from before it becomes another program."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

_ENVIRONMENT: Final = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")}
"""An installed package has its bytecode on disk; where Python is told to write none, it would compile tracehound at each start."""
RULES: Final = Path(__file__).resolve().parents[2] / "shared" / "rules" / "emerging-open.rules"
ALERTS: Final = "tracehound alerts, 18k rules"
KEPT: Final = "18k rules on 38 packets, kept"
ANEW: Final = "18k rules on 38 packets, --no-cache"
SCALED: Final = ("tracehound flows", "tracehound investigate")
DEFAULT_FOLDER: Final = Path(tempfile.gettempdir()) / "tracehound-bench"
PYTHON: Final = sys.executable
TRACEHOUND: Final = str(Path(sys.executable).with_name("tracehound"))

_IN_PROCESS: Final = """
import sys, time
from tracehound.edges.reading import read
from tracehound.pipeline import Wanted
wanted = Wanted(transactions=False)
read(sys.argv[1], wanted=wanted).close()
begin = time.perf_counter()
reading = read(sys.argv[2], wanted=wanted)
print(time.perf_counter() - begin)
reading.close()
"""
_COMPILE: Final = """
import sys, time
from tracehound.edges import machine_code
from tracehound.edges.investigation import investigate
spent, compiled = [0.0], machine_code._compiled
def timed(*args):
    begin = time.perf_counter()
    try:
        return compiled(*args)
    finally:
        spent[0] += time.perf_counter() - begin
machine_code._compiled = timed
investigate(sys.argv[1])
print(spent[0])
"""


@dataclass(slots=True)
class Measured:
    """One command: seconds of each round, peak memory in bytes of each round, its exit status."""

    name: str
    command: str
    seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    status: int = 0
    said: str = ""

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def median_cpu_s(self) -> float:
        return statistics.median(self.cpu_s)

    @property
    def peak(self) -> int:
        return max(self.peak_bytes)


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    wanted: str
    measured: str
    reached: bool


class _Watch:
    """Memory of a process with all that it starts, looked at ten times a second: what Linux tells at the end is the largest of
    them, not their sum. Pages of files (libraries) are counted once."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            private, shared = 0, 0
            for pid in self._family():
                try:
                    _, resident, of_files, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
                except (OSError, ValueError):
                    continue
                private += resident - of_files
                shared = max(shared, of_files)
            self._peak = max(self._peak, (private + shared) * os.sysconf("SC_PAGE_SIZE"))

    def _family(self) -> list[str]:
        """The process and all that descend from it."""
        children: dict[str, list[str]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                # proc(5): pid (name) state ppid ...; the name may hold anything.
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(folder.name)
        family = [str(self._pid)]
        for pid in family:
            family += children.get(pid, [])
        return family

    def stop(self) -> int:
        """The most that was seen, in bytes; 0 where there is no /proc."""
        self._over.set()
        self._thread.join()
        return self._peak


def measure(into: Measured, argv: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Run one command once; output goes to a file that is thrown away, as a pipe would slow it and a terminal more so."""
    with tempfile.TemporaryFile() as said, Path(os.devnull).open("rb") as nothing:
        begin = time.perf_counter()
        child = subprocess.Popen(
            argv, stdin=nothing, stdout=said if into.name.startswith("in-process") else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**_ENVIRONMENT, **(environment or {})},
        )  # fmt: skip
        watch = _Watch(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - begin
        together = watch.stop()
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        into.said = said.read().decode()
    into.status = child.returncode
    into.seconds.append(float(into.said) if into.name.startswith("in-process") and into.said else took)
    # Linux gives ru_maxrss in KiB, macOS in bytes.
    into.peak_bytes.append(max(together, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)))
    into.cpu_s.append(usage.ru_utime + usage.ru_stime)


def build(gigabytes: float, folder: Path) -> dict[str, Any]:
    """The capture, built in another process if it is not there; its bytes are then read once, so that no disk is timed."""
    words = [PYTHON, "-m", "bench.build_capture", "--gb", str(gigabytes), "--folder", str(folder)]
    built: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    with Path(built["path"]).open("rb", buffering=0) as file:
        block = bytearray(1 << 20)
        while file.readinto(block):
            pass
    return built


def commands(capture: str, warm: str, work: Path) -> dict[str, list[str]]:
    """Every measurement by name. A peer that is not installed is left out."""
    peers: dict[str, list[str]] = {
        "argus -w /dev/null": ["argus", "-r", capture, "-w", os.devnull],
        "argus -w FILE": ["argus", "-r", capture, "-w", str(work / "argus.out")],
        "nfpcapd": ["nfpcapd", "-r", capture, "-l", str(work / "nfpcapd")],
        "tshark conv": ["tshark", "-n", "-r", capture, "-q", "-z", "conv,tcp"],
        "tshark fields": [
            "tshark",
            "-n",
            "-r",
            capture,
            "-T",
            "fields",
            "-e",
            "ip.src",
            "-e",
            "ip.dst",
            "-e",
            "ip.proto",
        ],
        "tcpdump": ["tcpdump", "-r", capture, "-nn", "-q"],
    }
    ours = {
        "tracehound flows": [
            TRACEHOUND, "flows", "-q", "--no-service", capture, "--format", "parquet", "-o", str(work / "flows.parquet"),
        ],
        "in-process flows": [PYTHON, "-c", _IN_PROCESS, warm, capture],
        "tracehound investigate": [TRACEHOUND, "investigate", "-q", capture, "-o", str(work / "verdict.txt")],
    }  # fmt: skip
    if RULES.exists():
        # Reading and compiling the rules is part of it, as it is of other engines.
        ours[ALERTS] = [TRACEHOUND, "alerts", "-q", "--no-cache", capture, "-S", str(RULES), "-o", str(work / "alerts.json")]
    return ours | {name: argv for name, argv in peers.items() if shutil.which(argv[0])}


def rounds(
    plan: dict[str, list[str]], repetitions: int, work: Path, tell: Callable[[str], None]
) -> dict[str, Measured]:
    """Run every command `repetitions` times, in turn."""
    out = {name: Measured(name, " ".join(_shown(argv))) for name, argv in plan.items()}
    for number in range(repetitions):
        for name, argv in plan.items():
            # tshark takes minutes a gigabyte: once is enough to say so.
            if name.startswith("tshark") and number:
                continue
            shutil.rmtree(work / "nfpcapd", ignore_errors=True)
            (work / "nfpcapd").mkdir()
            (work / "argus.out").unlink(missing_ok=True)
            measure(out[name], argv)
            tell(f"{name}: {out[name].seconds[-1]:.2f} s (status {out[name].status})")
    return out


def _shown(argv: Sequence[str]) -> list[str]:
    return ["CODE" if "\n" in word else Path(word).name if word in (TRACEHOUND, PYTHON) else word for word in argv]


def startup(small: str, work: Path, repetitions: int, tell: Callable[[str], None]) -> dict[str, Measured]:
    """--help, start to verdict on about 1 MB, and the first use of all, with no compiled kernel on the machine."""
    plan = {
        "tracehound --help": [TRACEHOUND, "--help"],
        "verdict on 1 MB": [TRACEHOUND, "investigate", "-q", small, "-o", str(work / "small.txt")],
    }
    measure(Measured("", ""), plan["verdict on 1 MB"])
    if RULES.exists():
        few = [TRACEHOUND, "alerts", "-q", few_packets(small, work, 38), "-S", str(RULES), "-o", str(work / "few.json")]
        plan |= {KEPT: few, ANEW: [*few, "--no-cache"]}
        measure(Measured("", ""), few)
    out = rounds(plan, repetitions, work, tell)
    for name, argv in {
        "first use, 1 MB": plan["verdict on 1 MB"], "in-process compile time, first use": [PYTHON, "-c", _COMPILE, small],
    }.items():  # fmt: skip
        with tempfile.TemporaryDirectory() as cache:
            out[name] = Measured(name, "NUMBA_CACHE_DIR=$(mktemp -d) " + " ".join(_shown(argv)))
            measure(out[name], argv, {"NUMBA_CACHE_DIR": cache})
        tell(f"{name}: {out[name].seconds[-1]:.2f} s")
    return out


def small_capture(capture: str, work: Path) -> str:
    """The first megabyte of the capture, whole records."""
    data = Path(capture).open("rb").read(1_000_000)  # noqa: SIM115
    at = 24
    while at + 16 <= len(data) and at + 16 + (length := int.from_bytes(data[at + 8 : at + 12], "little")) <= len(data):
        at += 16 + length
    path = work / "one-megabyte.pcap"
    path.write_bytes(data[:at])
    return str(path)


def few_packets(capture: str, work: Path, count: int) -> str:
    """The first records of a capture."""
    data = Path(capture).read_bytes()
    at = 24
    for _ in range(count):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    path = work / "few.pcap"
    path.write_bytes(data[:at])
    return str(path)


def scaling(
    built: Sequence[dict[str, Any]], work: Path, repetitions: int, tell: Callable[[str], None]
) -> list[dict[str, Measured]]:
    """Flows and investigation of a capture and of one ten times larger."""
    out = []
    for each in built:
        plan = {n: a for n, a in commands(each["path"], each["path"], work).items() if n in SCALED}
        out.append(rounds(plan, repetitions, work, lambda line, each=each: tell(f"{each['size_bytes'] / 1e9:.1f} GB {line}")))  # type: ignore[misc]
    return out


def targets(
    main: dict[str, Measured],
    start: dict[str, Measured],
    sizes: Sequence[dict[str, Any]],
    scaled: Sequence[dict[str, Measured]],
) -> list[Target]:
    """What was asked for, what was measured, and whether the one is the other."""
    out: list[Target] = []

    def faster(ours: str, peer: str, times: float) -> None:
        if ours in main and peer in main and main[ours].status == main[peer].status == 0:
            ratio = main[peer].median_s / main[ours].median_s
            cpu = main[peer].median_cpu_s / main[ours].median_cpu_s
            shown = f"{ratio:.2f} times ({cpu:.2f} times by CPU time)"
            out.append(Target(f"{ours} against {peer}", f">= {times} times as fast", shown, ratio >= times))

    def under(name: str, seconds: float) -> None:
        if name in start:
            out.append(Target(name, f"< {seconds} s", f"{start[name].median_s:.2f} s", start[name].median_s < seconds))

    for ours in ("tracehound flows", "in-process flows"):
        faster(ours, "argus -w /dev/null", 3.0)
        faster(ours, "nfpcapd", 1.5)
    faster("tracehound investigate", "tcpdump", 1.0)
    if ALERTS in main:
        # No more than 3.5 times argus's time, which only assembles flows.
        faster(ALERTS, "argus -w /dev/null", 0.29)
    under("tracehound --help", 0.3)
    under("verdict on 1 MB", 2.0)
    under(KEPT, 2.0)
    under(ANEW, 10.0)
    under("in-process compile time, first use", 20.0)
    if scaled:
        packets = sizes[1]["packets"] / sizes[0]["packets"]
        for name in scaled[0]:
            a, b = scaled[0][name], scaled[1][name]
            slower, more = b.median_s / a.median_s, b.peak / a.peak
            limit = packets * 1.1
            shown = f"{slower:.1f} x ({b.median_cpu_s / a.median_cpu_s:.1f} x CPU time)"
            out.append(Target(f"{name}, {packets:.1f} x packets", f"<= {limit:.1f} x time", shown, slower <= limit))
            # "The same" within what the allocator and the growing caches give and take.
            out.append(Target(f"{name}, {packets:.1f} x packets", "<= 1.1 x memory", f"{more:.2f} x", more <= 1.1))
    return out


def versions() -> dict[str, str]:
    """First line of what each program says of itself."""
    asked = {
        "tracehound": [TRACEHOUND, "--version"], "argus": ["argus", "-V"], "nfpcapd": ["nfpcapd", "-V"],
        "tshark": ["tshark", "--version"], "tcpdump": ["tcpdump", "--version"],
    }  # fmt: skip
    out = {}
    for name, argv in asked.items():
        if shutil.which(argv[0]):
            ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
            lines = [x for x in (ran.stdout + "\n" + ran.stderr).splitlines() if any(c.isdigit() for c in x)]
            out[name] = lines[0].strip() if lines else "?"
    return out


def machine() -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [
            x.partition(":")[2].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def show(measured: dict[str, Measured], built: dict[str, Any] | None) -> None:
    """A table; ratios are how many times as long as `tracehound flows` and `tracehound investigate` take."""
    print(f"{'':36}{'s':>8}{'CPU s':>8}{'MB/s':>8}{'pkt/s':>12}{'peak MB':>9}   command")
    for name, m in measured.items():
        rate = (
            f"{built['size_bytes'] / 1e6 / m.median_s:8.0f}{built['packets'] / m.median_s:12,.0f}"
            if built
            else " " * 20
        )
        failed = f"   EXIT STATUS {m.status}" if m.status else ""
        print(
            f"{name:36}{m.median_s:8.2f}{m.median_cpu_s:8.2f}{rate}{m.peak / 1e6:9.0f}   {m.command}{failed}"
        )


def show_ratios(measured: dict[str, Measured]) -> None:
    ours = [n for n in ("tracehound flows", "in-process flows", "tracehound investigate") if n in measured]
    print("\nhow many times as long the peer takes" + "".join(f"{n:>26}" for n in ours))
    for name, m in measured.items():
        if name not in ours:
            print(f"{name:37}" + "".join(f"{m.median_s / measured[n].median_s:26.2f}" for n in ours))


def main() -> None:
    """`python -m bench.run`."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gb", type=float, default=1.0, help="size of the capture in units of 10^9 bytes")
    p.add_argument("--rounds", type=int, default=3, help="repetitions of each command; the median counts")
    p.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where captures are kept")
    p.add_argument("--full", action="store_true", help="scaling with 1 and 10 GB instead of 0.3 and 3")
    p.add_argument("--only", choices=("peers", "scaling", "start"), help="this part alone")
    p.add_argument(
        "--skip", default="", metavar="WORD,...", help="leave out commands whose name begins so, e.g. tshark"
    )
    p.add_argument("--json", action="store_true", help="print JSON instead of tables")
    args = p.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    main_: dict[str, Measured] = {}
    start: dict[str, Measured] = {}
    scaled: list[dict[str, Measured]] = []
    sizes: list[dict[str, Any]] = []
    load_before = os.getloadavg()[0]
    built = build(args.gb, args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        work = Path(name)
        small = small_capture(built["path"], work)
        if args.only in (None, "start"):
            start = startup(small, work, max(args.rounds, 5), tell)
        if args.only in (None, "peers"):
            plan = commands(built["path"], small, work)
            skipped = tuple(word for word in args.skip.split(",") if word)
            main_ = rounds({n: a for n, a in plan.items() if not n.startswith(skipped)}, args.rounds, work, tell)
        if args.only in (None, "scaling"):
            sizes = [build(gb, args.folder) for gb in ((1.0, 10.0) if args.full else (0.3, 3.0))]
            scaled = scaling(sizes, work, args.rounds, tell)
    found = targets(main_, start, sizes, scaled)
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), "versions": versions(), "capture": built,
        "load_before": load_before, "load_after": os.getloadavg()[0],
    }  # fmt: skip
    if args.json:
        parts = {"peers": main_, "start": start}
        print(
            json.dumps(
                facts
                | {part: {n: asdict(m) for n, m in ms.items()} for part, ms in parts.items()}
                | {
                    "scaling": [
                        {"capture": c, "runs": {n: asdict(m) for n, m in ms.items()}}
                        for c, ms in zip(sizes, scaled, strict=True)
                    ]
                }
                | {"targets": [asdict(t) for t in found]},
                indent=1,
            )
        )
        return
    for key, value in facts.items():
        print(f"{key}: {value}")
    for title, part, capture in (
        ("start", start, None), ("against peers", main_, built),
        *((f"{c['size_bytes'] / 1e9:.1f} GB", m, c) for c, m in zip(sizes, scaled, strict=True)),
    ):  # fmt: skip
        if part:
            print(f"\n-- {title}")
            show(part, capture)
    if main_:
        show_ratios(main_)
    print("\n-- targets")
    for t in found:
        print(f"{'reached    ' if t.reached else 'NOT REACHED'}  {t.name}: {t.measured} (wanted {t.wanted})")


if __name__ == "__main__":
    main()
