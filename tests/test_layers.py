"""In: the source text. Out: the conventions of ARCHITECTURE.md, held: import order, purity, what each file says of itself.
Never here: running the program."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tracehound"
ORDER = [
    "errors",
    "limits",
    "kernels",
    "loads",
    "version",
    "tables",
    "capture",
    "packets",
    "flows",
    "flowlogs",
    "streams",
    "protocols",
    "hostlogs",
    "correspondence",
    "rules",
    "detectors",
    "enrich",
    "profiles",
    "findings",
    "report",
    "cases",
    "demo",
    "lab",
    "pipeline",
    "edges",
    "scale",
    "cli",
    "web",
]
EDGE = ORDER.index("edges")
ENTRY = ("__init__", "__main__")
"""The two files of the package's root that hand on to everything else."""

MODULES = sorted(SOURCE.rglob("*.py"))
PURE = [p for p in MODULES if p.relative_to(SOURCE).parts[0].removesuffix(".py") in ORDER[:EDGE]]
WRITTEN = sorted(
    p
    for folder in ("src", "tests", "bench", "tools", "docs", ".ci")
    for p in (ROOT / folder).rglob("*")
    if p.suffix in (".py", ".md", ".sql", ".toml", ".css", ".js", ".j2", ".html", ".sh", "") and p.is_file()
) + [p for p in sorted(ROOT.iterdir()) if p.suffix in (".md", ".toml") or p.name == "Makefile"]

WORLD = {
    "asyncio", "builtins", "ctypes", "duckdb", "fcntl", "getpass", "glob", "http", "httpx", "io", "locale", "mmap",
    "multiprocessing", "os", "pathlib", "platform", "pty", "queue", "random", "requests", "secrets", "select", "shutil",
    "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "zoneinfo",
}  # fmt: skip
"""Modules through which a pure stage could reach the world, its clock, or chance."""
ALLOWED_NAMES = {
    # Two conversions between bytes and text that ask nobody: the fastest that the standard library has.
    ("packets/addresses.py", "socket"): {"inet_ntop", "inet_ntoa", "inet_pton", "AF_INET", "AF_INET6"},
    # The addresses inside DNS records, which are bytes as those of packet headers are.
    ("protocols/dns_message.py", "socket"): {"inet_ntop", "inet_ntoa", "AF_INET", "AF_INET6"},
    # Identifiers made of other identifiers: no clock, no chance.
    ("report/incident.py", "uuid"): {"UUID", "uuid5"},
    ("report/stix.py", "uuid"): {"UUID", "uuid5"},
}
NEVER = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS_NEVER = {"eval", "exec", "compile", "__import__"}
CALLS_IMPURE = {"open", "input", "print", "breakpoint"}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
ATTRIBUTES_IMPURE = {"urandom", "environ", "getenv", "read_text", "write_text", "read_bytes",
                     "write_bytes", "default_rng", "fromfile", "tofile", "memmap"}  # fmt: skip
LOADERS = {"FileSystemLoader", "PackageLoader", "files", "resources"}
LOADS_ITS_OWN_PAGES = "report/html.py"
"""Its page templates are program text of its own folder: loaded as a module is loaded, never chosen by input."""
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "stuff", "tools", "base", "core"}
SQL_WORLD = re.compile(
    r"\b(read_\w+|parquet_scan|glob|attach|copy|install|load|pragma|export|import|now|today|current_\w+|random|uuid|"
    r"gen_random_uuid|get_current_timestamp|getenv)\b\s*[('\"]",
    re.IGNORECASE,
)
# Words that would be a path of the machine the text was written on: a folder of ours with something below it.
MACHINE = re.compile(r"(?<![\w.\-/])/(work|root|tmp|Users|home)/[\w.\-]+")


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def layer_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(tree: ast.AST) -> list[tuple[str, str, int]]:
    """(module, name taken from it, line) of every import, also inside functions."""
    found: list[tuple[str, str, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(a.name, "", node.lineno) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found += [(str(node.module), a.name, node.lineno) for a in node.names]
    return found


def leans_right(own: str, module: str, name: str) -> bool:
    """Whether `from module import name` reaches what is not to the left of layer `own`."""
    if module.split(".", maxsplit=1)[0] != "tracehound":
        return False
    layer = layer_of(module) or (name if name in ORDER else "")
    if layer in ("", own):
        return layer == ""  # the package's own face imports everything, so nobody inside may import it
    return layer not in ORDER or ORDER.index(layer) > ORDER.index(own)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_left(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own in ENTRY:
        return
    assert own in ORDER, f"{own} has no place in the import order"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = [f"line {line}: {module} {name}" for module, name, line in imports(tree) if leans_right(own, module, name)]
    assert wrong == []


def test_an_import_to_the_right_is_noticed():
    assert leans_right("flows", "tracehound.edges.duck", "Duck")
    assert leans_right("flows", "tracehound", "edges")
    assert leans_right("flows", "tracehound", "investigate")
    assert not leans_right("flows", "tracehound", "limits")
    assert not leans_right("flows", "tracehound.flows.state", "FlowState")
    assert not leans_right("cli", "tracehound.edges.reading", "read")


def impurities(where: str, text: str) -> list[str]:
    """Everything in a module's text that reaches beyond its arguments."""
    tree = ast.parse(text)
    found = []
    for module, name, line in imports(tree):
        top = module.split(".")[0]
        if top in WORLD and name not in ALLOWED_NAMES.get((where, top), set()):
            if name == "" and (where, top) in ALLOWED_NAMES:
                continue  # `import socket`: its attributes are looked at below
            found.append(f"line {line}: imports {module} {name}".rstrip())
        if name in LOADERS and not (where == LOADS_ITS_OWN_PAGES and name == "PackageLoader"):
            found.append(f"line {line}: loads files with {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS_IMPURE:
            found.append(f"line {node.lineno}: calls {node.func.id}()")
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            allowed = ALLOWED_NAMES.get((where, owner))
            outside = node.attr in ATTRIBUTES_IMPURE or (owner, node.attr) in CLOCKS
            if outside or (allowed is not None and node.attr not in allowed):
                found.append(f"line {node.lineno}: .{node.attr}")
            if owner in ("np", "numpy") and node.attr == "random":
                found.append(f"line {node.lineno}: numpy's random")
    return found


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_everything_left_of_edges_is_pure(path):
    assert impurities(name_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import os", "from pathlib import Path", "open('x')", "import socket", "from datetime import datetime\ndatetime.now()",
        "import numpy as np\nnp.random.rand()", "def f():\n    import time", "from socket import create_connection",
        "from secrets import token_hex", "import urllib.request", "import datetime\ndatetime.datetime.now()",
        "from jinja2 import PackageLoader", "from importlib import resources",
    ],
)  # fmt: skip
def test_impurity_is_noticed(text):
    assert impurities("flows/x.py", text)


def test_only_conversions_of_socket_are_let_through():
    assert impurities("packets/addresses.py", "import socket\nsocket.inet_ntop(socket.AF_INET6, b'')") == []
    assert impurities("packets/addresses.py", "import socket\nsocket.create_connection(('a', 1))")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_pickle_no_eval(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [m for m, _, _ in imports(tree) if m.split(".")[0] in NEVER] == []
    calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert calls & CALLS_NEVER == set()
    allow_pickle = [n for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == "allow_pickle"]
    assert allow_pickle == []


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.sql")), ids=name_of)
def test_detectors_ask_tables_only(path):
    query = "\n".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("--")
    )
    assert SQL_WORLD.findall(query) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_file_says_what_it_is(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, "no docstring"
    if path.name == "__init__.py":
        return
    # "nothing" is an honest answer to each, but each must be there.
    for word in ("In:", "Out:", "Never here:"):
        assert word in text, f"the docstring lacks {word!r}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_are_named_by_what_they_know(path):
    words = set(path.stem.strip("_").split("_"))
    assert not words & VAGUE
    assert not re.search(r"\d$", path.stem), "a numbered version"


def test_no_text_names_a_path_of_the_machine_it_was_written_on():
    assert MACHINE.search("see " + "/home" + "/someone/x")
    wrong = []
    for path in WRITTEN:
        text = path.read_text(encoding="utf-8", errors="replace")
        wrong += [f"{path.relative_to(ROOT)}: {m[0]}" for m in MACHINE.finditer(text)]
        if str(ROOT) in text:
            wrong.append(f"{path.relative_to(ROOT)}: {ROOT}")
    assert wrong == []


def kernels_that_allocate(text: str) -> list[str]:
    """Kernels have no memory of their own (kernels.OPTIONS): what they need is passed in."""
    makes = {"zeros", "empty", "full", "ones", "arange", "array", "sort", "argsort", "concatenate", "zeros_like", "empty_like"}
    found = []
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef) or not any("kernel" in ast.unparse(d).split(".") for d in function.decorator_list):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "np":
                found += [f"{function.name}, line {node.lineno}: np.{node.func.attr}"] if node.func.attr in makes else []
            elif isinstance(node, ast.List | ast.ListComp | ast.Dict | ast.Set):
                found.append(f"{function.name}, line {node.lineno}: {type(node).__name__}")
    return found


@pytest.mark.parametrize("path", [p for p in MODULES if "@kernel" in p.read_text(encoding="utf-8")], ids=name_of)
def test_kernels_allocate_nothing(path):
    assert kernels_that_allocate(path.read_text(encoding="utf-8")) == []


def test_a_kernel_that_allocates_is_noticed():
    assert kernels_that_allocate("@kernel\ndef f(x):\n    y = np.zeros(8)\n")
    assert not kernels_that_allocate("def f(x):\n    y = np.zeros(8)\n")
