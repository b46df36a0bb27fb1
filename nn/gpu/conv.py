"""Convolution on the GPU, and its gradient by x; the ladder of kernels stands in conv_direct.cu, the gradient by w in conv_weights.py.

y[n,i,j,o] = b[o] + Σ_rsc x[n, i·stride + r - top, j·stride + s - left, c] · w[o,r,s,c]          x is 0 outside its frame
"""

from typing import Any

import numpy as np

from nn.gpu import rungs
from nn.gpu.conv_weights import weight_gradient
from nn.gpu.launch import THREADS, Build, aligned, blocks, capability, contiguous, empty, launch, library
from nn.gpu.reduce import sum_rows

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))
NO_PADDING = ((0, 0), (0, 0))
SAME = ((1, 1), (1, 1))  # of a 3 x 3 filter

FILTERS = 64  # channels of y that a block of the rungs tile and igemm makes
PIXELS = 128  # of y, that a block of igemm, tf32 and tf32x3 makes
SIDE, SLICE, PITCH = 8, 4, 72  # of the rung tile: pixels of a side, channels at a time, floats from one channel of the filters to the next
SHARED = 48 << 10  # bytes that a block gets on every card
WIDTHS = (64, 128)  # channels of y that a block of the rungs tf32 and tf32x3 makes

BUILDS = [
    Build("conv_direct.cu", {}),
    Build("conv_tile.cu", {}),
    Build("conv_igemm.cu", {}),
    *(Build("conv_tensor.cu", {"FILTERS": width, "TERMS": terms}, since=80) for width in WIDTHS for terms in (1, 3)),
]


def conv2d(x: Any, w: Any, b: Any = None, stride: Pair = (1, 1), padding: Padding = NO_PADDING, *, relu: bool = False) -> Any:
    """x (N, H, W, C), w (O, R, S, C), b (O,) -> y (N, I, J, O), I = (H + top + bottom - R) // stride + 1, J alike; relu: y = max(y, 0)."""
    x, w, b = contiguous(x), contiguous(w), contiguous(b)
    (N, H, W, C), (O, R, S, _) = x.shape, w.shape
    I, J = ((side + sum(pads) - taps) // step + 1 for side, pads, taps, step in zip((H, W), padding, (R, S), stride, strict=True))
    y = empty(x, (N, I, J, O))
    rung = rungs.choose("conv", able(x, w, stride, padding))
    if rung in ("direct", "tile"):
        shape = (N, H, W, C, O, R, S, I, J, *stride, padding[0][0], padding[1][0])
        if rung == "direct":
            launch("conv_direct.cu", "conv_direct", blocks(y.size), (THREADS,), x, w, b, y, *shape, relu)
        else:
            grid = (N * -(-I // SIDE) * -(-J // SIDE), -(-O // FILTERS))
            launch("conv_tile.cu", "conv_tile", grid, (THREADS,), x, w, b, y, *shape, relu, shared=staged(w, stride, x.dtype))
        return y
    tiles = -(-N * H * W // PIXELS)
    if rung == "igemm":
        launch("conv_igemm.cu", "conv_igemm", (tiles, -(-O // FILTERS)), (128,), x, w, b, y, N, H, W, C, O, relu)
    else:
        width = WIDTHS[O > WIDTHS[0]]
        macros = {"FILTERS": width, "TERMS": 3 if rung == "tf32x3" else 1}
        shared = 3 * (PIXELS + width) * 32 * 4  # three buffers of 32 channels
        launch(
            "conv_tensor.cu", "conv_tensor", (tiles, -(-O // width)), (2 * width,), x, w, b, y, N, H, W, C, O, relu, shared=shared, **macros
        )
    return y


def conv2d_backward(
    dy: Any, x: Any, w: Any, stride: Pair = (1, 1), padding: Padding = NO_PADDING, *, bias: bool = True
) -> tuple[Any, Any, Any]:
    """From dy (N, I, J, O): dx (N, H, W, C), dw (O, R, S, C), db (O,), which is None where bias=False."""
    dy = contiguous(dy)
    dx = data_gradient(dy, w, x.shape, stride, padding)
    dw = weight_gradient(dy, x, w.shape, stride, padding)
    return dx, dw, sum_rows(dy.reshape(-1, dy.shape[-1])) if bias else None


def data_gradient(dy: Any, w: Any, x_shape: tuple[int, ...], stride: Pair, padding: Padding) -> Any:
    """dx (N, H, W, C): dx[n,h,v,c] = Σ_rso dy[n,i,j,o] · w[o,r,s,c] over i·stride + r - top = h, j·stride + s - left = v.

    At stride 1 a convolution of dy with the filters turned by 180°, O and C exchanged. Else, and on the rung direct, it is gathered.
    """
    (N, I, J, O), (_, R, S, C), (_, H, W, _) = dy.shape, w.shape, x_shape
    dy, w = contiguous(dy), contiguous(w)
    before = (R - 1 - padding[0][0], S - 1 - padding[1][0])
    turned_padding = ((before[0], H + R - 1 - I - before[0]), (before[1], W + S - 1 - J - before[1]))
    turned = empty(w, (C, R, S, O))
    if stride != (1, 1) or rungs.choose("conv", able(dy, turned, stride, turned_padding)) == "direct":
        dx = empty(dy, tuple(x_shape))
        shape = (N, H, W, C, O, R, S, I, J, *stride, padding[0][0], padding[1][0])
        launch("conv_direct.cu", "conv_gather", blocks(dx.size), (THREADS,), dy, w, dx, *shape)
        return dx
    launch("conv_direct.cu", "turn_filters", blocks(turned.size), (THREADS,), w, turned, O, R, S, C)
    return conv2d(dy, turned, None, stride, turned_padding)


def able(x: Any, w: Any, stride: Pair, padding: Padding) -> list[str]:
    """The rungs that can convolve x with w, the (predicted) slowest first."""
    C, taps = w.shape[3], w.shape[1:3]
    rungs_able = ["direct"]
    if staged(w, stride, x.dtype) <= SHARED:
        rungs_able.append("tile")
    if taps == (3, 3) and stride == (1, 1) and padding == SAME and C > 0 and C % 4 == 0 and aligned(x) and aligned(w):
        rungs_able.append("igemm")
        if x.dtype == np.float32 and capability(library(x)) >= 80:
            tensor = ["tf32", "tf32x3"]  # the exact one last: tf32 is taken where it is preferred
            # A step of theirs takes 32 channels, of igemm 16: with no more than these, half of their three products are zeros.
            rungs_able[-1:] = ["igemm", *tensor] if C > 16 else [*tensor, "igemm"]
    return rungs_able


def staged(w: Any, stride: Pair, dtype: np.dtype) -> int:
    """Bytes of shared memory that the rung tile needs: a patch of x and a slab of filters, of 4 channels each."""
    _, R, S, _ = w.shape
    patch = ((SIDE - 1) * stride[0] + R) * ((SIDE - 1) * stride[1] + S) * SLICE
    return (patch + R * S * SLICE * PITCH) * dtype.itemsize
