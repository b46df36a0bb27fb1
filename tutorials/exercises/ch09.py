"""Exercises of chapter 9: a sine wave from a seed."""

import numpy as np

from models.sine import draw as library_draw
from nn import MeanSquaredError, SeededLSTM
from tutorials.exercise import exercise


@exercise(
    "9.1",
    "Inputs and targets",
    grade="one line",
    hints=["All but the last value, and all but the first.", "wave[:, :-1], wave[:, 1:]"],
    gives=("x", "target"),
)
def shifted(wave):
    """What the network reads, and what it shall answer at each step: the next value.

    wave (N, l + 1) -> x (N, l), target (N, l)
    """
    return wave[:, :-1], wave[:, 1:]


@shifted.case
def _(rng):
    return rng.normal(size=(3, 6))


@shifted.truth
def _(wave):
    N, length = wave.shape
    x = np.array([[wave[n, t] for t in range(length - 1)] for n in range(N)])
    return x, np.array([[wave[n, t + 1] for t in range(length - 1)] for n in range(N)])


@shifted.wrong("the target is the input itself: the network could just repeat it")
def _(wave):
    return wave[:, :-1], wave[:, :-1]


@shifted.wrong("input and target are exchanged: it would guess the past")
def _(wave):
    return wave[:, 1:], wave[:, :-1]


@exercise(
    "9.2",
    "The loss of the next value",
    grade="a few lines",
    hints=["y is a guess for the value after it: y[:, t] against wave[:, t + 1].", "2 (y - target) / y.size"],
    gives=("loss", "dy"),
)
def next_value_loss(y, wave):
    """The mean squared error of the guesses y over all steps, and its slope.

    y (N, l): the answer at each step; wave (N, l + 1) -> loss, a number; dy (N, l)
    """
    difference = y - wave[:, 1:]
    return (difference**2).mean(), 2 * difference / y.size


@next_value_loss.case
def _(rng):
    return rng.normal(size=(3, 5)), rng.normal(size=(3, 6))


@next_value_loss.truth
def _(y, wave):
    loss = MeanSquaredError()
    return loss.forward(y, wave[:, 1:].copy()), loss.backward()


@next_value_loss.wrong("each answer is held against the value that was just read, not against the next")
def _(y, wave):
    difference = y - wave[:, :-1]
    return (difference**2).mean(), 2 * difference / y.size


@next_value_loss.wrong("only the last step counts; every step is asked")
def _(y, wave):
    dy = np.zeros_like(y)
    dy[:, -1] = 2 * (y[:, -1] - wave[:, -1]) / len(y)
    return ((y[:, -1] - wave[:, -1]) ** 2).mean(), dy


@exercise(
    "9.3",
    "Close the loop",
    grade="a few lines",
    hints=["Keep the whole wave; the window is its last l values.", "wave = np.append(wave, guess(wave[-l:]))"],
    gives="wave",
    tolerance=1e-5,  # the library's windows are float32
)
def draw(guess, seed, steps):
    """Draw on: append the guess for the next value, move the window on by one, repeat.

    guess: a function of a window (l,) that gives a number; seed (l,); steps a whole number -> wave (l + steps,), the seed first
    """
    wave = seed
    for _ in range(steps):
        wave = np.append(wave, guess(wave[-len(seed) :]))
    return wave


def _guess(window):
    return float(0.9 * window[-1] - 0.5 * window[0] + 0.1 * len(window))


@draw.case
def _(rng):
    return _guess, np.round(rng.normal(size=4), 1), 7


@draw.case
def _(rng):
    return _guess, rng.normal(size=3), 0


@draw.truth
def _(guess, seed, steps):
    """The library's, with a model that guesses so."""

    class Guesser:
        def asarray(self, window):
            return window.astype(float)

        def forward(self, window):
            return np.array([[[guess(window[0, :, 0])]]])

    return library_draw(Guesser(), seed, steps)


@draw.wrong("the window never moves: the same guess again and again")
def _(guess, seed, steps):
    return np.append(seed, [guess(seed)] * steps)


@draw.wrong("the window grows; its first value has to leave")
def _(guess, seed, steps):
    wave = seed
    for _ in range(steps):
        wave = np.append(wave, guess(wave))
    return wave


@exercise(
    "9.4",
    "Which wave was drawn?",
    grade="a few lines",
    hints=["It crosses 0 upwards between t and t + 1 where wave[t] < 0 <= wave[t + 1].", "The mean of np.diff of those t is the period."],
    gives=("height", "period"),
    tolerance=1e-9,
)
def read_off(wave):
    """The height of a wave, its largest distance from 0, and its period: the mean number of steps between two upward crossings,
    a crossing being a step t with wave[t] < 0 <= wave[t + 1]. There are two or more.

    wave (T,) -> two numbers
    """
    crossings = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    return np.abs(wave).max(), np.diff(crossings).mean()


@read_off.case
def _(rng):
    t = np.arange(120)
    return 0.7 * np.sin(2 * np.pi * t / 27 + 0.4) + 0.05 * np.cos(0.9 * t)


@read_off.truth
def _(wave):
    ups = [t for t in range(len(wave) - 1) if wave[t] < 0 <= wave[t + 1]]
    return max(abs(value) for value in wave), (ups[-1] - ups[0]) / (len(ups) - 1)


@read_off.wrong("upward and downward crossings are counted: that is half of the period")
def _(wave):
    crossings = np.flatnonzero((wave[:-1] < 0) != (wave[1:] < 0))
    return np.abs(wave).max(), np.diff(crossings).mean()


@read_off.wrong("the height is measured from trough to crest: twice the distance from 0")
def _(wave):
    return np.ptp(wave), read_off.solution(wave)[1]


@exercise(
    "9.5",
    "A reminded cell",
    grade="real",
    hints=["Chapter 8's step, without an input: a = W h + b.", "u = W_ih f + b_ih does not change from step to step."],
    gives="h",
)
def reminded(f, W, b, W_ih, b_ih, steps):
    """The hidden states of an LSTM that reads nothing but its own state and hears u = W_ih f + b_ih inside the last tanh of each step;
    h and C start at 0, gates in the order i, f, g, o.

    f (N, F), W (4U, U), b (4U,), W_ih (U, F), b_ih (U,), steps a whole number -> h (N, steps, U)
    """
    u = f @ W_ih.T + b_ih
    h = C = np.zeros_like(u)
    states = []
    for _ in range(steps):
        a_i, a_f, a_g, a_o = np.split(h @ W.T + b, 4, axis=1)
        i, forget, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
        C = forget * C + i * np.tanh(a_g)
        h = o * np.tanh(C + u)
        states.append(h)
    return np.stack(states, axis=1)


@reminded.case
def _(rng):
    return *(rng.normal(size=shape) for shape in ((2, 3), (16, 4), 16, (4, 3), 4)), 5


@reminded.truth
def _(f, W, b, W_ih, b_ih, steps):
    cell = SeededLSTM(1, 4, 3, (steps,), rng=np.random.default_rng(0)).astype(np.float64)
    cell.weight.value[...] = np.concatenate([W, np.zeros((16, 1))], axis=1)
    cell.bias.value[...], cell.feature_weight.value[...], cell.feature_bias.value[...] = b, W_ih[None], b_ih[None]
    return cell.forward(np.zeros((len(f), 1, 1)), f)


def _reminded(f, W, b, W_ih, b_ih, steps, first=False, into_cell=False):
    u = f @ W_ih.T + b_ih
    h = C = np.zeros_like(u)
    states = []
    for t in range(steps):
        a_i, a_f, a_g, a_o = np.split(h @ W.T + b, 4, axis=1)
        i, forget, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
        C = forget * C + i * np.tanh(a_g) + (u if into_cell else 0)
        h = o * np.tanh(C + (u if not into_cell and (t == 0 or not first) else 0))
        states.append(h)
    return np.stack(states, axis=1)


@reminded.wrong("the cell hears f at the first step only")
def _(*case):
    return _reminded(*case, first=True)


@reminded.wrong("f is added to the cell itself and piles up from step to step; it belongs inside the tanh")
def _(*case):
    return _reminded(*case, into_cell=True)
