"""Fully connected: y = x Wᵀ + b;   dx = dy W,   dW = dyᵀ x,   db = Σ_n dy."""

import numpy as np

from nn.cpu.threads import one_blas_thread


@one_blas_thread()
def dense(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x (N, D), w (O, D), b (O,) -> y (N, O)."""
    y = x @ w.T
    y += b
    return y


@one_blas_thread()
def dense_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From dy (N, O): dx (N, D), dw (O, D), db (O,)."""
    return dy @ w, dy.T @ x, dy.sum(0)
