"""Exercises of chapter 8: the LSTM, back through time."""

import numpy as np

from nn import reference
from tutorials.exercise import exercise
from tutorials.exercises.slopes import slopes


@exercise(
    "8.1",
    "How much is left?",
    grade="one line",
    hints=["σ(bias) is the factor of one step.", "There are steps - 1 factors between the last step and the first."],
    gives="share",
)
def share(bias, steps):
    """Along the cell every step back multiplies the gradient by the forget gate, here σ(bias) throughout. What is left of a gradient of 1
    at the last step when it reaches the first?

    bias a number, steps a whole number >= 1 -> a number
    """
    return (1 / (1 + np.exp(-bias))) ** (steps - 1)


for _case in ((0.0, 40), (3.0, 40), (1.0, 1)):
    share.case(lambda rng, case=_case: case)


@share.truth
def _(bias, steps):
    """Through an LSTM whose gates' weights are 0: the cell of the first step, then steps - 1 more."""
    w, b = np.zeros((4, 2)), np.array([0.0, bias, 0.0, 0.0])
    x = np.zeros((1, steps - 1, 1))
    if steps == 1:
        return 1.0
    _, cell, _ = reference.lstm(x, np.zeros((1, 1)), np.ones((1, 1)), w, b)
    return float(cell[0, 0])


@share.wrong("between T steps there are T - 1 factors")
def _(bias, steps):
    return (1 / (1 + np.exp(-bias))) ** steps


@share.wrong("this is the slope of the sigmoid; the factor is the gate itself")
def _(bias, steps):
    s = 1 / (1 + np.exp(-bias))
    return (s * (1 - s)) ** (steps - 1)


@exercise(
    "8.2",
    "The plain cell, one step back",
    grade="a few lines",
    hints=["da = dh (1 - h²), from the output.", "da @ W gives both: the first U columns belong to the state."],
    gives=("dbefore", "dx", "dW"),
)
def plain_step_backward(dh, h, before, x, W):
    """One step back through h = tanh(W [before, x] + b).

    dh, h, before (N, U), x (N, D), W (U, U + D) -> dbefore (N, U), dx (N, D), dW (U, U + D)
    """
    da = dh * (1 - h**2)
    both = da @ W
    return both[:, : h.shape[1]], both[:, h.shape[1] :], da.T @ np.concatenate([before, x], axis=1)


@plain_step_backward.case
def _(rng):
    before, x, W = rng.normal(size=(3, 4)), rng.normal(size=(3, 2)), rng.normal(size=(4, 6))
    return rng.normal(size=(3, 4)), np.tanh(np.concatenate([before, x], axis=1) @ W.T + 0.1), before, x, W


@plain_step_backward.truth
def _(dh, h, before, x, W):
    """Central differences; b is what makes h come out."""
    b = np.arctanh(h) - np.concatenate([before, x], axis=1) @ W.T

    def loss(before, x, W):
        return (dh * np.tanh(np.concatenate([before, x], axis=1) @ W.T + b)).sum()

    return slopes(loss, (before, x, W))


def _plain(dh, h, before, x, W, slope):
    da = dh * slope
    both = da @ W
    return both[:, : h.shape[1]], both[:, h.shape[1] :], da.T @ np.concatenate([before, x], axis=1)


@plain_step_backward.wrong("the slope of the tanh is left out")
def _(dh, h, before, x, W):
    return _plain(dh, h, before, x, W, 1)


@plain_step_backward.wrong("h (1 - h) is the sigmoid's slope; that of tanh is 1 - h²")
def _(dh, h, before, x, W):
    return _plain(dh, h, before, x, W, h * (1 - h))


@plain_step_backward.wrong("h is the tanh already: its tanh is taken once more")
def _(dh, h, before, x, W):
    return _plain(dh, h, before, x, W, 1 - np.tanh(h) ** 2)


@exercise(
    "8.3",
    "One step of the LSTM",
    grade="a few lines",
    hints=["np.split(..., 4, axis=1) cuts the four gates apart.", "C = f C + i tanh(a_g), h = o tanh(C)"],
    gives=("h", "C"),
)
def lstm_step(x, h, C, W, b):
    """One step, gates in the order i, f, g, o.

    x (N, D), h, C (N, U), W (4U, U + D), b (4U,) -> h (N, U), C (N, U)
    """
    a_i, a_f, a_g, a_o = np.split(np.concatenate([h, x], axis=1) @ W.T + b, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
    C = f * C + i * np.tanh(a_g)
    return o * np.tanh(C), C


@lstm_step.case
def _(rng):
    return tuple(rng.normal(size=shape) for shape in ((3, 2), (3, 4), (3, 4), (16, 6), 16))


@lstm_step.truth
def _(x, h, C, W, b):
    hidden, cell, _ = reference.lstm(x[:, None], h, C, W, b)
    return hidden[:, 0], cell


def _lstm(x, h, C, W, b, order=(0, 1, 2, 3), last=np.tanh, turned=False):
    gates = np.split(np.concatenate([x, h] if turned else [h, x], axis=1) @ W.T + b, 4, axis=1)
    a_i, a_f, a_g, a_o = (gates[k] for k in order)
    i, f, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
    C = f * C + i * np.tanh(a_g)
    return o * last(C), C


@lstm_step.wrong("input and forget gate are exchanged")
def _(*case):
    return _lstm(*case, order=(1, 0, 2, 3))


@lstm_step.wrong("the state comes first: [h, x], not [x, h]")
def _(*case):
    return _lstm(*case, turned=True)


@lstm_step.wrong("the cell is shown without its tanh")
def _(*case):
    return _lstm(*case, last=lambda C: C)


@exercise(
    "8.4",
    "The gates, backwards",
    grade="a few lines",
    hints=["dC = back + dh o (1 - tanh(C)²) comes first.", "da_i = dC g i (1 - i), and the others by the same pattern."],
    gives=("da", "dC_before"),
)
def gates_backward(dh, back, i, f, g, o, C_before, C):
    """From the gradients of h and, along the cell, of C to those before the gates' squashing, and of the cell one step before.

    dh, back, i, f, g, o, C_before, C (N, U) -> da (N, 4U) in the order i, f, g, o; dC_before (N, U)
    """
    e = np.tanh(C)
    dC = back + dh * o * (1 - e**2)
    da = np.concatenate([dC * g * i * (1 - i), dC * C_before * f * (1 - f), dC * i * (1 - g**2), dh * e * o * (1 - o)], axis=1)
    return da, dC * f


@gates_backward.case
def _(rng):
    i, f, g, o = rng.uniform(0.1, 0.9, size=(4, 3, 4)) * np.array([1, 1, 2, 1])[:, None, None] - np.array([0, 0, 1, 0])[:, None, None]
    dh, back, C_before = rng.normal(size=(3, 3, 4))
    return dh, back, i, f, g, o, C_before, f * C_before + i * g


@gates_backward.truth
def _(dh, back, i, f, g, o, C_before, C):
    """Central differences of dh · h + back · C."""

    def value(a, before):
        a_i, a_f, a_g, a_o = a
        cell = before / (1 + np.exp(-a_f)) + np.tanh(a_g) / (1 + np.exp(-a_i))
        return dh * np.tanh(cell) / (1 + np.exp(-a_o)) + back * cell

    a, h = np.stack([np.log(i / (1 - i)), np.log(f / (1 - f)), np.arctanh(g), np.log(o / (1 - o))]), 1e-5
    da = [(value(a + h * e, C_before) - value(a - h * e, C_before)) / (2 * h) for e in np.eye(4)[:, :, None, None]]
    return np.concatenate(da, axis=1), (value(a, C_before + h) - value(a, C_before - h)) / (2 * h)


def _gates(dh, back, i, f, g, o, C_before, C, through_h=True, along=True, forget=True):
    e = np.tanh(C)
    dC = along * back + through_h * dh * o * (1 - e**2)
    da = np.concatenate([dC * g * i * (1 - i), dC * C_before * f * (1 - f), dC * i * (1 - g**2), dh * e * o * (1 - o)], axis=1)
    return da, dC * (f if forget else 0)


@gates_backward.wrong("this is the gradient without the forget-gate path: nothing goes back along the cell")
def _(*case):
    return _gates(*case, forget=False)


@gates_backward.wrong("what the next step hands back along the cell is left out")
def _(*case):
    return _gates(*case, along=False)


@gates_backward.wrong("the path from h through the tanh into the cell is left out")
def _(*case):
    return _gates(*case, through_h=False)


@exercise(
    "8.5",
    "Back through time",
    grade="real",
    hints=[
        "Keep every state in the forward pass; begin the backward pass at the last step.",
        "dh = dy[:, t] + what step t + 1 handed back",
    ],
    gives=("y", "dx", "dW", "db"),
)
def plain_through_time(x, dy, W, b):
    """The plain cell over all steps, from a state of zeros: h_t = tanh(W [h_{t-1}, x_t] + b), y the states of all steps; and its gradients.

    x (N, T, D), dy (N, T, U), W (U, U + D), b (U,) -> y (N, T, U), dx (N, T, D), dW (U, U + D), db (U,)
    """
    N, T, _ = x.shape
    U = len(b)
    h = np.zeros((T + 1, N, U))
    for t in range(T):
        h[t + 1] = np.tanh(np.concatenate([h[t], x[:, t]], axis=1) @ W.T + b)
    dx, dW, db, handed_back = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b), np.zeros((N, U))
    for t in reversed(range(T)):
        da = (dy[:, t] + handed_back) * (1 - h[t + 1] ** 2)
        both = da @ W
        handed_back, dx[:, t] = both[:, :U], both[:, U:]
        dW += da.T @ np.concatenate([h[t], x[:, t]], axis=1)
        db += da.sum(0)
    return h[1:].transpose(1, 0, 2), dx, dW, db


@plain_through_time.case
def _(rng):
    return rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 5)), 0.5 * rng.normal(size=(5, 8)), rng.normal(size=5)


@plain_through_time.truth
def _(x, dy, W, b):
    """Central differences."""

    def run(x, W, b):
        h, states = np.zeros((len(x), len(b))), []
        for t in range(x.shape[1]):
            h = np.tanh(h @ W[:, : len(b)].T + x[:, t] @ W[:, len(b) :].T + b)
            states.append(h)
        return np.stack(states, axis=1)

    return run(x, W, b), *slopes(lambda *case: (dy * run(*case)).sum(), (x, W, b))


def _through_time(x, dy, W, b, hand_back=True, add=True):
    y, *_ = plain_through_time.solution(x, dy, W, b)
    N, T, _ = x.shape
    U = len(b)
    h = np.concatenate([np.zeros((N, 1, U)), y], axis=1)
    dx, dW, db, handed_back = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b), 0
    for t in reversed(range(T)):
        da = (dy[:, t] + handed_back) * (1 - h[:, t + 1] ** 2)
        both = da @ W
        handed_back, dx[:, t] = both[:, :U] * hand_back, both[:, U:]
        step = da.T @ np.concatenate([h[:, t], x[:, t]], axis=1), da.sum(0)
        dW, db = (dW + step[0], db + step[1]) if add else step
    return y, dx, dW, db


@plain_through_time.wrong("nothing is handed back from step to step: each step is treated alone")
def _(*case):
    return _through_time(*case, hand_back=False)


@plain_through_time.wrong("the weights' gradients are those of the first step alone; every step uses W, so they are added")
def _(*case):
    return _through_time(*case, add=False)
