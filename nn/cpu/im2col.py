"""Convolution as matrix products: each output pixel's window is unrolled into a row of R·S·C numbers.

    y = X w + b                   X (pixels, R·S·C) the unrolled input, w as (R·S·C, O), y (pixels, O)
    dw = dyᵀ X                    dX = dy wᵀ, and dx adds up what the windows that saw a number hand back to it

At most `block` floats of X are made at a time. With no limit (None) X is R·S times the input: it goes out to memory and comes back.
In blocks that fit the cache it never leaves it, and each core takes the next block. In NHWC the S·C numbers of a window's row lie side
by side, so unrolling copies long runs.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.cpu.frame import Area, Padding, Pair, areas, frame, output_size
from nn.cpu.memory import empty, zeros
from nn.cpu.threads import PIECE, parallel, shares

GROUPS = 4  # dw is summed over this many groups of areas, then over the groups: a fixed number, so that the sum has one order


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, relu: bool, block: int | None = None
) -> np.ndarray:
    """x (N, H, W, C), w (O, R, S, C), b (O,) -> y (N, I, J, O)."""
    N, O = len(x), len(w)
    I, J = output_size(x.shape, w.shape, stride, padding)
    y = empty((N, I, J, O), x.dtype)
    filters = w.reshape(O, -1).T  # (R·S·C, O)
    cut = areas(N, I, J * len(filters), block, shares(y.size * len(filters), PIECE))

    def work(k: int) -> None:
        product = y[cut[k]].reshape(-1, O)  # a view
        np.matmul(unrolled(x, cut[k], J, w.shape, stride, padding), filters, out=product)
        if b is not None:
            product += b
        if relu:
            np.maximum(product, 0, out=product)

    parallel(work, len(cut))
    return y


def weight_gradient(
    dy: np.ndarray, x: np.ndarray, w_shape: tuple[int, ...], stride: Pair, padding: Padding, block: int | None = None
) -> np.ndarray:
    """dw (O, R, S, C): for each block, dyᵀ (O, pixels) times the unrolled windows (pixels, R·S·C)."""
    N, I, J, O = dy.shape
    partial = zeros((GROUPS, O, math.prod(w_shape[1:])), dy.dtype)
    cut = areas(N, I, J * partial.shape[2], block)

    def group(g: int) -> None:
        product = empty(partial.shape[1:], dy.dtype)
        for area in cut[len(cut) * g // GROUPS : len(cut) * (g + 1) // GROUPS]:
            partial[g] += np.matmul(dy[area].reshape(-1, O).T, unrolled(x, area, J, w_shape, stride, padding), out=product)

    parallel(group, GROUPS)
    return partial.sum(0).reshape(w_shape)


def data_gradient(dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Padding) -> np.ndarray:
    """dx (N, H, W, C), an image at a time: dX = dy wᵀ, and each of a window's R·S places goes back to where it came from."""
    (N, I, J, O), (_, R, S, C), (_, H, W, _) = dy.shape, w.shape, x_shape
    dx = empty(x_shape, dy.dtype)
    reach = (I - 1) * stride[0] + R, (J - 1) * stride[1] + S  # what the windows cover

    def image(n: int) -> None:
        back = np.matmul(dy[n].reshape(-1, O), w.reshape(O, -1), out=empty((I * J, R * S * C), dy.dtype)).reshape(I, J, R, S, C)
        seen = zeros((1, *reach, C), dy.dtype)
        for r in range(R):
            for s in range(S):
                seen[0, r : r + I * stride[0] : stride[0], s : s + J * stride[1] : stride[1]] += back[:, :, r, s]
        dx[n] = frame(seen, (padding[0][0], padding[1][0]), (H, W))[0]

    parallel(image, N)
    return dx


def turned_gradient(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Padding, block: int | None
) -> np.ndarray:
    """dx (N, H, W, C) as a convolution: dy spread out by the stride, filters turned by 180°, C and O exchanged."""
    N, I, J, O = dy.shape
    if stride != (1, 1):
        spread = zeros((N, max(0, (I - 1) * stride[0] + 1), max(0, (J - 1) * stride[1] + 1), O), dy.dtype)
        spread[:, :: stride[0], :: stride[1]] = dy
        dy = spread
    turned = np.ascontiguousarray(w[:, ::-1, ::-1].transpose(3, 1, 2, 0))  # (C, R, S, O)
    before = [w.shape[1 + k] - 1 - padding[k][0] for k in (0, 1)]
    after = [x_shape[1 + k] + w.shape[1 + k] - 1 - dy.shape[1 + k] - before[k] for k in (0, 1)]
    return conv2d(dy, turned, None, (1, 1), ((before[0], after[0]), (before[1], after[1])), False, block)


def unrolled(x: np.ndarray, area: Area, across: int, w_shape: tuple[int, ...], stride: Pair, padding: Padding) -> np.ndarray:
    """The windows that an area's output pixels see, `across` in a row, a row each: (pixels, R·S·C).

    With one channel the long runs are those of neighbouring pixels, not of a window's row: X is copied transposed, and handed out so.
    """
    (images, rows), (_, R, S, C) = area, w_shape
    n, i = images.stop - images.start, rows.stop - rows.start
    first = rows.start * stride[0] - padding[0][0], -padding[1][0]
    framed = frame(x[images], first, ((i - 1) * stride[0] + R, (across - 1) * stride[1] + S))
    image, row, pixel, number = framed.strides
    windows = as_strided(framed, (n, i, across, R, S, C), (image, row * stride[0], pixel * stride[1], row, pixel, number))
    if C == 1:
        windows = windows.transpose(3, 4, 5, 0, 1, 2)
    X = empty(windows.shape, x.dtype)
    X[...] = windows
    return X.reshape(R * S, -1).T if C == 1 else X.reshape(-1, R * S * C)
