"""In: a kernel and arguments for it. Out: its machine code, from disk or compiled and then kept there, and how it is called.
Never here: a kernel, or what numba compiles (kernels.py has the options).

numba keeps compiled functions too, but to take them back needs all of numba: 0.2 s to import and as much again for its
registries, in every process. What is kept here is the object code alone. To run it takes LLVM's loader (llvmlite, which is
numba's) and ctypes, which releases Python's lock during the call as `nogil` does.

The calling convention is numba's: `int32 f(result*, excinfo**, arguments)`; 0 is success. An array is seven arguments and more
(meminfo, parent, items, item size, data, shape, strides); a tuple is its members. Before code is kept it is checked that its
function takes just that, and that it needs nothing from outside but the C library; what fails is left to numba.

A kept kernel is one file: a line that says what it is, a line of JSON, the object code. Its name tells all it depends on: the
text of the kernel and of those it calls, the constants, the types of the arguments, processor and LLVM. A file whose digest is
wrong is compiled anew."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any, Final

import numpy as np

from tracehound import kernels
from tracehound.kernels import OPTIONS, Call, Inline, Kernel, Shape

_MAGIC: Final = b"tracehound kernel 1\n"
_C_TYPES: Final[dict[str, Any]] = {
    "<i8": ctypes.c_int64, "<u8": ctypes.c_uint64, "<i4": ctypes.c_int32, "<u4": ctypes.c_uint32, "<i2": ctypes.c_int16,
    "<u2": ctypes.c_uint16, "|i1": ctypes.c_int8, "|u1": ctypes.c_uint8, "|b1": ctypes.c_uint8, "<f8": ctypes.c_double,
    "float": ctypes.c_double,
}  # fmt: skip
_OUTSIDE: Final = frozenset({"memcpy", "memset", "memmove"})
"""What machine code may call that is not its own; the C library has it."""
_lock: Final = threading.RLock()
_llvm: Final[dict[str, Any]] = {}
_engines: Final[list[Any]] = []
"""Loaded code; it lives as long as the process."""


class _Unfit(Exception):
    """This kernel cannot be kept here."""


def install() -> None:
    """Keep machine code from here on (unless kernels are to run as plain Python)."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0") and sys.byteorder == "little":
        kernels.provide(machine_code)


def machine_code(kernel: Kernel, args: tuple[Any, ...], shape: Shape) -> Call | None:
    """What runs `kernel` for arguments such as these."""
    with _lock:
        try:
            path = _folder(kernel) / f"{kernel.py_func.__name__}-{_digest(kernel, shape)}.kernel"
            found = _kept(path)
            if found is None:
                kernels.compiling(kernel.py_func.__name__)
                header, code = _compiled(kernel, args, shape)
                _keep(path, header, code)
            else:
                header, code = found
            return _Runner(kernel.py_func.__name__, _loaded(header["symbol"], code), shape, header["returns"])
        except _Unfit:
            return None


# -- what a kernel depends on -----------------------------------------------------------------------------------------------


def _digest(kernel: Kernel, shape: Shape) -> str:
    llvm = _loader()
    parts = (_MAGIC, _text(kernel, {}), shape, sorted(OPTIONS.items()), llvm["processor"], llvm["version"])
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _text(kernel: Kernel, seen: dict[Kernel, str]) -> str:
    """A digest of the kernel's code, of the constants it names, and of the kernels it calls."""
    if kernel not in seen:
        seen[kernel] = ""
        function: Any = kernel.py_func
        code: CodeType = function.__code__
        known = [(name, _constant(function.__globals__.get(name), seen)) for name in code.co_names]
        words = (code.co_code.hex(), [_constant(c, seen) for c in code.co_consts], code.co_names, code.co_varnames, known)
        seen[kernel] = hashlib.sha256(repr(words).encode()).hexdigest()
    return seen[kernel]


def _code(code: CodeType) -> tuple[Any, ...]:
    """What a function does, with the functions inside it."""
    inner = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return code.co_code.hex(), code.co_names, inner


def _constant(value: Any, seen: dict[Kernel, str]) -> str:
    if isinstance(value, Kernel):
        return _text(value, seen)
    if isinstance(value, Inline):
        parts = (value.marks, [_code(f.__code__) for f in (value.plain, value.build)])
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if value is None or isinstance(value, int | float | str | bytes | tuple | frozenset | np.generic):
        return f"{type(value).__name__}{sorted(map(repr, value)) if isinstance(value, frozenset) else value!r}"
    return str(getattr(value, "__name__", type(value).__name__))


# -- keeping ------------------------------------------------------------------------------------------------------------------


def _folder(kernel: Kernel) -> Path:
    """Beside the kernel's own file where that can be written, as Python's bytecode is; else in the user's cache."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    beside = Path(kernel.py_func.__code__.co_filename).parent
    if os.access(beside, os.W_OK):
        return beside / "__pycache__"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tracehound"


def _kept(path: Path) -> tuple[dict[str, Any], bytes] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data.startswith(_MAGIC):
        return None
    line, _, code = data[len(_MAGIC) :].partition(b"\n")
    try:
        header: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return (header, code) if header.get("sha256") == hashlib.sha256(code).hexdigest() else None


def _keep(path: Path, header: dict[str, Any], code: bytes) -> None:
    """Write a file and then give it its name, so that no process meets half of it. Where nothing can be written, the next
    process compiles again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            part.write(_MAGIC + json.dumps(header).encode() + b"\n" + code)
        Path(part.name).replace(path)
    except OSError:
        return


# -- compiling ----------------------------------------------------------------------------------------------------------------


def _compiled(kernel: Kernel, args: tuple[Any, ...], shape: Shape) -> tuple[dict[str, Any], bytes]:
    kernel.dispatcher()
    try:
        import numba
        from numba.core import compiler, registry
        from numba.core.compiler_lock import global_compiler_lock

        target = registry.cpu_target
        target.typing_context.refresh()
        target.target_context.refresh()
        flags = compiler.Flags()
        target.options.parse_as_flags(flags, {"nopython": True, **OPTIONS})
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        with global_compiler_lock:
            done = compiler.compile_extra(
                target.typing_context, target.target_context, kernel.py_func, tuple(numba.typeof(a) for a in args), None,
                flags, {},
            )  # fmt: skip
            module = done.library._final_module
            symbol = done.fndesc.llvm_func_name
            function = module.get_function(symbol)
            taken = [str(a.type) for a in function.arguments]
            outside = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
            code = bytes(done.library.codegen._tm.emit_object(module))
        returns = _returned(done.signature.return_type)
    except (AttributeError, ImportError, NameError) as problem:
        # Another numba, whose insides are other ones.
        raise _Unfit(str(problem)) from problem
    wanted = ["ptr", "ptr", *(w for s in shape for w in _llvm_types(s))]
    if ["ptr" if t.endswith("*") else t for t in taken] != wanted or not outside <= _OUTSIDE:
        raise _Unfit(f"takes {taken}, calls {outside}")
    return {"symbol": symbol, "returns": returns, "sha256": hashlib.sha256(code).hexdigest()}, code


def _returned(kind: Any) -> Any:
    """The types of a result: None, one, or a list of those of a tuple."""
    import numba

    if isinstance(kind, numba.types.NoneType):
        return None
    if isinstance(kind, numba.types.BaseTuple):
        return [_returned(k) for k in kind]
    try:
        name = np.dtype("bool" if isinstance(kind, numba.types.Boolean) else str(kind)).str
    except (TypeError, ValueError):
        raise _Unfit(f"returns {kind}") from None
    if name not in _C_TYPES:
        raise _Unfit(f"returns {kind}")
    return name


def _llvm_types(shape: Any) -> list[str]:
    if isinstance(shape, str):
        if shape not in _C_TYPES:
            raise _Unfit(f"argument of type {shape}")
        return ["double" if _C_TYPES[shape] is ctypes.c_double else f"i{ctypes.sizeof(_C_TYPES[shape]) * 8}"]
    if len(shape) == 3:
        return [word for member in shape[2] for word in _llvm_types(member)]
    return ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * (2 * shape[1])]


# -- running ------------------------------------------------------------------------------------------------------------------


def _loader() -> dict[str, Any]:
    """LLVM, ready for this processor."""
    if not _llvm:
        import llvmlite
        from llvmlite import binding

        for name in ("initialize_native_target", "initialize_native_asmprinter"):
            getattr(binding, name)()
        features = binding.get_host_cpu_features()
        _llvm.update(
            binding=binding,
            version=llvmlite.__version__,
            processor=(binding.get_process_triple(), binding.get_host_cpu_name(), features.flatten()),
        )
    return _llvm


def _loaded(symbol: str, code: bytes) -> int:
    """The address of the function in memory."""
    binding = _loader()["binding"]
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = int(engine.get_function_address(symbol))
    if not address:
        raise _Unfit(f"no {symbol}")
    _engines.append(engine)
    return address


class _Runner:
    """Calls machine code."""

    def __init__(self, name: str, address: int, shape: Shape, returns: Any) -> None:
        self._name = name
        types = [t for s in shape for t in _c_types(s)]
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *types)(address)
        several = returns if isinstance(returns, list) else [] if returns is None else [returns]
        self._result: Any = type("Result", (ctypes.Structure,), {
            "_fields_": [(f"f{n}", _C_TYPES[t]) for n, t in enumerate(several)] or [("f0", ctypes.c_void_p)]
        })  # fmt: skip
        self._kinds = several
        self._one = not isinstance(returns, list)

    def __call__(self, *args: Any) -> Any:
        flat: list[Any] = []
        for a in args:
            _flatten(a, flat)
        result = self._result()
        problem = ctypes.c_void_p()
        if self._function(ctypes.addressof(result), ctypes.addressof(problem), *flat):
            raise IndexError(f"{self._name}: an index outside of its array, or a division by zero")
        values = [getattr(result, f"f{n}") for n in range(len(self._kinds))]
        values = [bool(v) if k == "|b1" else v for k, v in zip(self._kinds, values, strict=True)]
        return tuple(values) if not self._one else values[0] if values else None


def _c_types(shape: Any) -> Sequence[Any]:
    if isinstance(shape, str):
        return (_C_TYPES[shape],)
    if len(shape) == 3:
        return [t for member in shape[2] for t in _c_types(member)]
    whole, pointer = ctypes.c_int64, ctypes.c_void_p
    return [pointer, pointer, whole, whole, pointer, *[whole] * (2 * shape[1])]


def _flatten(value: Any, into: list[Any]) -> None:
    """One argument as the machine code takes it."""
    if isinstance(value, np.ndarray):
        # No meminfo and no parent: nothing counts references here, and `args` of the caller keeps the array.
        into += (None, None, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)
    elif isinstance(value, tuple):
        for member in value:
            _flatten(member, into)
    else:
        into.append(value if isinstance(value, float) else int(value))
