"""Batch norm over all but the last side, M numbers a channel; the equations and the ladder stand in norm.cu.

Family "reduce" chooses the rung of the sums, as in reduce.py.
"""

from typing import Any

from nn.gpu.launch import THREADS, Build, blocks, contiguous, empty, launch, library
from nn.gpu.reduce import MACROS, RUNGS, cut, slab_sums
from nn.gpu.rungs import choose

BUILDS = [Build("norm.cu", MACROS[rung]) for rung in ("shared", "shuffle")]


def batch_statistics(x: Any) -> tuple[Any, Any]:
    """Mean μ and variance σ² (divided by M) a channel: (..., C) -> (C,), (C,). For an empty batch 0 and 0."""
    M, C = sides(x)
    if x.size == 0:
        return library(x).zeros((C,), x.dtype), library(x).zeros((C,), x.dtype)
    x, rung = contiguous(x), choose("reduce", RUNGS)
    mean, variance = empty(x, (C,)), empty(x, (C,))
    if rung == "serial":
        launch("norm.cu", "batch_statistics_serial", blocks(C), (THREADS,), x, mean, variance, M, C)
        return mean, variance
    part = cut(M, C)
    means, squares = empty(x, (part.slabs, C)), empty(x, (part.slabs, C))
    width, rows, macros = part.width, part.rows, MACROS[rung]
    launch("norm.cu", "batch_statistics_slabs", part.grid, (THREADS,), x, means, squares, M, C, width, rows, **macros)
    join = means, squares, mean, variance, M, C, width, rows, part.slabs
    launch("norm.cu", "batch_statistics_join", (part.strips,), (THREADS,), *join, **macros)
    return mean, variance


def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float, *, relu: bool = False) -> Any:
    """y = γ (x - μ) / √(σ² + ε) + β with the statistics given; γ, β, μ, σ² are (C,). relu: y = max(y, 0)."""
    y = empty(x, x.shape)
    if x.size == 0:
        return y
    M, C = sides(x)
    part = cut(M, C)
    line = map(contiguous, (x, gamma, beta, mean, variance))
    launch("norm.cu", "batch_norm_forward", part.grid, (THREADS,), *line, y, epsilon, relu, M, C, part.width, part.rows)
    return y


def batch_norm_backward(
    dy: Any, x: Any, gamma: Any, mean: Any, variance: Any, epsilon: float, of_batch: bool, *, beta: Any = None
) -> tuple[Any, Any, Any]:
    """From dy: dx, dγ (C,), dβ (C,). `of_batch` says that μ and σ² were the batch's own, so dx has the paths through them.

    beta: given where a ReLU followed; then dy counts only where y = γ x̂ + β > 0.
    """
    M, C = sides(x)
    dx = empty(x, x.shape)
    if x.size == 0:
        return dx, library(x).zeros((C,), x.dtype), library(x).zeros((C,), x.dtype)
    relu, beta = beta is not None, gamma if beta is None else beta  # a kernel wants some β, also where it has no use for it
    given = tuple(map(contiguous, (dy, x, gamma, beta, mean, variance)))
    part, rung = cut(M, C), choose("reduce", RUNGS)
    if rung == "serial":
        sums = empty(x, (2 * C,))
        launch("norm.cu", "batch_norm_sums_serial", blocks(C), (THREADS,), *given, sums, epsilon, relu, M, C)
    else:
        sums = empty(x, (part.slabs, 2 * C))
        numbers = epsilon, relu, M, C, part.width, part.rows
        launch("norm.cu", "batch_norm_sums", part.grid, (THREADS,), *given, sums, *numbers, **MACROS[rung])
        if part.slabs > 1:
            sums = slab_sums(sums, cut(part.slabs, 2 * C, slabs=1), rung)
    dbeta, dgamma = sums.reshape(2, C)
    share = 1 / M if of_batch else 0
    rest = dx, epsilon, relu, share, M, C, part.width, part.rows
    launch("norm.cu", "batch_norm_backward", part.grid, (THREADS,), *given, dbeta, dgamma, *rest)
    return dx, dgamma, dbeta


def sides(x: Any) -> tuple[int, int]:
    """M and C of (..., C)."""
    C = x.shape[-1]
    return x.size // max(1, C), C
