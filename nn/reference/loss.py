"""The two losses of the paper and their slopes, number by number."""

import numpy as np

from nn.reference.precision import in_float64


@in_float64
def squared_error(y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Eq. (3): (1/D) Σ (y - ŷ)², averaged over the batch: the mean over all numbers; 0 for an empty batch."""
    total = np.zeros(())
    for k in np.ndindex(y.shape):
        total += (y[k] - target[k]) ** 2
    return total / max(1, y.size)


@in_float64
def squared_error_backward(y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """dy = 2 (y - ŷ) / (number of elements)."""
    dy = np.zeros_like(y)
    for k in np.ndindex(y.shape):
        dy[k] = 2 * (y[k] - target[k]) / y.size
    return dy


@in_float64
def landmark_error(points: np.ndarray, target: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """(1/N) Σ_n (1/L) Σ_l ‖p_nl - t_nl‖ / d_n: points, target (N, L, 2), distance (N,) -> a scalar, 0 for an empty batch."""
    N, L, _ = points.shape
    total = np.zeros(())
    for n, l in np.ndindex(N, L):
        total += np.hypot(*(points[n, l] - target[n, l])) / distance[n]
    return total / max(1, N * L)


@in_float64
def landmark_error_backward(points: np.ndarray, target: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """dp_nl = (p - t) / ‖p - t‖ / (N L d_n); 0 where the point is exactly right."""
    N, L, _ = points.shape
    dp = np.zeros_like(points)
    for n, l in np.ndindex(N, L):
        difference = points[n, l] - target[n, l]
        if difference.any():
            dp[n, l] = difference / np.hypot(*difference) / (N * L * distance[n])
    return dp
