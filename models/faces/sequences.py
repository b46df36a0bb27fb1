"""Landmarks as sequences, and back (Figure 7): what COREFAN's recurrent half writes, step by step.

A part of n landmarks becomes n - 4 windows of five, each sharing four with the one before: one new landmark a step. Reading the
windows back is linear, landmarks = M · window points, and a readout is a choice of M.

    part of 7:   windows 01234, 12345, 23456
    mean         landmark 3 = (its value in window 0 + in window 1 + in window 2) / 3
    newest       landmarks 0-4 from window 0, then the last point of each window
    point        no windows: one landmark a step (a part of 7 takes 7 steps)
"""

import numpy as np

from models.faces.landmarks import COUNT, PARTS

WINDOW = 5
READOUTS = ("mean", "newest", "point")


def points_per_step(kind: str) -> int:
    """Landmarks in the output of one step: 5, or 1 for "point". Raises ValueError on an unknown kind."""
    if kind not in READOUTS:
        raise ValueError(f"readout {kind!r} is unknown: choose one of {', '.join(READOUTS)}")
    return 1 if kind == "point" else WINDOW


def steps(kind: str = "mean") -> tuple[int, ...]:
    """Steps of each part, in the order of PARTS: (13, 6, 8, 5, 16), or (17, 10, 12, 9, 20) for "point"."""
    return tuple(len(part) - points_per_step(kind) + 1 for part in PARTS.values())


def window_indices(kind: str = "mean") -> np.ndarray:
    """Landmark index of every point of every step: (T, K) with T = sum(steps(kind)), K = points_per_step(kind)."""
    return np.concatenate([np.lib.stride_tricks.sliding_window_view(part, points_per_step(kind)) for part in PARTS.values()])


def windows(points: np.ndarray, kind: str = "mean") -> np.ndarray:
    """Target of each step, x and y interleaved: (N, 68, 2) -> (N, 48, 10), or (N, 68, 2) for "point" (Figure 7)."""
    indices = window_indices(kind)  # (T, K)
    return points[:, indices].reshape(len(points), len(indices), 2 * indices.shape[1])  # (N, T, 2 K)


def readout_matrix(kind: str = "mean") -> np.ndarray:
    """M (68, T K) in float64 with landmarks (68, 2) = M @ window points (T K, 2), landmarks in official order.

    Every row sums to 1. "mean": a landmark is the mean of all windows that cover it; "newest": of the first window that shows it;
    "point": of its only step.
    """
    shown = window_indices(kind).ravel()  # (T K,)
    matrix = (np.arange(COUNT)[:, None] == shown).astype(np.float64)  # (68, T K)
    if kind == "newest":
        matrix *= matrix.cumsum(axis=1) == 1
    return matrix / matrix.sum(axis=1, keepdims=True)
