"""Sums over all but the last side, block by block on every core: bias gradients, batch statistics.

A map (N, H, W, C) is read as N·H rows of W·C numbers: long rows keep NumPy's inner loop long where C is small.
"""

import numpy as np

from nn.cpu.threads import parallel_blocks


def as_rows(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) as (N·H, W·C), and (N, C) as it is."""
    return x.reshape(-1, x.shape[-1] if x.ndim < 3 else x.shape[-2] * x.shape[-1]) if x.size else x.reshape(0, x.shape[-1])


def sum_rows(block: np.ndarray, channels: int) -> np.ndarray:
    """(rows, W·C) -> (C,): a product with ones, which BLAS does faster than NumPy's sum."""
    return (np.ones(len(block), block.dtype) @ block).reshape(-1, channels).sum(0)


def column_sum(x: np.ndarray) -> np.ndarray:
    """Σ over all but the last side: (..., C) -> (C,)."""
    rows, C = as_rows(x), x.shape[-1]
    partial = np.zeros((len(rows) + 1, C), x.dtype)  # at most a block a row; the spare line serves an empty x

    def work(k: int, block: slice) -> None:
        partial[k] = sum_rows(rows[block], C)

    return partial[: parallel_blocks(work, *rows.shape)].sum(0)
