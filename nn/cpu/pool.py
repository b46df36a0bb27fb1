"""Max pooling, S x S windows, stride S.

    y[n,i,j,c] = max_rs x[n, i·S + r, j·S + s, c]           the winner is r·S + s of the first largest one in row-major order

Rows and columns beyond (H // S)·S belong to no window, and dx is 0 there. A NaN in a window makes its y a NaN, so it is seen.
"""

import numpy as np

from nn.cpu.frame import Area, areas
from nn.cpu.memory import empty, zeros
from nn.cpu.threads import BLOCK, SMALL, parallel, shares


def maxpool2d(x: np.ndarray, size: int, *, winners: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """x (N, H, W, C) -> y (N, H//S, W//S, C) and the winner of each window (same shape, unsigned integers), None where winners=False.

    The winner is counted: one for each place of the window, from the first on, until the maximum has been met.
    """
    N, H, W, C = x.shape
    I, J = H // size, W // size
    y = empty((N, I, J, C), x.dtype)
    winner = empty((N, I, J, C), np.min_scalar_type(size * size)) if winners else None
    cut = areas(N, I, size * size * J * C, BLOCK, shares(x.size, SMALL))

    def work(k: int) -> None:
        best = y[cut[k]]
        first, *others = places(x, cut[k], size, J)
        best[...] = first
        for place in others:
            np.maximum(best, place, out=best)
        if winner is None:
            return
        count = winner[cut[k]]
        count[...] = 0
        unmet, other = np.ones(best.shape, bool), empty(best.shape, bool)
        for place in (first, *others[:-1]):
            unmet &= np.not_equal(place, best, out=other)
            count += unmet

    parallel(work, len(cut))
    return y, winner


def maxpool2d_backward(dy: np.ndarray, winner: np.ndarray, size: int, x_shape: tuple[int, ...]) -> np.ndarray:
    """dx (N, H, W, C): each dy goes to the element that won its window."""
    N, I, J, C = dy.shape
    covered = (I * size, J * size) == tuple(x_shape[1:3])
    dx = (empty if covered else zeros)(x_shape, dy.dtype)
    cut = areas(N, I, size * size * J * C, BLOCK, shares(dx.size, SMALL))

    def work(k: int) -> None:
        won = empty(winner[cut[k]].shape, bool)
        for number, place in enumerate(places(dx, cut[k], size, J)):
            np.equal(winner[cut[k]], number, out=won)
            np.multiply(dy[cut[k]], won, out=place)

    parallel(work, len(cut))
    return dx


def places(x: np.ndarray, area: Area, size: int, across: int) -> list[np.ndarray]:
    """For each of a window's S·S places what stands there in all windows of an area: views (n, i, J, C)."""
    images, rows = area
    whole = x[images, rows.start * size : rows.stop * size, : across * size]
    return [whole[:, r::size, s::size] for r in range(size) for s in range(size)]
