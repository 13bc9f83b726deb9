"""In: the served API of a small case, and schemathesis (https://schemathesis.readthedocs.io), which is no dependency of the project:
`pip install schemathesis` in an environment of its own. Out: its report; status 1 where an answer was a server error, or was not what
/openapi.json promises. Never here: a request to another machine.

    python tools/fuzz_api.py [--schemathesis PROGRAM] [--examples 50] [-- words for schemathesis ...]"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tracehound.demo.wire import Wire
from tracehound.edges.case_intake import take
from tracehound.edges.case_runs import propose, run
from tracehound.edges.casefile import Case, new_case_folder
from tracehound.web.accounts import Accounts

HOST = "10.0.0.5"
_VALUES = '[parameters]\n"path.number" = "1"\n"path.table" = "flows"\n"path.key" = "1"\n'
"""What is there: a case that is not found is soon told."""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def build(cases: Path) -> None:
    """One case with a capture, a host listing and a mail."""
    wire = Wire(1_028_219_400 * 10**9)
    host = wire.host(HOST)
    for i in range(1, 60):
        host.unanswered(wire.host(f"198.51.100.{i}"), 445, i * 10.0)
    files = {
        "scan.pcap": wire.pcap(),
        "body.txt": b"0|/WINDOWS/taskbar.exe|1|r/r|0|0|49152|1028219500|1028219400|1028219400|1028219400\n",
        "mail.eml": f"From: a@b\nMessage-ID: <1@b>\nDate: Thu, 1 Aug 2002 17:00:00 +0000\nSubject: x\n\n{HOST}\n".encode(),
    }
    number, folder = new_case_folder(cases, "fuzzed")
    with Case.create(folder, "fuzz", title="Fuzzed", number=number) as case:
        case.act("fuzz", "host", {"host": HOST})
        for name, data in files.items():
            (cases.parent / name).write_bytes(data)
            take(case, "fuzz", cases.parent / name, copy=True)
        propose(case, "fuzz", run(case, "fuzz").verdict)


def main() -> int:
    p = argparse.ArgumentParser(description="schemathesis over the API of the web pages.")
    p.add_argument("--schemathesis", default="schemathesis", help="the program (default: %(default)s)")
    p.add_argument("--examples", type=int, default=50, help="examples of each operation (default: %(default)s)")
    p.add_argument("more", nargs="*", help="further words for schemathesis")
    args = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="tracehound-fuzz-") as place:
        cases = Path(place) / "cases"
        build(cases)
        accounts = Accounts(cases)
        accounts.add("fuzz", "a password of the tool", "admin")
        token = accounts.token("fuzz", "admin", "fuzz")
        server = subprocess.Popen(
            [sys.executable, "-m", "tracehound", "serve", str(cases), "--port", "0"], stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        assert server.stdout is not None
        (Path(place) / "schemathesis.toml").write_text(_VALUES)
        try:
            base = server.stdout.readline().split("/login")[0]
            status = subprocess.run(
                [args.schemathesis, "run", f"{base}/openapi.json", "-H", f"Authorization: Bearer {token}", "--checks", CHECKS,
                 "-n", str(args.examples), *args.more], cwd=place, check=False,
            ).returncode  # fmt: skip
            if server.poll() is not None:
                print(f"the server ended with status {server.returncode}", file=sys.stderr)
                return 1
        finally:
            server.terminate()
            server.wait()
        with Case(cases / "0001-fuzzed") as case:
            wrong = case.verify()
        print(f"custody {'holds' if not wrong else wrong[:3]}")
        return 1 if status or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
