"""RawModule and RawKernel as CuPy has them, for a machine without a GPU."""

import ctypes
import functools
import re
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nn.emulator import compiler, faults, profile, settings, source
from nn.emulator.array import ndarray
from nn.emulator.errors import EmulatorError, KernelError

SHARED_AT_FIRST = 48 << 10  # bytes of dynamic shared memory that a kernel gets unasked
MOST_SHARED = 227 << 10  # and asked, on cards of compute capability 9.0
GRID_LIMITS = (2**31 - 1, 65535, 65535)
BLOCK_LIMITS = (1024, 1024, 64)
TYPES = {
    "f": np.float32,
    "d": np.float64,
    "i": np.int32,
    "I": np.uint32,
    "q": np.int64,
    "Q": np.uint64,
    "h": np.int16,
    "H": np.uint16,
    "b": np.int8,
    "B": np.uint8,
    "?": np.bool_,
}
SLOTS = {4: "4x", 8: "", 2: "6x", 1: "7x"}  # what fills the 8 bytes in which each argument travels
HEADER = "=5Q3I3I6I"  # struct Launch in machine/scheduler.h
_one_at_a_time = threading.Lock()


class RawModule:
    """The kernels of a source text: RawModule(code=text, options=("-std=c++17", "-Ifolder", "-DNAME=VALUE")).

    A first line `#line 1 "file.cu"` gives the name under which faults speak of it. g++ is called when a kernel first runs.
    """

    def __init__(self, *, code: str, options: tuple[str, ...] = ()):
        self.code = code
        self.options = tuple(options)
        self.built: dict[str, Library] = {}  # by compiler.BUILDS

    def get_function(self, name: str) -> "RawKernel":
        """A kernel by its name; whether it exists is seen when it runs."""
        return RawKernel(self, name)

    def library(self, build: str) -> "Library":
        """Built, or taken from the cache, when first asked for."""
        if build not in self.built:
            self.built[build] = load(compiler.library(self.code, self.options, build), build == "checked")
        return self.built[build]


class RawKernel:
    """A kernel to call: kernel(grid, block, arguments, shared_mem=0).

    Numbers travel as NumPy scalars of the exact type that the kernel takes, arrays as emulated ones, None as a null pointer. Raises
    TypeError and ValueError on arguments, grids and blocks that do not fit, KernelError on what the kernel then does wrong.
    """

    def __init__(self, module: RawModule, name: str):
        self.module = module
        self.name = name
        self.profile = profile.Profile(name, module.code, module.options)
        self.most_dynamic = SHARED_AT_FIRST

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        """The dynamic shared memory that a launch may ask for; to be raised first, as on a GPU."""
        return self.most_dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if size > MOST_SHARED:
            raise ValueError(f"{self.name}: {size} bytes of shared memory; no block gets more than {MOST_SHARED}")
        self.most_dynamic = size

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple, *, shared_mem: int = 0) -> None:
        mode = settings.current()
        watching = 2 if mode.profile else 1 if mode.check else 0
        entry = self.module.library("checked" if watching else "plain").entry(self.name)
        if not 0 <= shared_mem <= self.most_dynamic:
            raise ValueError(f"{self.name}: {shared_mem} bytes of dynamic shared memory; set max_dynamic_shared_size_bytes first")
        order = (settings.ORDERS.index(mode.order), mode.seed & 0xFFFFFFFF)
        blocks, threads = fitting("grid", grid, GRID_LIMITS, self.name), fitting("block", block, BLOCK_LIMITS, self.name)
        early = mode.copies == "early"
        found, runs = self.counted(blocks, threads, args, (shared_mem, *order, 0, early)) if mode.profile else ("", "")
        report = entry.run(blocks, threads, args, (shared_mem, *order, watching, early))
        if report or found:
            told = faults.readable(report, entry.library) or found
            raise KernelError(f"{self.name}: {len(told.splitlines())} fault(s)\n{told.rstrip()}")
        if mode.profile:
            self.profile.add(machine().machine_profile().decode(), entry.library)
            self.profile.add_runs(runs, self.module.library("lines").path)
            profile.remember(self.profile)

    def counted(self, grid: tuple[int, int, int], block: tuple[int, int, int], args: tuple, how: tuple) -> tuple[str, str]:
        """Run it in the build that counts lines, and put the arrays back as they were: its faults, and the machine's counts.

        That is a run of its own, so that the counts of accesses stay those of the checked build.
        """
        entry = self.module.library("lines").entry(self.name)
        before = [(value, value.copy()) for value in args if isinstance(value, ndarray) and value.flags.writeable]
        report = entry.run(grid, block, args, how)
        runs = machine().machine_lines().decode()
        for value, copy in before:
            value[...] = copy
        return faults.readable(report, entry.library), runs

    def listing(self) -> str:
        """The source with what `mode(profile=True)` has counted beside each line."""
        return self.profile.listing()


def fitting(what: str, sizes: tuple[int, ...], limits: tuple[int, int, int], name: str) -> tuple[int, int, int]:
    """A grid or block in three dimensions. Raises ValueError where no GPU would take it."""
    x, y, z = (*sizes, 1, 1)[:3] if len(sizes) < 4 else (0, 0, 0)
    if not (0 < x <= limits[0] and 0 < y <= limits[1] and 0 < z <= limits[2]):
        raise ValueError(f"{name}: no GPU takes the {what} {tuple(sizes)}: one to three numbers, from 1 to {limits}")
    return x, y, z


class Parameter(NamedTuple):
    """A parameter of a kernel. dtype None: void*, any array will do."""

    name: str
    dtype: np.dtype | None
    pointer: bool
    written: bool


class Entry:
    """A kernel in a library, and the memory in which its arguments travel."""

    def __init__(self, library: "Library", name: str):
        self.library = library.path
        self.name = name
        letters = library.text(f"signature_{name}")
        names = library.text(f"names_{name}").split(",")
        pairs = list(zip(letters[::2], letters[1::2], strict=True))
        for parameter, (role, kind) in zip(names, pairs, strict=False):
            if kind == "S" and role == "n":
                raise EmulatorError(f"{name}: argument {parameter} is a struct; kernels here take numbers and pointers")
        self.parameters = [
            Parameter(parameter, np.dtype(TYPES[kind]) if kind in TYPES else None, role != "n", role == "w")
            for parameter, (role, kind) in zip(names, pairs, strict=False)
        ]
        self.most_threads = library.functions[f"most_threads_{name}"]()
        self.head = (library.address(f"call_{name}"), library.start, library.address("library_shared"))
        self.tail = (library.raw(f"signature_{name}"), library.raw(f"names_{name}"))
        slots = "".join("Q" if role != "n" else kind + SLOTS[np.dtype(TYPES[kind]).itemsize] for role, kind in pairs)
        self.layout = struct.Struct(HEADER + slots + "Q" * len(self.parameters))  # with the sizes of the arrays
        self.memory = ctypes.create_string_buffer(self.layout.size)
        self.where = ctypes.addressof(self.memory)

    def run(self, grid: tuple[int, int, int], block: tuple[int, int, int], values: tuple, how: tuple) -> str:
        """Launch it; the report of its faults, "" if there are none."""
        if block[0] * block[1] * block[2] > self.most_threads:
            raise ValueError(f"{self.name}: a block of {block[0] * block[1] * block[2]} threads; it takes {self.most_threads} at most")
        if len(values) != len(self.parameters):
            wanted = ", ".join(parameter.name for parameter in self.parameters)
            raise TypeError(f"{self.name} takes {len(self.parameters)} arguments ({wanted}), got {len(values)}")
        numbers = [self.passed(parameter, value) for parameter, value in zip(self.parameters, values, strict=True)]
        sizes = [value.nbytes if isinstance(value, ndarray) else 0 for value in values]
        with _one_at_a_time:
            self.layout.pack_into(self.memory, 0, *self.head, *self.tail, *grid, *block, *how, len(self.parameters), *numbers, *sizes)
            return machine().machine_faults().decode() if machine().machine_launch(self.where) else ""

    def passed(self, parameter: Parameter, value: Any) -> Any:
        """What goes into an argument's slot: an address or a number. Raises TypeError where the value is not what the kernel takes."""
        if not parameter.pointer:
            kind = value.dtype if isinstance(value, np.generic) else np.dtype({bool: "?", int: "q", float: "d"}.get(type(value), "O"))
            if kind != parameter.dtype:
                raise TypeError(f"{self.name}: argument {parameter.name} expects {parameter.dtype}, got {kind} ({value!r})")
            return value
        if value is None:
            return 0
        if not isinstance(value, ndarray):
            raise TypeError(f"{self.name}: argument {parameter.name} expects an array of the emulated GPU, got {type(value).__name__}")
        if value.dtype != parameter.dtype and parameter.dtype is not None:
            raise TypeError(f"{self.name}: argument {parameter.name} expects {parameter.dtype}, got {value.dtype}")
        flags = value.flags
        if not flags.c_contiguous:
            raise TypeError(f"{self.name}: argument {parameter.name} is not in row-major order: copy it with ascontiguousarray")
        if parameter.written and not flags.writeable:
            raise TypeError(f"{self.name}: argument {parameter.name} is a read-only array")
        return value.ctypes.data


class Library:
    """A built library, loaded."""

    def __init__(self, path: Path, checked: bool):
        machine()
        self.path = path
        self.functions = ctypes.PyDLL(str(path))
        self.start = self.raw("library_start")
        self.entries: dict[str, Entry] = {}
        if checked:
            self.declare_shared()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return ctypes.cast(self.functions[name], ctypes.c_void_p).value or 0

    def raw(self, name: str) -> int:
        """What a function without arguments returns, as an address."""
        function = self.functions[name]
        function.restype = ctypes.c_size_t
        return int(function())

    def text(self, name: str) -> str:
        """The text that a function without arguments returns."""
        return ctypes.string_at(self.raw(name)).decode()

    def entry(self, name: str) -> Entry:
        """A kernel. Raises EmulatorError where there is none of this name."""
        if name not in self.entries:
            if not hasattr(self.functions, f"call_{name}"):
                symbols = subprocess.run(["nm", "-D", "--defined-only", str(self.path)], capture_output=True, text=True).stdout
                known = ", ".join(re.findall(r" signature_(\w+)$", symbols, flags=re.MULTILINE))
                raise EmulatorError(f"there is no kernel {name}; the source has: {known or 'none'}")
            self.entries[name] = Entry(self, name)
        return self.entries[name]

    def declare_shared(self) -> None:
        """Tell the machine the names and places of the shared variables, so that faults can name them."""
        kinds = dict(pair.split(":") for pair in self.text("shared_types").split(",") if pair)
        symbols = subprocess.run(["readelf", "-sW", "--demangle", str(self.path)], capture_output=True, text=True).stdout
        tls = re.findall(r"^\s*\d+: ([0-9a-f]+)\s+(\d+) TLS\s+\w+\s+\w+\s+\d+ (.*)$", symbols, flags=re.MULTILINE)
        for offset, size, symbol in tls:
            name = re.sub(r"\.\d+$", "", symbol.split("::")[-1])
            self.declare(name, int(offset, 16), int(size), kinds.get(name, ""))
        for name, kind in kinds.items():
            if name.endswith("*"):
                self.declare(name[:-1], 0, -1, kind)

    def declare(self, name: str, offset: int, size: int, kind: str) -> None:
        """One variable; size -1: dynamic shared memory."""
        number = ctypes.c_size_t
        machine().machine_declare_shared(number(self.start), name.encode(), number(offset), number(size), source.size_of(kind))


@functools.cache
def load(path: Path, checked: bool) -> Library:
    """The library, loaded once in a process."""
    return Library(path, checked)


@functools.cache
def machine() -> ctypes.PyDLL:
    """The machine. Python's lock stays taken in its functions: it plays one launch at a time."""
    library = ctypes.PyDLL(str(compiler.machine()))
    library.machine_launch.argtypes = [ctypes.c_size_t]
    library.machine_faults.restype = ctypes.c_char_p
    library.machine_profile.restype = ctypes.c_char_p
    library.machine_lines.restype = ctypes.c_char_p
    return library
