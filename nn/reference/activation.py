"""Element by element: ReLU, the logistic function σ, tanh, dropout; derivatives in terms of the output y."""

import numpy as np

from nn.reference.precision import in_float64


@in_float64
def relu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, else 0; a NaN stays a NaN."""
    return np.where(x <= 0, 0, x)


@in_float64
def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0 (at x = 0 too)."""
    return np.where(y > 0, dy, 0)


@in_float64
def sigmoid(x: np.ndarray) -> np.ndarray:
    """y = 1 / (1 + e^-x)."""
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the right limit, 0
        return 1 / (1 + np.exp(-x))


@in_float64
def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy · e^-x / (1 + e^-x)² = dy · y (1 - y)."""
    return dy * y * (1 - y)


@in_float64
def tanh(x: np.ndarray) -> np.ndarray:
    """y = tanh x."""
    return np.tanh(x)


@in_float64
def tanh_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx = dy (1 - y²)."""
    return dy * (1 - y**2)


@in_float64
def dropout(x: np.ndarray, seed: int, rate: float) -> np.ndarray:
    """y_k = x_k / (1 - rate) where the draw of k is at least rate · 2³², else 0; backward is the same function of dy.

    (Srivastava et al. 2014.) k counts the numbers of x in row-major order.
    """
    draws = np.array([drawn(seed, k) for k in range(x.size)], np.uint64).reshape(x.shape)
    return np.where(draws >= rate * 2**32, x / (1 - rate), 0)


def drawn(seed: int, k: int) -> int:
    """A number below 2³² for each (seed, k): each half of the 64-bit seed is mixed in by one round of a 32-bit hash.

    It needs no state, so every thread of a GPU draws its own, and backward draws the mask again instead of keeping it.
    """
    return mixed(mixed(k ^ seed & 0xFFFFFFFF) + (seed >> 32) & 0xFFFFFFFF)


def mixed(h: int) -> int:
    """32 bits in, 32 bits out, one to one; each bit depends on all. (the constants: C. Wellons, "lowbias32")"""
    h ^= h >> 16
    h = h * 0x7FEB352D & 0xFFFFFFFF
    h ^= h >> 15
    h = h * 0x846CA68B & 0xFFFFFFFF
    return h ^ h >> 16
