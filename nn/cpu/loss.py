"""The two losses of the paper and their slopes."""

import numpy as np


def squared_error(y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Eq. (3): mse = (1/D) Σ (y - ŷ)², averaged over the batch: the mean over all numbers; a scalar (0-d array), 0 for an empty batch."""
    difference = (y - target).reshape(-1)
    return difference @ difference / max(1, y.size)


def squared_error_backward(y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """dy = 2 (y - ŷ) / (number of elements)."""
    return (y - target) * y.dtype.type(2 / max(1, y.size))


def landmark_error(points: np.ndarray, target: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """(1/N) Σ_n (1/L) Σ_l ‖p_nl - t_nl‖ / d_n: points, target (N, L, 2), distance (N,) -> a scalar, 0 for an empty batch."""
    lengths = np.sqrt(((points - target) ** 2).sum(-1))  # (N, L)
    return (lengths / distance[:, None]).sum() / points.dtype.type(max(1, lengths.size))


def landmark_error_backward(points: np.ndarray, target: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """dp_nl = (p - t) / ‖p - t‖ / (N L d_n): a push of fixed strength along the error; 0 where the point is exactly right."""
    difference = points - target
    lengths = np.sqrt((difference**2).sum(-1, keepdims=True))  # (N, L, 1)
    weight = lengths * distance[:, None, None] * max(1, lengths.size)
    return np.divide(difference, weight, out=np.zeros_like(difference), where=lengths > 0)
