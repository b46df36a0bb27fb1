"""From arrays to a launch: whose memory they lie in, the kernel compiled for it, and every argument held to the kernel's signature.

The same launchers serve a GPU, through CuPy, and the emulator, through its stand-in for CuPy: `library(x)` tells which.
"""

import functools
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from nn.errors import InputError
from nn.gpu.signature import Argument, signature
from nn.gpu.trouble import explained

THREADS = 256  # of a block, where nothing else is said
FOLDER = Path(__file__).parent
MOST = 2**31 - 2**20  # elements of an array: kernels count in int, and a grid may overshoot by a block


class Build(NamedTuple):
    """A way in which a .cu file is compiled: its macros, and the oldest card (61 for compute capability 6.1) that can run it."""

    file: str
    macros: dict[str, Any]
    since: int = 61


def library(*arrays: Any) -> ModuleType:
    """The module that allocates and compiles for these arrays: cupy, or the emulator's stand-in. None is passed over."""
    array = next(array for array in arrays if array is not None)
    return library_of("emulated" if isinstance(array, np.ndarray) else "cuda")


@functools.cache
def library_of(device: str) -> ModuleType:
    """The library for "cuda" or "emulated". Raises InputError where there is no GPU, or no compiler to play one: it says what to do."""
    if device == "emulated":
        from nn.emulator import compiler
        from nn.emulator import cupy as stand_in

        compiler.machine()
        return stand_in
    with clear_errors():
        import cupy

        cupy.cuda.Device().compute_capability  # noqa: B018 - asks driver and device
    return cupy


@contextmanager
def clear_errors() -> Iterator[None]:
    """Whatever driver, compiler or GPU complain of, in one sentence that says what to do: InputError. The rest passes as it is."""
    try:
        yield
    except Exception as error:
        if sentence := explained(error):
            raise InputError(sentence) from error
        raise


@functools.cache
def capability(xp: ModuleType) -> int:
    """Compute capability of the card in use, 90 for 9.0: what it can do decides the rung. The emulator plays a 9.0."""
    return int(xp.cuda.Device().compute_capability) if xp.__name__ == "cupy" else 90


def contiguous(array: Any) -> Any:
    """The array in row-major order: itself, or a copy."""
    return array if array is None or array.flags.c_contiguous else library(array).ascontiguousarray(array)


def aligned(*arrays: Any) -> bool:
    """Whether each array's memory starts at a multiple of 16 bytes, as loads of four floats want it: a slice of a longer array may not."""
    return all((array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr) % 16 == 0 for array in arrays)


def empty(like: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Unwritten memory beside `like`, of its dtype where none is given."""
    return library(like).empty(shape, like.dtype if dtype is None else dtype)


def blocks(count: int, threads: int = THREADS) -> tuple[int]:
    """A grid in which every one of `count` elements has its thread."""
    return (-(-count // threads),)


def launch(file: str, name: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any, shared: int = 0, **macros: Any) -> None:
    """Run a kernel of a .cu file of this folder: `shared` bytes of dynamic shared memory, `macros` as -D options.

    Numbers become what the signature says; arrays must be what it says already. float64 arrays run the same text in double precision.
    An empty grid is no launch. Raises TypeError on a wrong dtype or layout, OverflowError where a number does not fit.
    """
    if 0 in grid:
        return
    arrays = [argument for argument in arguments if hasattr(argument, "flags") and not isinstance(argument, np.generic)]
    xp, double = library(*arrays), any(array.dtype == np.float64 for array in arrays)
    with clear_errors():
        function, signature = kernel(xp, file, name, double, tuple(sorted(macros.items())))
    if len(arguments) != len(signature):
        raise TypeError(f"{name} in {file} takes {len(signature)} arguments, got {len(arguments)}")
    values = tuple(fitted(name, expected, value) for expected, value in zip(signature, arguments, strict=True))
    if xp.__name__ == "cupy":
        values = tuple(np.uint64(0) if value is None else value for value in values)  # None was no null pointer in every CuPy
    if shared:
        function.max_dynamic_shared_size_bytes = max(shared, function.max_dynamic_shared_size_bytes)
    function(grid, block, values, shared_mem=shared)


def fitted(kernel_name: str, expected: Argument, value: Any) -> Any:
    """The argument as the kernel wants it."""
    where = f"{kernel_name}: argument {expected.name}"
    if not expected.pointer:
        if not expected.least <= value <= expected.most:
            raise OverflowError(f"{where} is {value}, more than {expected.dtype} holds: use a smaller batch")
        return expected.dtype.type(value)
    if value is None:
        return None
    if value.dtype != expected.dtype:
        raise TypeError(f"{where} expects {expected.dtype}, got {value.dtype}: convert with .astype({str(expected.dtype)!r})")
    if value.size > MOST:
        raise OverflowError(f"{where} has {value.size} elements, more than {MOST}: use a smaller batch")
    if not value.flags.c_contiguous:
        raise TypeError(f"{where} expects memory in row-major order: copy it with ascontiguousarray")
    return value


@functools.cache
def kernel(xp: ModuleType, file: str, name: str, double: bool, macros: tuple[tuple[str, Any], ...]) -> tuple[Any, list[Argument]]:
    """The compiled kernel, and its signature."""
    options = ("-std=c++17", f"-I{FOLDER}", *(f"-D{key}={value}" for key, value in macros))
    text = source(file)
    say_once(xp)
    module = xp.RawModule(code=f'{DOUBLE if double else ""}#line 1 "{file}"\n{text}\n// {headers()}', options=options)
    return module.get_function(name), signature(text, name, double)


@functools.cache
def say_once(xp: ModuleType) -> None:
    """A first compilation takes a while; later runs find the kernels in a cache on disk."""
    if xp.__name__ == "cupy":
        print("compiling the kernels for this GPU, each on its first use", file=sys.stderr, flush=True)


@functools.cache
def headers() -> str:
    """What tells one state of the headers from another: CuPy finds a kernel in its cache by the text alone, not by what that includes."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.cuh")))).hexdigest()


def source(file: str) -> str:
    """The text of a .cu file of this folder."""
    return (FOLDER / file).read_text()


# Every operation can be judged in double precision: the same text, with `float` read as double.
DOUBLE = "".join(
    f"#define {single} {double}\n"
    for single, double in {
        "float": "double",
        "float2": "double2",
        "float4": "double4",
        "make_float2": "make_double2",
        "make_float4": "make_double4",
        **{f"{function}f": function for function in ("exp", "tanh", "sqrt", "rsqrt", "fmax", "fmin", "fma", "fabs")},
    }.items()
)
