"""Batch norm over all but the last side, M numbers a channel.

    x̂ = (x - μ) / √(σ² + ε),   y = γ x̂ + β          μ, σ² of the batch when training, running averages otherwise

    dβ = Σ dy,   dγ = Σ dy x̂
    dx = γ / √(σ² + ε) · (dy - dβ/M - x̂ dγ/M)         the two last terms only where μ and σ² came from the batch

(Ioffe and Szegedy 2015.) Every pass goes block by block: while a block is in the cache, all that is needed of it is done. So a ReLU
that follows is nearly free: y = max(y, 0), and backward dy counts only where y > 0, which is found anew from x and not kept.
"""

import numpy as np

from nn.cpu.memory import empty
from nn.cpu.reduce import as_rows, sum_rows
from nn.cpu.threads import parallel_blocks


def batch_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean μ and variance σ² (divided by M) a channel: (..., C) -> (C,), (C,). For an empty batch 0 and 0.

    A block's own mean μ_k and sum of squares Q_k = Σ (x - μ_k)² are exact to rounding; blocks of m_k numbers combine by
    M σ² = Σ_k Q_k + m_k (μ_k - μ)². One reading of memory, and no difference of large sums. (Chan et al. 1979)
    """
    rows, C = as_rows(x), x.shape[-1]
    M = max(1, x.size // max(1, C))
    count, mean, square = (np.zeros((len(rows) + 1, C), x.dtype) for _ in range(3))

    def work(k: int, block: slice) -> None:
        values = rows[block]
        count[k] = values.size // C
        mean[k] = sum_rows(values, C) / count[k]
        centred = np.subtract(values, np.tile(mean[k], values.shape[1] // C), out=empty(values.shape, x.dtype))
        centred *= centred
        square[k] = sum_rows(centred, C)

    K = parallel_blocks(work, *rows.shape)
    count, mean, square = count[:K], mean[:K], square[:K]
    mu = (count * mean).sum(0) / M
    return mu, (square + count * (mean - mu) ** 2).sum(0) / M


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
    y = empty(x.shape, x.dtype)
    rows, out = as_rows(x), as_rows(y)
    slope, offset = as_line(gamma, beta, mean, variance, epsilon, rows.shape[1])

    def work(_: int, block: slice) -> None:
        np.multiply(rows[block], slope, out=out[block])
        out[block] += offset
        if relu:
            np.maximum(out[block], 0, out=out[block])

    parallel_blocks(work, *rows.shape)
    return y


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
    C = x.shape[-1]
    M = max(1, x.size // max(1, C))
    rows, dx = as_rows(x), empty(x.shape, x.dtype)
    out = as_rows(dx)
    dys = as_rows(dy) if beta is None else out  # with a ReLU, dy's part that it let through waits in dx
    sums = np.zeros((2, len(rows) + 1, C), x.dtype)
    scale = 1 / np.sqrt(variance + epsilon)  # (C,)
    wide_mean = np.tile(mean, rows.shape[1] // C)
    line = None if beta is None else as_line(gamma, beta, mean, variance, epsilon, rows.shape[1])

    def reduce(k: int, block: slice) -> None:
        if line is not None:
            y = np.multiply(rows[block], line[0], out=empty(rows[block].shape, x.dtype))
            y += line[1]
            np.multiply(as_rows(dy)[block], np.greater(y, 0, out=empty(y.shape, bool)), out=out[block])
        sums[0, k] = sum_rows(dys[block], C)
        centred = np.subtract(rows[block], wide_mean, out=empty(rows[block].shape, x.dtype))
        centred *= dys[block]
        sums[1, k] = sum_rows(centred, C)

    K = parallel_blocks(reduce, *rows.shape)
    dbeta, dgamma = sums[0, :K].sum(0), sums[1, :K].sum(0) * scale
    on_dy = gamma * scale  # dx = on_dy · dy + on_x · x + constant, each (C,)
    on_x = -on_dy * scale * dgamma / M if of_batch else np.zeros_like(gamma)
    constant = -on_dy * dbeta / M - on_x * mean if of_batch else np.zeros_like(gamma)
    on_dy, on_x, constant = (np.tile(v, rows.shape[1] // C) for v in (on_dy, on_x, constant))

    def gradient(_: int, block: slice) -> None:
        through_statistics = np.multiply(rows[block], on_x, out=empty(rows[block].shape, x.dtype))
        through_statistics += constant
        np.multiply(dys[block], on_dy, out=out[block])
        out[block] += through_statistics

    parallel_blocks(gradient, *rows.shape)
    return dx, dgamma, dbeta


def as_line(
    gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset, y = slope · x + offset, each repeated to one long row (W·C,) of `width` numbers."""
    slope = gamma / np.sqrt(variance + epsilon)
    offset = beta - mean * slope
    return np.tile(slope, width // slope.size), np.tile(offset, width // slope.size)
