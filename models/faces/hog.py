"""Histograms of oriented gradients (Dalal and Triggs 2005): what section 2 of the paper tried before its network.

    gradient   g = (I(x+1, y) - I(x-1, y), I(x, y+1) - I(x, y-1)), 0 along an axis at its two ends         |g| (N, H, W)
    vote       t = bins θ/π - 1/2 with θ the angle of g: |g| (1 - t + ⌊t⌋) for bin ⌊t⌋, |g| (t - ⌊t⌋) for the next, modulo bins:
               opposite gradients vote alike
    block      of B = block · cell pixels a side; its cell (a, b) holds the votes of its pixel (i, j) by u_a(i) u_b(j),
               u_a(i) = exp(-(i - B/2)² / 2σ²) max(0, 1 - |(i + 1/2)/cell - 1/2 - a|),  σ = B/4, i = 0 .. B - 1
    L2-Hys     v <- v / (‖v‖ + D/10);  v <- min(v, 0.2);  v <- v / (‖v‖ + 1/1000),  D = block² bins

The constants, and a Gaussian that leans by half a pixel, are those of OpenCV's HOGDescriptor without gamma correction, with unsigned
gradients and its default winSigma. Features differ from its by up to 2e-3 of the largest, 2e-4 of the mean, all from the polynomial it
has for the arc tangent (0.01° off): with that angle put in, the difference is below 1e-6. It lists blocks and cells column by column,
we row by row.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

CLIP = 0.2


def hog(images: np.ndarray, cell: int = 8, bins: int = 9, block: int = 2, stride: int | None = None) -> np.ndarray:
    """Block features of whole images: gray levels (N, H, W) -> float32 (N, rows, columns, block² bins).

    A block begins every `stride` pixels (a cell, unless given): rows = (H - block cell) // stride + 1; pixels beyond the last block
    are left out. Within a block the order is (cell row, cell column, bin). Images that are one window give its descriptor; windows in
    a frame are slices, since a block's features know nothing of the window around it (`windows`, `slide`).
    Raises ValueError on other shapes, fewer than 2 bins, and images smaller than a block.
    """
    side, stride = block * cell, stride or cell
    if images.ndim != 3 or min(images.shape[1:]) < side or bins < 2:
        raise ValueError(f"hog expects images (N, H, W) of at least {side} x {side} pixels and 2 bins or more, got {images.shape}, {bins}")
    pixel = np.arange(side)
    tents = np.maximum(0, 1 - np.abs((pixel + 0.5) / cell - 0.5 - np.arange(block)[:, None]))
    share = (np.exp(-((pixel - side / 2) ** 2) / (2 * (side / 4) ** 2)) * tents).astype(np.float32)  # (block, B)

    votes = _votes(images.astype(np.float32), bins)  # (N, H, W, bins)
    down = _gather(votes, share, stride)  # (N, rows, block, W, bins)
    across = _gather(np.moveaxis(down, 3, 1), share, stride)  # (N, columns, block, rows, block, bins)
    features = across.transpose(0, 3, 1, 4, 2, 5).reshape(len(images), down.shape[1], across.shape[1], block * block * bins)
    features /= _norm(features) + features.shape[-1] * np.float32(0.1)
    np.minimum(features, CLIP, out=features)
    features /= _norm(features) + np.float32(1e-3)
    return features


def windows(features: np.ndarray, blocks: int, step: int = 1) -> np.ndarray:
    """Every square window of a frame as a view, nothing copied: (N, rows, columns, D) -> (N, rows', columns', blocks, blocks, D).

    A window takes every `step`-th block: cell / stride of them, where the blocks of `hog` lie closer than a cell.
    """
    reach = (blocks - 1) * step + 1
    view = sliding_window_view(features, (reach, reach), axis=(1, 2))[..., ::step, ::step]
    return np.moveaxis(view, 3, -1)


def slide(features: np.ndarray, weight: np.ndarray, step: int = 1) -> np.ndarray:
    """Scores of every window by P linear classifiers: (N, rows, columns, D), (P, blocks, blocks, D) -> (N, rows', columns', P).

    The same numbers as those of `windows` times the weights; each block meets each place in the window once, in one matrix product.
    """
    (n, height, width, depth), (parts, blocks) = features.shape, weight.shape[:2]
    rows, columns = (length - (blocks - 1) * step for length in (height, width))
    each = weight.transpose(1, 2, 0, 3).reshape(-1, depth) @ features.reshape(n, -1, depth).swapaxes(1, 2)
    each = each.reshape(n, blocks, blocks, parts, height, width)
    scores = np.zeros((n, parts, rows, columns), features.dtype)
    for a in range(blocks):
        for b in range(blocks):
            scores += each[:, a, b, :, a * step : a * step + rows, b * step : b * step + columns]
    return np.moveaxis(scores, 1, -1)


def _votes(images: np.ndarray, bins: int) -> np.ndarray:
    """What each pixel says: (N, H, W) -> (N, H, W, bins), two bins not 0."""
    dx, dy = np.zeros_like(images), np.zeros_like(images)
    dx[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    dy[:, 1:-1] = images[:, 2:] - images[:, :-2]
    t = np.arctan2(dy, dx) * np.float32(bins / np.pi) - np.float32(0.5)
    low = np.floor(t)
    size, t = np.sqrt(dx * dx + dy * dy), t - low
    low = low.astype(np.intp)
    votes = np.zeros((*images.shape, bins), np.float32)
    np.put_along_axis(votes, low[..., None] % bins, (size * (1 - t))[..., None], axis=-1)
    np.put_along_axis(votes, (low[..., None] + 1) % bins, (size * t)[..., None], axis=-1)
    return votes


def _gather(votes: np.ndarray, share: np.ndarray, stride: int) -> np.ndarray:
    """Votes along axis 1 gathered into the cells of each block: (N, L, ...), (block, B) -> (N, blocks, block, ...)."""
    rows = np.ascontiguousarray(votes).reshape(*votes.shape[:2], math.prod(votes.shape[2:]))
    pieces = sliding_window_view(rows, share.shape[1], axis=1)[:, ::stride].swapaxes(2, 3)  # (N, blocks, B, the rest)
    return (share @ pieces).reshape(*pieces.shape[:2], len(share), *votes.shape[2:])


def _norm(features: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...d,...d->...", features, features))[..., None]
