"""Element by element: ReLU, the logistic function σ, tanh. Each derivative is written in terms of the output y."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.cpu.memory import empty
from nn.cpu.threads import parallel_blocks


def relu(x: np.ndarray) -> np.ndarray:
    """y = max(x, 0)."""
    return _by_blocks(lambda x, y: np.maximum(x, 0, out=y), x)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0 (at x = 0 too)."""
    return _by_blocks(lambda dy, y, dx: np.multiply(dy, np.greater(y, 0, out=empty(y.shape, bool)), out=dx), dy, y)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """y = 1 / (1 + e^-x), by way of tanh: σ(x) = (1 + tanh(x/2)) / 2 never overflows."""
    y = np.tanh(x / 2)
    y += 1
    y /= 2
    return y


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy · y (1 - y)."""
    return dy * y * (1 - y)


def tanh(x: np.ndarray) -> np.ndarray:
    """y = tanh x."""
    return np.tanh(x)


def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy (1 - y²)."""
    return dy * (1 - y * y)


def dropout(x: np.ndarray, seed: int, rate: float) -> np.ndarray:
    """y_k = x_k / (1 - rate) where a hash of (seed, k) is at least rate · 2³², else 0; it is linear in x: backward is the same function
    of dy. nn/reference has the hash in words. (Srivastava et al. 2014)"""
    y = empty(x.shape, x.dtype)
    values, out = np.ascontiguousarray(x).reshape(-1), y.reshape(-1)
    low, high = np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)
    scale = x.dtype.type(1 / (1 - rate))

    def work(_: int, block: slice) -> None:
        h = np.arange(block.start, block.stop, dtype=np.uint32)
        h ^= low
        mix(h)
        h += high
        mix(h)
        np.multiply(values[block], h >= rate * 2**32, out=out[block])
        out[block] *= scale

    parallel_blocks(work, x.size, 1)
    return y


def mix(h: np.ndarray) -> None:
    """The 32-bit hash, in place: multiplication wraps around, as it should."""
    shifted = empty(h.shape, h.dtype)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        h ^= np.right_shift(h, np.uint32(shift), out=shifted)
        h *= np.uint32(factor)


def _by_blocks(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """Apply function(*blocks, out) to flat blocks of arrays of one shape, on every core."""
    out = empty(arrays[0].shape, arrays[0].dtype)
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays] + [out.reshape(-1)]
    parallel_blocks(lambda _, block: function(*(array[block] for array in flat)), out.size, 1)
    return out
