"""Convolution as matrix products over blocks that fit the cache (im2col, NHWC).

    y[n,i,j,o] = b[o] + Σ_rsc x[n, i·stride + r - top, j·stride + s - left, c] · w[o,r,s,c]          x is 0 outside its frame

A block of output rows is unrolled: each output pixel's window becomes a row of R·S·C numbers, and one product with
w as a (R·S·C, O) matrix gives all its output channels. In NHWC the S·C numbers of a window's row lie side by side, so
unrolling copies long runs. The whole unrolled image would be R·S times the image: a block of it never leaves the cache.

    dw[o,r,s,c] = Σ_nij dy[n,i,j,o] · x[n, i·stride + r - top, ...]      the same unrolled rows, from the other side
    dx = dy, spread out by the stride, convolved with the filters turned by 180° and with C and O exchanged
    db[o] = Σ_nij dy[n,i,j,o]
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nn.cpu.reduce import column_sum
from nn.cpu.threads import blocks, parallel

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))

GROUPS = 4  # dw is summed over this many groups of images, then over the groups: a fixed number, so that the sum has one order


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, stride: Pair = (1, 1), padding: Padding = ((0, 0), (0, 0))
) -> np.ndarray:
    """x (N, H, W, C), w (O, R, S, C), b (O,) -> y (N, I, J, O), I = (H + top + bottom - R) // stride + 1, J alike."""
    N, O = len(x), len(w)
    I, J = output_size(x.shape, w.shape, stride, padding)
    y = np.empty((N, I, J, O), x.dtype)
    filters = w.reshape(O, -1).T  # (R·S·C, O)
    cuts = blocks(I, J * w[0].size)

    def image(n: int) -> None:
        seen = windows(x[n], (I, J), w.shape, stride, padding)
        for rows in cuts:
            product = y[n, rows].reshape(-1, O)  # a view
            np.matmul(seen[rows].reshape(-1, len(filters)), filters, out=product)
            if b is not None:
                product += b

    parallel(image, N)
    return y


def conv2d_backward(
    dy: np.ndarray, x: np.ndarray, w: np.ndarray, stride: Pair = (1, 1), padding: Padding = ((0, 0), (0, 0))
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From dy (N, I, J, O): dx (N, H, W, C), dw (O, R, S, C), db (O,)."""
    return data_gradient(dy, w, x.shape, stride, padding), weight_gradient(dy, x, w.shape, stride, padding), column_sum(dy)


def weight_gradient(dy: np.ndarray, x: np.ndarray, filter_shape: tuple[int, ...], stride: Pair, padding: Padding) -> np.ndarray:
    """dw (O, R, S, C): for each block, dyᵀ (O, pixels) times the unrolled windows (pixels, R·S·C)."""
    N, I, J, O = dy.shape
    partial = np.zeros((GROUPS, O, math.prod(filter_shape[1:])), dy.dtype)
    cuts = blocks(I, J * partial[0, 0].size)

    def group(g: int) -> None:
        for n in range(N * g // GROUPS, N * (g + 1) // GROUPS):
            seen = windows(x[n], (I, J), filter_shape, stride, padding)
            for rows in cuts:
                partial[g] += dy[n, rows].reshape(-1, O).T @ seen[rows].reshape(-1, partial.shape[2])

    parallel(group, GROUPS)
    return partial.sum(0).reshape(filter_shape)


def data_gradient(dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Padding) -> np.ndarray:
    """dx (N, H, W, C): the convolution of the spread-out dy with the turned filters, back to the size of x."""
    N, I, J, O = dy.shape
    if not dy.size:
        return np.zeros(x_shape, dy.dtype)
    if stride != (1, 1):
        spread = np.zeros((N, (I - 1) * stride[0] + 1, (J - 1) * stride[1] + 1, O), dy.dtype)
        spread[:, :: stride[0], :: stride[1]] = dy
        dy = spread
    turned = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)  # (C, R, S, O)
    before = [w.shape[1 + k] - 1 - padding[k][0] for k in (0, 1)]
    after = [x_shape[1 + k] + w.shape[1 + k] - 1 - dy.shape[1 + k] - before[k] for k in (0, 1)]
    return conv2d(dy, np.ascontiguousarray(turned), None, (1, 1), ((before[0], after[0]), (before[1], after[1])))


def output_size(x_shape: tuple[int, ...], filter_shape: tuple[int, ...], stride: Pair, padding: Padding) -> Pair:
    """Rows and columns of y."""
    I, J = ((x_shape[1 + k] + sum(padding[k]) - filter_shape[1 + k]) // stride[k] + 1 for k in (0, 1))
    return I, J


def windows(image: np.ndarray, size: Pair, filter_shape: tuple[int, ...], stride: Pair, padding: Padding) -> np.ndarray:
    """The window that each output pixel sees, of one image (H, W, C): a view (I, J, R, S·C) on a copy with its zeros around.

    Nothing is unrolled yet: `windows(...)[rows].reshape(-1, R·S·C)` copies the windows of those output rows.
    """
    C, (I, J), (_, R, S, _) = image.shape[-1], size, filter_shape
    reach = (I - 1) * stride[0] + R, (J - 1) * stride[1] + S  # what the windows cover
    top, left = (padding[k][0] for k in (0, 1))
    framed = np.zeros((*reach, C), image.dtype)
    inside = image[max(-top, 0) : max(reach[0] - top, 0), max(-left, 0) : max(reach[1] - left, 0)]  # padding below 0 cuts off
    down, right = max(top, 0), max(left, 0)
    framed[down : down + len(inside), right : right + inside.shape[1]] = inside
    row, pixel, number = framed.strides
    return as_strided(framed, (I, J, R, S * C), (row * stride[0], pixel * stride[1], row, number))
