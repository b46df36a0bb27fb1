"""What a kernel takes, read from its source: `extern "C" __global__ void name(const float* x, float* y, int n)`."""

import math
import re
from typing import NamedTuple

import numpy as np

TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "unsigned": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "unsigned char": np.uint8,
    "unsigned short": np.uint16,
    "bool": np.bool_,
}

BALANCED = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*"  # up to two parentheses deep
BOUNDS = rf"(?:__launch_bounds__\s*\(({BALANCED})\)\s*)?"
KERNEL = re.compile(rf"__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(({BALANCED})\)\s*\{{")  # bounds, bounds, name, parameters


class Argument(NamedTuple):
    """One parameter of a kernel: `const float* x` is (x, float32, pointer, const)."""

    name: str
    dtype: np.dtype
    pointer: bool
    const: bool
    least: float  # a number that fits
    most: float


def kernels(text: str) -> list[str]:
    """The names of the kernels of a source, in order."""
    return [name for _, _, name, _ in KERNEL.findall(without_comments(text))]


def signature(text: str, name: str, double: bool = False) -> list[Argument]:
    """The parameters of a kernel; `double` reads float as double. Raises ValueError where there is no such kernel, or an unknown type."""
    found = {its_name: parameters for _, _, its_name, parameters in KERNEL.findall(without_comments(text))}
    if name not in found:
        raise ValueError(f"no __global__ void {name}(...) in this source; it has: {', '.join(found) or 'no kernel'}")
    return [argument(parameter, double) for parameter in found[name].split(",") if parameter.strip()]


def argument(parameter: str, double: bool) -> Argument:
    """`const float* __restrict__ x` as an Argument."""
    *words, name = parameter.replace("*", " * ").replace("__restrict__", " ").split()
    kind = " ".join(word for word in words if word not in ("const", "*"))
    if kind not in TYPES:
        raise ValueError(f"{parameter.strip()}: of an argument's types known here are {', '.join(TYPES)}, and pointers to them")
    dtype: np.dtype = np.dtype(np.float64 if double and kind == "float" else TYPES[kind])
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    least, most = (int(limits.min), int(limits.max)) if limits else (-math.inf, math.inf)
    return Argument(name, dtype, "*" in words, "const" in words, least, most)


def without_comments(text: str) -> str:
    """The source with its comments gone."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
