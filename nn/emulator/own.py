"""Run anybody's .cu file: `faceseed emulate my.cu`, or from Python, emulate(Path("my.cu"), grid=(4,), block=(256,), values={...}).

The kernel runs first in the checked mode, then with its threads in other orders: a result that depends on the order is a race that no
single run would show.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nn.checkpoint import array_of
from nn.emulator import cupy, mode
from nn.errors import InputError
from nn.files import MIB, read_bytes, read_text
from nn.gpu.signature import Argument, kernels, signature

ORDERS: dict[str, dict[str, Any]] = {
    "reverse order": {"order": "reverse"},
    "shuffled order": {"order": "shuffled", "seed": 1},
    "another shuffled order": {"order": "shuffled", "seed": 2},
    "early copies": {"copies": "early"},  # cp.async arrives at once instead of as late as it may
}
HEADERS = Path(__file__).parents[1] / "gpu"  # ptx.cuh: tensor cores and asynchronous copies, for anybody's kernel
CU_BYTES, NPY_BYTES = 4 * MIB, 1024 * MIB
FILLS = ("unwritten", "zeros", "ones", "arange", "normal")


@dataclass
class Emulation:
    """What came of a kernel: its arguments after the checked run, and the orders in which it gave something else."""

    kernel: str
    arguments: dict[str, np.ndarray]
    written: list[str]  # the names of the arrays that it may write
    differs: dict[str, str]  # order -> what is different
    listing: str  # the annotated source, where a profile was asked for


def emulate(
    path: Path,
    *,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    values: dict[str, str | np.ndarray | float],
    kernel: str | None = None,
    shared: int = 0,
    options: tuple[str, ...] = (),
    profile: bool = False,
    seed: int = 0,
) -> Emulation:
    """Run a kernel of a .cu file in every order; the only kernel where none is named.

    values: for each parameter by name a number, an array, or a text: a number, SHAPE, SHAPE:FILL (32x64:normal) or a .npy file.
    Raises InputError where an argument is missing or cannot be read, KernelError where the kernel does what a GPU would not forgive.
    """
    text = read_text(path, CU_BYTES, "a CUDA C file")
    kernel = kernel or the_only_kernel(path, text)
    try:
        parameters = signature(text, kernel)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    given = prepared(kernel, parameters, values, np.random.default_rng(seed))
    folders = (f"-I{path.parent}", f"-I{HEADERS}")
    module = cupy.RawModule(code=f'#line 1 "{path.name}"\n{text}', options=("-std=c++17", *folders, *options))
    function = module.get_function(kernel)
    with refused(path):
        function.max_dynamic_shared_size_bytes = max(shared, function.max_dynamic_shared_size_bytes)

    def run(**how: Any) -> dict[str, np.ndarray]:
        arguments = {name: cupy.asarray(value) if value.ndim else value[()] for name, value in given.items()}
        with mode(**how), refused(path):
            function(grid, block, tuple(arguments.values()), shared_mem=shared)
        return {name: np.array(value, subok=False) for name, value in arguments.items()}

    after = run(check=True)
    written = [parameter.name for parameter in parameters if parameter.pointer and not parameter.const]
    differs = {order: found for order, how in ORDERS.items() if (found := difference(after, run(**how), written))}
    listing = ""
    if profile:
        run(profile=True)
        listing = function.listing()
    return Emulation(kernel, after, written, differs, listing)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Sizes that no GPU takes are the user's to mend."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def the_only_kernel(path: Path, text: str) -> str:
    """The name of the file's kernel. Raises InputError where there is none, or a choice."""
    names = kernels(text)
    if len(names) != 1:
        what = f"has the kernels {', '.join(names)}; choose one with --kernel" if names else "has no `__global__ void` function"
        raise InputError(f"{path}: {what}")
    return names[0]


def prepared(
    kernel: str, parameters: list[Argument], values: dict[str, str | np.ndarray | float], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The arguments in the kernel's order: numbers as 0-d arrays, arrays as arrays, each of the kernel's dtype."""
    wanted = ", ".join(f"{'const ' * p.const}{p.dtype}{'*' * p.pointer} {p.name}" for p in parameters)
    names = {parameter.name for parameter in parameters}
    if missing := sorted(names ^ values.keys()):
        what = "needs a value" if missing[0] in names else "is none of its arguments"
        raise InputError(f"{kernel} takes {wanted}: {missing[0]} {what}; give each as NAME=VALUE")
    return {parameter.name: value_of(parameter, values[parameter.name], rng) for parameter in parameters}


def value_of(parameter: Argument, value: str | np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """One argument. Raises InputError where the text says nothing that fits."""
    if not isinstance(value, str):
        return np.ascontiguousarray(value, parameter.dtype) if parameter.pointer else np.array(value, parameter.dtype)
    try:
        if not parameter.pointer:
            return np.array(float(value) if parameter.dtype.kind == "f" else int(value)).astype(parameter.dtype, casting="unsafe")
        if value.endswith(".npy"):
            return np.ascontiguousarray(array_of(read_bytes(value, NPY_BYTES, "an .npy file of numbers")), parameter.dtype)
        shape, _, fill = value.partition(":")
        return filled(tuple(map(int, shape.split("x"))), fill or ("normal" if parameter.const else "unwritten"), parameter.dtype, rng)
    except (ValueError, OverflowError, MemoryError, OSError) as error:
        form = (
            f"a shape such as 1000 or 32x64, with a fill if you like (:{' :'.join(FILLS)}), or a .npy file"
            if parameter.pointer
            else "a number"
        )
        raise InputError(f"{parameter.name}={value}: expected {form} ({error})") from None


def filled(shape: tuple[int, ...], fill: str, dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """An array of this shape. Whole numbers that are "normal" are drawn from 0 to 9."""
    if fill == "unwritten":
        return cupy.empty(shape, dtype).get()
    if fill == "normal":
        return rng.normal(size=shape).astype(dtype) if dtype.kind == "f" else rng.integers(0, 10, shape).astype(dtype)
    if fill not in FILLS:
        raise ValueError(f"unknown fill {fill!r}")
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype) if fill == "arange" else getattr(np, fill)(shape, dtype)


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray], names: list[str]) -> str:
    """What is not the same, bit for bit, in two runs; "" where all is."""
    for name in names:
        a, b = one[name].reshape(-1), other[name].reshape(-1)
        places = np.flatnonzero((bits(a) != bits(b)).any(axis=1))
        if len(places):
            first = int(places[0])
            at = tuple(map(int, np.unravel_index(first, one[name].shape)))
            return f"{len(places)} of {a.size} numbers of {name}, first at {at}: {a[first]} and {b[first]}"
    return ""


def bits(array: np.ndarray) -> np.ndarray:
    """(K,) -> its bytes, (K, bytes of a number): a NaN equals itself."""
    return array.view(np.uint8).reshape(array.size, array.itemsize)
