"""What stands in for the module `cupy` on a machine without a GPU: the few of its names that nn/gpu uses, over NumPy's memory."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nn.emulator.array import emulated, ndarray
from nn.emulator.module import RawModule

__all__ = ["RawModule", "asarray", "ascontiguousarray", "asnumpy", "empty", "ndarray", "zeros"]


def asarray(array: Any, dtype: DTypeLike | None = None) -> ndarray:
    """A copy of the array in the emulated GPU's memory; one that is there already stays as it is."""
    if isinstance(array, ndarray) and dtype in (None, array.dtype):
        return array
    return np.array(array, dtype, order="C", subok=False).view(ndarray)


def asnumpy(array: Any) -> np.ndarray:
    """A plain NumPy copy."""
    return np.array(array, subok=False)


def ascontiguousarray(array: ndarray) -> ndarray:
    """The array itself where it lies in row-major order, else a copy that does."""
    return emulated(np.ascontiguousarray(array.view(np.ndarray)))


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = np.float32) -> ndarray:
    """Memory that nobody has written: NaN, -1 or the largest whole number, so that it shows in a result."""
    dtype = np.dtype(dtype)
    unwritten = {"f": np.nan, "i": -1, "b": True}.get(dtype.kind)
    return np.full(shape, np.iinfo(dtype).max if unwritten is None else unwritten, dtype).view(ndarray)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.float32) -> ndarray:
    """Zeros."""
    return np.zeros(shape, dtype).view(ndarray)
