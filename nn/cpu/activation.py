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


def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """y = x / (1 - rate) where kept, else 0. It is linear in x: backward is the same function of dy. (Srivastava et al. 2014)"""
    return x * kept * x.dtype.type(1 / (1 - rate))


def _by_blocks(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """Apply function(*blocks, out) to flat blocks of arrays of one shape, on every core."""
    out = empty(arrays[0].shape, arrays[0].dtype)
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays] + [out.reshape(-1)]
    parallel_blocks(lambda _, block: function(*(array[block] for array in flat)), out.size, 1)
    return out
