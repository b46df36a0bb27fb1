"""Max pooling, S x S windows, stride S, window by window.

    y[n,i,j,c] = max_rs x[n, i·S + r, j·S + s, c]           the winner is r·S + s of the first largest one in row-major order

∂y/∂x is 1 for the winner and 0 for all others, so backward sends dy there and nowhere else.
"""

import numpy as np

from nn.reference.precision import in_float64


@in_float64
def maxpool2d(x: np.ndarray, size: int, *, winners: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """x (N, H, W, C) -> y (N, H//S, W//S, C) and the winner of each window (same shape), None where winners=False."""
    N, H, W, C = x.shape
    y = np.zeros((N, H // size, W // size, C))
    winner = np.zeros(y.shape, int)
    for n, i, j, c in np.ndindex(y.shape):
        window = x[n, i * size : (i + 1) * size, j * size : (j + 1) * size, c]  # (S, S)
        y[n, i, j, c] = window.max()
        winner[n, i, j, c] = window.argmax()  # of equals the first
    return y, winner if winners else None


@in_float64
def maxpool2d_backward(dy: np.ndarray, winner: np.ndarray, size: int, x_shape: tuple[int, ...]) -> np.ndarray:
    """dx (N, H, W, C): each dy goes to the element that won its window."""
    dx = np.zeros(x_shape)
    for n, i, j, c in np.ndindex(dy.shape):
        r, s = divmod(int(winner[n, i, j, c]), size)
        dx[n, i * size + r, j * size + s, c] += dy[n, i, j, c]
    return dx
