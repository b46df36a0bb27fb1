"""Matrix product on the GPU, by kernels of our own: c_mn = Σ_k a_mk b_kn + bias_n. The ladder stands in gemm.cu."""

from typing import Any

from nn.gpu import rungs
from nn.gpu.launch import THREADS, Build, blocks, contiguous, empty, launch

LAYOUTS = [(0, 0), (0, 1), (1, 0)]  # which factor lies transposed: (TA, TB)
BUILDS = [Build("gemm.cu", {"TA": ta, "TB": tb}) for ta, tb in LAYOUTS]

TILE = 16
ROWS, COLUMNS, BLOCK = 64, 128, 128  # of the rung "block": the tile of c that a block of threads makes, and its threads
ENOUGH = 264  # blocks: two for each multiprocessor of a large card (132). A number of the library, never of the card: bits stay the same
LEAST = 256  # terms of the sum that are worth a plane of partial sums


def gemm(a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False, bias: Any = None) -> Any:
    """a (M, K), b (K, N), bias (N,) or None -> c (M, N); transpose_a: a is given as (K, M); transpose_b: b as (N, K).

    At most one factor lies transposed. With K = 0 the sums are empty: zeros, or the bias.
    """
    M, K = a.shape[::-1] if transpose_a else a.shape
    terms, N = b.shape[::-1] if transpose_b else b.shape
    if K != terms or (transpose_a and transpose_b):
        raise ValueError(f"gemm cannot multiply {a.shape} (transposed: {transpose_a}) and {b.shape} (transposed: {transpose_b})")
    a, b, bias = contiguous(a), contiguous(b), contiguous(bias)
    layout = {"TA": int(transpose_a), "TB": int(transpose_b)}
    rung = rungs.choose("gemm", list(rungs.LADDERS["gemm"]))
    if rung == "block":
        tiles = -(-M // ROWS) * -(-N // COLUMNS)
        planes, share = split(K, tiles, step=8)
        parts = empty(a, (planes, M, N))
        launch("gemm.cu", "gemm_block", (tiles, planes), (BLOCK,), a, b, bias if planes == 1 else None, parts, M, N, K, share, **layout)
        return parts[0] if planes == 1 else add_planes(parts, bias)
    c = empty(a, (M, N))
    if rung == "tile":
        launch("gemm.cu", "gemm_tile", (-(-M // TILE) * -(-N // TILE),), (TILE * TILE,), a, b, bias, c, M, N, K, **layout)
    else:
        launch("gemm.cu", "gemm_naive", blocks(M * N), (THREADS,), a, b, bias, c, M, N, K, **layout)
    return c


def split(terms: int, tiles: int, step: int) -> tuple[int, int]:
    """How a sum of so many terms is shared out where the result has few tiles: (planes of partial sums, terms of each).

    Planes until ENOUGH blocks work, but none of fewer than LEAST terms; a share is a multiple of `step`. No plane is empty.
    """
    planes = max(1, min(-(-ENOUGH // max(tiles, 1)), terms // LEAST))
    share = -(-terms // planes // step) * step
    return max(1, -(-terms // max(share, 1))), share


def add_planes(parts: Any, bias: Any = None) -> Any:
    """c = Σ_p parts_p + bias: parts (P, ..., N), bias (N,) or None -> c (..., N), added in a fixed order."""
    c = empty(parts, parts.shape[1:])
    launch("gemm.cu", "add_planes", blocks(c.size, 32), (256,), parts, bias, c, len(parts), c.size, c.shape[-1], TA=0, TB=0)
    return c
