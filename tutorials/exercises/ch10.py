"""Exercises of chapter 10: COREFAN."""

import numpy as np

from models.faces.sequences import readout_matrix, windows
from nn import LandmarkError, reference
from tutorials.exercise import exercise


@exercise(
    "10.1",
    "Which part is drawn?",
    grade="one line",
    hints=["np.repeat can repeat each number another number of times.", "np.repeat(np.arange(len(steps)), steps)"],
    gives="part",
)
def part_of_step(steps):
    """The number of the part (from 0) that each step draws.

    steps (P,): how many steps each part takes -> (T,) whole numbers, T the sum of the steps
    """
    return np.repeat(np.arange(len(steps)), steps)


@part_of_step.case
def _(rng):
    return np.array([13, 6, 8, 5, 16])


@part_of_step.case
def _(rng):
    return np.array([2, 1])


@part_of_step.truth
def _(steps):
    return np.array([part for part, count in enumerate(steps) for _ in range(count)])


@part_of_step.wrong("the parts are counted from 1")
def _(steps):
    return 1 + np.repeat(np.arange(len(steps)), steps)


@part_of_step.wrong("the steps go round and round the parts; each part is finished before the next begins")
def _(steps):
    return np.arange(steps.sum()) % len(steps)


@exercise(
    "10.2",
    "Windows, and back",
    grade="a few lines",
    hints=["Window t holds the points t, t + 1, ... t + 4.", "Add each window onto its points, count how often each is covered, divide."],
    gives=("windows", "back"),
)
def slide(points):
    """All windows of five points of one part, each moved on by one; and the points read back as means over the windows.

    points (K, 2), K >= 5 -> windows (K - 4, 5, 2), back (K, 2)
    """
    cut = np.stack([points[t : t + 5] for t in range(len(points) - 4)])
    total, count = np.zeros(points.shape), np.zeros((len(points), 1))
    for t, window in enumerate(cut):
        total[t : t + 5] += window
        count[t : t + 5] += 1
    return cut, total / count


@slide.case
def _(rng):
    return rng.normal(size=(17, 2))


@slide.case
def _(rng):
    return rng.normal(size=(5, 2))


@slide.truth
def _(points):
    """The library's, on a face whose chin begins with these points."""
    face = np.zeros((1, 68, 2))
    face[0, : len(points)] = points
    cut = windows(face)[0, : len(points) - 4].reshape(-1, 5, 2)
    assert readout_matrix().shape == (68, 240)
    return cut, points


@slide.wrong("the last window is missing: there are K - 4 of them")
def _(points):
    cut, back = slide.solution(points)
    return cut[:-1], back


@slide.wrong("every point is divided by 5, but those at the ends are covered by fewer windows")
def _(points):
    cut, _ = slide.solution(points)
    total = np.zeros(points.shape)
    for t, window in enumerate(cut):
        total[t : t + 5] += window
    return cut, total / 5


@exercise(
    "10.3",
    "One step of equation 4",
    grade="a few lines",
    hints=["[h, S] @ W.T gives all four gates at once: np.split them.", "The features are added to C inside the tanh, not to C itself."],
    gives=("h", "C"),
)
def step(h, C, S, f_ih, W, b, W_ih, b_ih):
    """One step of the seeded LSTM. W stacks the weights of i, f, C̃, o, in this order, and so does b.

    h, C (N, U), S (N, D), f_ih (N, F), W (4U, U + D), b (4U,), W_ih (U, F), b_ih (U,) -> h (N, U), C (N, U)
    """
    a_i, a_f, a_C, a_o = np.split(np.concatenate([h, S], axis=1) @ W.T + b, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
    C = f * C + i * np.tanh(a_C)
    return o * np.tanh(C + f_ih @ W_ih.T + b_ih), C


@step.case
def _(rng):
    return tuple(rng.normal(size=s) for s in ((2, 4), (2, 4), (2, 3), (2, 5), (16, 7), 16, (4, 5), 4))


@step.truth
def _(h, C, S, f_ih, W, b, W_ih, b_ih):
    u = (f_ih @ W_ih.T + b_ih)[:, None]
    hidden, cell, _ = reference.lstm(S[:, None], h, C, W, b, u)
    return hidden[:, 0], cell


def _step(h, C, S, f_ih, W, b, W_ih, b_ih, order=(0, 1, 2, 3), into_cell=False, outside=False):
    gates = np.split(np.concatenate([h, S], axis=1) @ W.T + b, 4, axis=1)
    a_i, a_f, a_C, a_o = (gates[k] for k in order)
    i, f, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
    u = f_ih @ W_ih.T + b_ih
    C = f * C + i * np.tanh(a_C) + (u if into_cell else 0)
    return (o * np.tanh(C) + u if outside else o * np.tanh(C + (0 if into_cell else u))), C


@step.wrong("the gates are taken in the order f, i: the first quarter of W is the input gate's")
def _(*case):
    return _step(*case, order=(1, 0, 2, 3))


@step.wrong("the features are added to the cell itself, so they run on into the next steps; the equation adds them inside the tanh only")
def _(*case):
    return _step(*case, into_cell=True)


@step.wrong("the features are added after the tanh")
def _(*case):
    return _step(*case, outside=True)


@exercise(
    "10.4",
    "The slope of the landmark loss",
    grade="a few lines",
    hints=["The slope of a length ‖v‖ is v / ‖v‖.", "(points - target) / ‖points - target‖ / (N · 68 · d)"],
    gives="dpoints",
)
def landmark_slope(points, target, distance):
    """The slope of the mean over faces and points of ‖p - t‖ / d. No point is exactly right here.

    points, target (N, L, 2), distance (N,) -> dpoints (N, L, 2)
    """
    difference = points - target
    length = np.linalg.norm(difference, axis=-1, keepdims=True)
    return difference / length / distance[:, None, None] / length.size


@landmark_slope.case
def _(rng):
    return rng.normal(size=(3, 6, 2)), rng.normal(size=(3, 6, 2)), rng.uniform(1, 2, 3)


@landmark_slope.truth
def _(points, target, distance):
    loss = LandmarkError()
    loss.forward(points, target, distance)
    return loss.backward()


@landmark_slope.wrong("this is the slope of the squared distance: far points push harder")
def _(points, target, distance):
    return 2 * (points - target) / distance[:, None, None] / points[..., 0].size


@landmark_slope.wrong("the mean runs over the points of one face only; the batch is missing")
def _(points, target, distance):
    return landmark_slope.solution(points, target, distance) * len(points)


@landmark_slope.wrong("x and y are pushed apart from one another: the length is that of the vector (x, y)")
def _(points, target, distance):
    return np.sign(points - target) / distance[:, None, None] / points[..., 0].size


@exercise(
    "10.5",
    "One step, backwards",
    grade="real",
    hints=[
        "e = tanh(C + u); du = dh o (1 - e²), and C gets du beside dC.",
        "dC_before = (dC + du) f; the gates as in chapter 8, with dC + du.",
    ],
    gives=("du", "dC_before", "da"),
)
def step_backward(dh, dC, i, f, g, o, C_before, u):
    """One step backwards, with the gates given: g is C̃. C = f C_before + i g, h = o tanh(C + u).

    dh: the slope of h; dC: the slope of C along its other path, into the next step. All (N, U).
    -> du, dC_before (N, U), and da (N, 4U): the slopes of the gates' sums, before σ and tanh, side by side in the order i, f, g, o
    """
    e = np.tanh(f * C_before + i * g + u)
    du = dh * o * (1 - e**2)
    dC = dC + du
    da = [dC * g * i * (1 - i), dC * C_before * f * (1 - f), dC * i * (1 - g**2), dh * e * o * (1 - o)]
    return du, dC * f, np.concatenate(da, axis=1)


@step_backward.case
def _(rng):
    gates = rng.uniform(0.1, 0.9, size=(4, 3, 4))
    dh, dC, C_before, u = rng.normal(size=(4, 3, 4))
    return dh, dC, gates[0], gates[1], 2 * gates[2] - 1, gates[3], C_before, u


@step_backward.truth
def _(dh, dC, i, f, g, o, C_before, u):
    """Central differences of dh · h + dC · C, through the sums before the gates."""

    def value(a, before, u):
        a_i, a_f, a_g, a_o = a
        cell = before / (1 + np.exp(-a_f)) + np.tanh(a_g) / (1 + np.exp(-a_i))
        return dh * np.tanh(cell + u) / (1 + np.exp(-a_o)) + dC * cell

    a, h = np.stack([np.log(i / (1 - i)), np.log(f / (1 - f)), np.arctanh(g), np.log(o / (1 - o))]), 1e-5
    da = [(value(a + h * e, C_before, u) - value(a - h * e, C_before, u)) / (2 * h) for e in np.eye(4)[:, :, None, None]]
    dbefore = (value(a, C_before + h, u) - value(a, C_before - h, u)) / (2 * h)
    return (value(a, C_before, u + h) - value(a, C_before, u - h)) / (2 * h), dbefore, np.concatenate(da, axis=1)


def _back(dh, dC, i, f, g, o, C_before, u, add=True, seeded=True):
    e = np.tanh(f * C_before + i * g + (u if seeded else 0))
    du = dh * o * (1 - e**2)
    dC = dC + du if add else dC
    da = [dC * g * i * (1 - i), dC * C_before * f * (1 - f), dC * i * (1 - g**2), dh * e * o * (1 - o)]
    return du, dC * f, np.concatenate(da, axis=1)


@step_backward.wrong("the path from h through the tanh to C is missing")
def _(*case):
    return _back(*case, add=False)


@step_backward.wrong("u is left out of the tanh: this is the plain LSTM of chapter 8")
def _(*case):
    return _back(*case, seeded=False)


@step_backward.wrong("dC goes back without the forget gate")
def _(dh, dC, i, f, g, o, C_before, u):
    du, dbefore, da = _back(dh, dC, i, f, g, o, C_before, u)
    return du, dbefore / f, da
