"""The recurrent half, step by step from its weights: equation (4) written out, with every gate kept.

    i, f, o = σ(W_{i,f,o} · [h, x] + b_{i,f,o})    g = tanh(W_g · [h, x] + b_g)        x: S_part, or the window drawn before
    C_t = f C_{t-1} + i g                          h_t = o tanh(C_t + u_t)             u_t = W_ih_n f_ih + b_ih_n
    window_t = V h_t + b_V                         landmarks = M · windows

The paper writes C̃ for g. It is what Corefan.forward computes, less fast.
"""

from dataclasses import dataclass

import numpy as np

from models.corefan import SEED, Corefan
from models.faces.landmarks import PARTS

GATES = ("i", "f", "g", "o")


@dataclass
class Trace:
    """All that the recurrent half computes for N faces: T steps, U units, windows of K points; points in pixels of the frame."""

    gates: np.ndarray  # (N, T, 4, U), in the order of GATES
    cell: np.ndarray  # (N, T, U)
    hidden: np.ndarray  # (N, T, U)
    windows: np.ndarray  # (N, T, K, 2)
    points: np.ndarray  # (N, 68, 2)


def seeds_and_features(model: Corefan, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the CNN hands over: images (N, size, size, 1) -> seeds S (N, 5, 10), features f_ih (N, F)."""
    features = model.cnn.forward(images)
    return model.fc2.forward(features).reshape(len(images), len(PARTS), SEED), features


def trace(model: Corefan, seeds: np.ndarray, features: np.ndarray) -> Trace:
    """Draw faces from seeds (N, 5, 10) and features (N, F), and keep what happens on the way."""
    lstm, weight, bias = model.lstm, model.window.weight.value, model.window.bias.value
    u = lstm.inject(features)  # (N, T, U)
    h = c = np.zeros_like(u[:, 0])
    steps: list[tuple[np.ndarray, ...]] = []
    for t, part in enumerate(lstm.part_of_step):
        x = seeds[:, part] if model.feed == "constant" or t in lstm.first_steps else steps[-1][-1]
        a = np.concatenate([h, x], axis=1) @ lstm.weight.value.T + lstm.bias.value  # Eq. (4)
        i, f, g, o = np.split(a, len(GATES), axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c + u[:, t])
        steps.append((np.stack([i, f, g, o], axis=1), c, h, h @ weight.T + bias))
    gates, cell, hidden, windows = (np.stack(kind, axis=1) for kind in zip(*steps, strict=True))
    if model.seeding == "window":  # the seed is a window too, and the first one is the mean of the two
        windows[:, lstm.first_steps] = (windows[:, lstm.first_steps] + seeds) / 2
    windows = windows.reshape(*windows.shape[:2], -1, 2) * (model.size / 2) + (model.size - 1) / 2  # half frames to pixels
    return Trace(gates, cell, hidden, windows, model.matrix @ windows.reshape(len(windows), -1, 2))


def sigmoid(a: np.ndarray) -> np.ndarray:
    """σ(a) = 1 / (1 + e^-a), written so that nothing overflows."""
    return (1 + np.tanh(a / 2)) / 2


def settled(model: Corefan, step: int) -> np.ndarray:
    """Which landmarks (68,) the first `step` windows give already: those that no later window changes."""
    numbers = step * model.matrix.shape[1] // sum(model.lstm.steps)
    return np.logical_not(model.matrix[:, numbers:].any(1))
