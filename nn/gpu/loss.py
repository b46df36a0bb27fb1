"""The two losses of the paper and their slopes; the kernels stand in loss.cu."""

from typing import Any

from nn.gpu.launch import THREADS, Build, blocks, contiguous, empty, launch, library
from nn.gpu.reduce import cut, sum_all

BUILDS = [Build("loss.cu", {})]


def squared_error(y: Any, target: Any) -> Any:
    """Eq. (3): (1/D) Σ (y - ŷ)², averaged over the batch: the mean over all numbers; a 0-d array, 0 for an empty batch."""
    return mean_of("squared_error", y.size, (y, target))


def squared_error_backward(y: Any, target: Any) -> Any:
    """dy = 2 (y - ŷ) / (number of elements)."""
    y, target, dy = contiguous(y), contiguous(target), empty(y, y.shape)
    launch("loss.cu", "squared_error_backward", blocks(y.size), (THREADS,), y, target, dy, 2 / max(1, y.size), y.size)
    return dy


def landmark_error(points: Any, target: Any, distance: Any) -> Any:
    """(1/N) Σ_n (1/L) Σ_l ‖p_nl - t_nl‖ / d_n: points, target (N, L, 2), distance (N,) -> a 0-d array, 0 for an empty batch."""
    N, L, _ = points.shape
    return mean_of("landmark_error", N * L, (points, target, distance), L)


def landmark_error_backward(points: Any, target: Any, distance: Any) -> Any:
    """dp_nl = (p - t) / ‖p - t‖ / (N L d_n): a push of fixed strength along the error; 0 where the point is exactly right."""
    N, L, _ = points.shape
    given, dp = map(contiguous, (points, target, distance)), empty(points, points.shape)
    launch("loss.cu", "landmark_error_backward", blocks(N * L), (THREADS,), *given, dp, 1 / max(1, N * L), N * L, L)
    return dp


def mean_of(name: str, n: int, arrays: tuple, *sides: int) -> Any:
    """The mean of the n terms that a kernel sums slab by slab."""
    if n == 0:
        return library(arrays[0]).zeros((), arrays[0].dtype)
    part = cut(n, 1)
    sums = empty(arrays[0], (part.slabs,))
    launch("loss.cu", name, part.grid, (THREADS,), *map(contiguous, arrays), sums, 1 / n, n, *sides, part.rows)
    return sums.reshape(()) if part.slabs == 1 else sum_all(sums)
