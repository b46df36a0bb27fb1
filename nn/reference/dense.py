"""Fully connected: y_no = Σ_d x_nd w_od + b_o. Each product holds one x and one w: the derivative by one is the other."""

import numpy as np

from nn.reference.precision import in_float64


@in_float64
def dense(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x (N, D), w (O, D), b (O,) -> y (N, O)."""
    return np.einsum("nd,od->no", x, w) + b


@in_float64
def dense_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From dy (N, O): dx (N, D), dw (O, D), db (O,)."""
    return np.einsum("no,od->nd", dy, w), np.einsum("no,nd->od", dy, x), np.einsum("no->o", dy)
