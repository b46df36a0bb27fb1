"""Batch norm, channel by channel, with the chain rule walked as its authors print it. (Ioffe and Szegedy 2015, section 3)

μ = (1/M) Σ_m x_m       σ² = (1/M) Σ_m (x_m - μ)²       x̂_m = (x_m - μ) / √(σ² + ε)       y_m = γ x̂_m + β
"""

import numpy as np

from nn.reference.precision import in_float64


@in_float64
def batch_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean μ and variance σ² (divided by M) a channel: (..., C) -> (C,), (C,). For an empty batch 0 and 0."""
    rows = x.reshape(x.size // x.shape[-1], x.shape[-1])  # (M, C)
    M = max(1, len(rows))
    mean = np.einsum("mc->c", rows) / M
    return mean, np.einsum("mc->c", (rows - mean) ** 2) / M


@in_float64
def batch_norm(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    *,
    relu: bool = False,
) -> np.ndarray:
    """y = γ (x - μ) / √(σ² + ε) + β with the statistics given; γ, β, μ, σ² are (C,). relu: y = max(y, 0)."""
    y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    return np.maximum(y, 0) if relu else y


@in_float64
def batch_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    gamma: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
    of_batch: bool,
    *,
    beta: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From dy: dx, dγ (C,), dβ (C,). `of_batch` says that μ and σ² were the batch's own, so dx has the paths through them.

    beta: given where a ReLU followed; then dy counts only where y = γ x̂ + β > 0.
    """
    if beta is not None:
        dy = np.where(batch_norm(x, gamma, beta, mean, variance, epsilon) > 0, dy, 0)
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
    for c in range(x.shape[-1]):
        from_mean = x[..., c] - mean[c]
        root = np.sqrt(variance[c] + epsilon)
        M = max(1, from_mean.size)
        dbeta[c] = dy[..., c].sum()
        dgamma[c] = (dy[..., c] * from_mean / root).sum()

        dnormal = dy[..., c] * gamma[c]  # ∂L/∂x̂
        dx[..., c] = dnormal / root  # ∂x̂/∂x with μ and σ² held
        if of_batch:
            dvariance = (dnormal * from_mean).sum() * -0.5 * root**-3
            dmean = -(dnormal / root).sum() + dvariance * (-2 * from_mean).sum() / M
            dx[..., c] += dvariance * 2 * from_mean / M + dmean / M
    return dx, dgamma, dbeta
