"""Which room serves an array: NumPy arrays go to nn.cpu, CuPy arrays to nn.gpu, a call at a time. There is no global switch."""

from types import ModuleType
from typing import Any

import numpy as np


def room_of(array: Any) -> str:
    """Name the room that holds an array: "cpu" (NumPy) or "gpu" (CuPy)."""
    if isinstance(array, np.ndarray):
        return "cpu"
    if type(array).__module__.partition(".")[0] == "cupy":
        return "gpu"
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}; wrap it with np.asarray(...)")


def ops(*arrays: Any) -> ModuleType:
    """Return the module whose functions serve these arrays; None is passed over.

    Raises TypeError where CPU and GPU arrays meet in one call, or where the room has no kernels in this version.
    """
    rooms = {room_of(array) for array in arrays if array is not None}
    if len(rooms) > 1:
        raise TypeError("one call got NumPy and CuPy arrays; move them to one side with cupy.asarray(...) or cupy.asnumpy(...)")
    if rooms == {"gpu"}:
        raise TypeError("this version has no GPU kernels yet; move the array to the CPU with cupy.asnumpy(...)")
    from nn import cpu

    return cpu
