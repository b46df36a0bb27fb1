"""Convolution: the ladder from a plain matrix product to Winograd's, and the choice of a rung.

    y[n,i,j,o] = b[o] + Σ_rsc x[n, i·stride + r - top, j·stride + s - left, c] · w[o,r,s,c]          x is 0 outside its frame

    rung         what it changes                                              where
    loops        a line of Python for each product                            nn/reference/conv.py
    im2col       one matrix product over all unrolled windows                 nn/cpu/im2col.py
    blocked      the same in blocks that stay in the cache, on all cores      nn/cpu/im2col.py
    winograd2    4 products an output instead of 9: F(2x2, 3x3)               nn/cpu/winograd.py
    winograd4    2.25 products an output: F(4x4, 3x3)                         nn/cpu/winograd.py

What each costs and why: docs/speed.md.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from nn.cpu import im2col, winograd
from nn.cpu.frame import Padding, Pair, output_size
from nn.cpu.reduce import column_sum
from nn.cpu.threads import BLOCK

NO_PADDING = ((0, 0), (0, 0))


class Rung(NamedTuple):
    """One way to compute the three passes. Winograd's serve 3x3 filters with stride 1."""

    forward: Callable[..., np.ndarray]  # x, w, b, stride, padding, relu -> y
    data_gradient: Callable[..., np.ndarray]  # dy, w, x_shape, stride, padding -> dx
    weight_gradient: Callable[..., np.ndarray]  # dy, x, w_shape, stride, padding -> dw


RUNGS = {
    "im2col": Rung(im2col.conv2d, im2col.data_gradient, im2col.weight_gradient),
    "blocked": Rung(
        partial(im2col.conv2d, block=BLOCK), partial(im2col.turned_gradient, block=BLOCK), partial(im2col.weight_gradient, block=BLOCK)
    ),
    **{
        f"winograd{m}": Rung(partial(winograd.conv2d, m=m), partial(winograd.data_gradient, m=m), partial(winograd.weight_gradient, m=m))
        for m in (2, 4)
    },
}


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    *,
    relu: bool = False,
) -> np.ndarray:
    """x (N, H, W, C), w (O, R, S, C), b (O,) -> y (N, I, J, O), I = (H + top + bottom - R) // stride + 1, J alike; relu: y = max(y, 0)."""
    rung = best_rung("forward", w.shape, stride, output_size(x.shape, w.shape, stride, padding))
    return RUNGS[rung].forward(x, w, b, stride, padding, relu)


def conv2d_backward(
    dy: np.ndarray, x: np.ndarray, w: np.ndarray, stride: Pair = (1, 1), padding: Padding = NO_PADDING, *, bias: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """From dy (N, I, J, O): dx (N, H, W, C), dw (O, R, S, C), db (O,), which is None where bias=False."""
    data, weight = best_rung("data", w.shape, stride, x.shape[1:3]), best_rung("weight", w.shape, stride, dy.shape[1:3])
    dx = RUNGS[data].data_gradient(dy, w, x.shape, stride, padding)
    dw = RUNGS[weight].weight_gradient(dy, x, w.shape, stride, padding)
    return dx, dw, column_sum(dy) if bias else None


def best_rung(which: str, w_shape: tuple[int, ...], stride: Pair, size: Pair) -> str:
    """The rung for a pass ("forward", "data", "weight") whose result has `size` rows and columns ("weight": whose dy has).

    Measured at batch 16 (docs/speed.md): Winograd's transforms cost a fixed time a channel and its products a time that grows
    with the other side's channels, so it pays from 32 channels on, for dw from 64. Among the tiles the one with the fewest
    products wins, the more exact 2 x 2 where they tie. An input of few channels, an image, has few numbers to hand back to.
    """
    O, R, S, C = w_shape
    if which == "data" and C <= 4:
        return "im2col"
    if (R, S) != (3, 3) or stride != (1, 1) or min(C, O) < (64 if which == "weight" else 32):
        return "blocked"
    products = {m: math.prod(-(-side // m) for side in size) * (m + 2) ** 2 for m in (2, 4)}
    return "winograd4" if products[4] < products[2] else "winograd2"
