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
def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """y = x / (1 - rate) where kept, else 0; backward is the same function of dy. (Srivastava et al. 2014)"""
    return np.where(kept, x / (1 - rate), 0)
