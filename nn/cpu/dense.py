"""Fully connected: y = x Wᵀ + b;   dx = dy W,   dW = dyᵀ x,   db = Σ_n dy."""

import numpy as np

from nn.cpu.product import product


def dense(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x (N, D), w (O, D), b (O,) -> y (N, O)."""
    y = product(x, w.T)
    y += b
    return y


def dense_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From dy (N, O): dx (N, D), dw (O, D), db (O,)."""
    return product(dy, w), product(dy.T, x), dy.sum(0)
