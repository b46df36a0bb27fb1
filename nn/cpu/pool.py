"""Max pooling, S x S windows, stride S.

    y[n,i,j,c] = max_rs x[n, i·S + r, j·S + s, c]           the winner is r·S + s of the first largest one in row-major order

Rows and columns beyond (H // S)·S belong to no window, and dx is 0 there. A NaN in a window makes its y a NaN, so it is seen.
"""

import numpy as np

from nn.cpu.threads import parallel


def maxpool2d(x: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """x (N, H, W, C) -> y (N, H//S, W//S, C) and the winner of each window (same shape, unsigned integers).

    The best of each window's row first, then the best of those: of equals the first in row-major order. Strided values
    are first copied side by side, since NumPy is fast on long contiguous runs only.
    """
    N, H, W, C = x.shape
    I, J = H // size, W // size
    y = np.empty((N, I, J, C), x.dtype)
    winner = np.empty((N, I, J, C), np.min_scalar_type(size * size))

    def image(n: int) -> None:
        whole = x[n, : I * size, : J * size]
        best, column = first_largest([np.ascontiguousarray(whole[:, s::size]) for s in range(size)])  # (I·S, J, C)
        y[n], row = first_largest([best[r::size] for r in range(size)])  # (I, J, C)
        winner[n] = sum((row == r) * (column[r::size] + column.dtype.type(r * size)) for r in range(size))

    parallel(image, N)
    return y, winner


def maxpool2d_backward(dy: np.ndarray, winner: np.ndarray, size: int, x_shape: tuple[int, ...]) -> np.ndarray:
    """dx (N, H, W, C): each dy goes to the element that won its window."""
    I, J = dy.shape[1:3]
    covered = (I * size, J * size) == tuple(x_shape[1:3])
    dx = (np.empty if covered else np.zeros)(x_shape, dy.dtype)

    def image(n: int) -> None:
        for k in range(size * size):
            r, s = divmod(k, size)
            np.multiply(dy[n], winner[n] == k, out=dx[n, r : I * size : size, s : J * size : size])

    parallel(image, len(dy))
    return dx


def first_largest(values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The largest of several arrays, element by element, and the number of the first array that has it."""
    best = values[0]
    number = np.zeros(best.shape, np.min_scalar_type(len(values) ** 2))
    for k, value in enumerate(values[1:], 1):
        larger = np.maximum(best, value)
        np.maximum(number, (larger != best) * number.dtype.type(k), out=number)  # far faster than a masked assignment
        best = larger
    return best, number
