"""Max pooling, S x S windows, stride S.

    y[n,i,j,c] = max_rs x[n, i·S + r, j·S + s, c]           the winner is r·S + s of the first largest one in row-major order

Rows and columns beyond (H // S)·S belong to no window, and dx is 0 there. A NaN in a window makes its y a NaN, so it is seen.
The kernels, and what each rung of the ladder "pool" changes (element, vector), stand in pool.cu.
"""

from typing import Any

import numpy as np

from nn.gpu.launch import THREADS, Build, aligned, blocks, contiguous, empty, launch
from nn.gpu.rungs import choose

BUILDS = [Build("pool.cu", {})]
LARGEST = 255  # window whose winner still is a 16-bit number


def maxpool2d(x: Any, size: int, *, winners: bool = True) -> tuple[Any, Any]:
    """x (N, H, W, C) -> y (N, H//S, W//S, C) and the winner of each window (same shape, unsigned integers), None where winners=False.

    Raises ValueError where the window is above 255.
    """
    if size > LARGEST:
        raise ValueError(f"max pooling on a GPU expects a window of {LARGEST} or less, got {size}")
    N, H, W, C = x.shape
    x = contiguous(x)
    y = empty(x, (N, H // size, W // size, C))
    winner = empty(x, y.shape, np.min_scalar_type(size * size)) if winners else None
    if choose("pool", able(C, size, x)) == "vector":
        launch("pool.cu", "maxpool_forward_vector", blocks(y.size // 4), (THREADS,), x, y, winner, N, H, W, C, size)
    else:
        launch("pool.cu", "maxpool_forward", blocks(y.size), (THREADS,), x, y, *narrow_or_wide(winner), N, H, W, C, size)
    return y, winner


def maxpool2d_backward(dy: Any, winner: Any, size: int, x_shape: tuple[int, ...]) -> Any:
    """dx (N, H, W, C): each dy goes to the element that won its window."""
    N, H, W, C = x_shape
    dy, winner = contiguous(dy), contiguous(winner)
    dx = empty(dy, (N, H, W, C))
    if choose("pool", able(C, size, dy, winner)) == "vector":
        launch("pool.cu", "maxpool_backward_vector", blocks(dx.size // 4), (THREADS,), dy, winner, dx, N, H, W, C, size)
    else:
        launch("pool.cu", "maxpool_backward", blocks(dx.size), (THREADS,), dy, *narrow_or_wide(winner), dx, N, H, W, C, size)
    return dx


def able(C: int, size: int, *arrays: Any) -> list[str]:
    """The rungs that can do it: `vector` takes four channels at a time, and winners of one byte."""
    return ["element", "vector"] if C % 4 == 0 and size * size < 256 and aligned(*arrays) else ["element"]


def narrow_or_wide(winner: Any) -> tuple[Any, Any]:
    """The two pointers that the kernels take for winners of one or two bytes: the one that is not used is None."""
    return (winner, None) if winner is None or winner.dtype == np.uint8 else (None, winner)
