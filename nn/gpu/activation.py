"""Element by element: ReLU, σ, tanh, dropout, and their derivatives; the kernels stand in activation.cu."""

import math
from typing import Any

from nn.gpu.launch import THREADS, Build, blocks, contiguous, empty, launch

BUILDS = [Build("activation.cu", {})]


def relu(x: Any) -> Any:
    """y = max(x, 0)."""
    return _each("relu_forward", x)


def relu_backward(dy: Any, y: Any) -> Any:
    """dx = dy where y > 0, else 0 (at x = 0 too)."""
    return _each("relu_backward", dy, y)


def sigmoid(x: Any) -> Any:
    """y = 1 / (1 + e^-x)."""
    return _each("sigmoid_forward", x)


def sigmoid_backward(dy: Any, y: Any) -> Any:
    """dx = dy · y (1 - y)."""
    return _each("sigmoid_backward", dy, y)


def tanh(x: Any) -> Any:
    """y = tanh x."""
    return _each("tanh_forward", x)


def tanh_backward(dy: Any, y: Any) -> Any:
    """dx = dy (1 - y²)."""
    return _each("tanh_backward", dy, y)


def dropout(x: Any, seed: int, rate: float) -> Any:
    """y_k = x_k / (1 - rate) where a hash of (seed, k) is at least rate · 2³², else 0; backward is the same function of dy."""
    return _each("dropout", x, numbers=(seed & 0xFFFFFFFF, seed >> 32, min(math.ceil(rate * 2**32), 2**32 - 1), 1 / (1 - rate)))


def _each(name: str, *arrays: Any, numbers: tuple = ()) -> Any:
    """Run a kernel that has a thread for each element of arrays of one shape."""
    out = empty(arrays[0], arrays[0].shape)
    launch("activation.cu", name, blocks(out.size), (THREADS,), *map(contiguous, arrays), out, *numbers, out.size)
    return out
