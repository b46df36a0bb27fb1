"""Weight gradient of a convolution on the GPU: dw[o,r,s,c] = Σ_nij dy[n,i,j,o] x[n, i·stride + r - top, j·stride + s - left, c].

The ladder stands in conv_weights.cu and conv_weights_mma.cu. Its rungs have the names of the forward pass, so one preference serves both.
"""

import math
from typing import Any

import numpy as np

from nn.gpu import rungs
from nn.gpu.gemm import add_planes, split
from nn.gpu.launch import THREADS, Build, aligned, blocks, capability, contiguous, empty, launch, library

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))

SCALAR = {"V": 1}  # numbers loaded at once
VECTOR = {"V": 4}
TENSOR = {"tf32": {"X3": 0}, "tf32x3": {"X3": 1}}
BUILDS = [
    *(Build("conv_weights.cu", macros) for macros in (SCALAR, VECTOR)),
    *(Build("conv_weights_mma.cu", macros, since=80) for macros in TENSOR.values()),
]

TILE = 16  # of the rung "tile"
ROWS, COLUMNS, BLOCK = 64, 128, 128  # of the faster ones: the tile of dw that a block of threads makes, and its threads
TAPS = 32  # bits of a mask: r·S + s must be less
SHARED = 2 * 32 * (ROWS + 8 + COLUMNS + 8)  # floats of shared memory on tensor cores: two steps of 32 pixels


def weight_gradient(dy: Any, x: Any, w_shape: tuple[int, ...], stride: Pair = (1, 1), padding: Padding = ((0, 0), (0, 0))) -> Any:
    """dy (N, I, J, O), x (N, H, W, C) -> dw (O, R, S, C) = w_shape; x counts as 0 outside its frame. No pixels: zeros."""
    N, I, J, O = dy.shape
    _, H, W, C = x.shape
    _, R, S, _ = w_shape
    dy, x = contiguous(dy), contiguous(x)
    geometry = (N, H, W, C, I, J, O, R, S, *stride, padding[0][0], padding[1][0])
    pixels, columns = N * I * J, R * S * C
    vector = C % 4 == 0 and O % 4 == 0 and aligned(dy, x)  # four channels in one load
    rung = rungs.choose("conv", able(x, w_shape, vector))
    if rung == "direct":
        dw = empty(x, w_shape)
        launch("conv_weights.cu", "weights_direct", blocks(dw.size), (THREADS,), dy, x, dw, *geometry, **SCALAR)
        return dw
    rows_each, columns_each = (TILE, TILE) if rung == "tile" else (ROWS, COLUMNS)
    tiles = (-(-columns // columns_each), -(-O // rows_each))
    planes, share = split(pixels, math.prod(tiles), step=32)
    parts = empty(x, (planes, *w_shape))
    arguments = (dy, x, parts, *geometry, share)
    if rung == "tile":
        launch("conv_weights.cu", "weights_tile", (*tiles, planes), (TILE * TILE,), *arguments, **SCALAR)
    elif rung == "igemm":
        launch("conv_weights.cu", "weights_igemm", (*tiles, planes), (BLOCK,), *arguments, **(VECTOR if vector else SCALAR))
    else:
        shared = SHARED * x.dtype.itemsize
        launch("conv_weights_mma.cu", "weights_mma", (*tiles, planes), (BLOCK,), *arguments, shared=shared, **TENSOR[rung])
    return parts[0] if planes == 1 else add_planes(parts)


def able(x: Any, w_shape: tuple[int, ...], vector: bool) -> list[str]:
    """The rungs that can do it, the fastest last. "tf32" rounds its factors, so it is offered only to those who ask for it."""
    _, R, S, _ = w_shape
    can = ["direct", "tile"]
    if R * S <= TAPS:
        can.append("igemm")
        if vector and x.dtype == np.float32 and capability(library(x)) >= 80:
            can += ["tf32", "tf32x3"] if rungs.PREFERRED.get("conv") == "tf32" else ["tf32x3"]
    return can
