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

KERNEL = r"__global__\s+void\s+(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*)?"


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
    return re.findall(rf"{KERNEL}(\w+)\s*\(", without_comments(text))


def signature(text: str, name: str, double: bool = False) -> list[Argument]:
    """The parameters of a kernel; `double` reads float as double. Raises ValueError where there is no such kernel, or an unknown type."""
    found = re.search(rf"{KERNEL}{name}\s*\(([^)]*)\)", without_comments(text))
    if found is None:
        raise ValueError(f"no __global__ void {name}(...) in this source; it has: {', '.join(kernels(text)) or 'no kernel'}")
    return [argument(parameter, double) for parameter in found[1].split(",") if parameter.strip()]


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
