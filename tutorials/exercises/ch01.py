"""Exercises of chapter 1: a neuron and the chain rule."""

import numpy as np

from nn import Dense, MeanSquaredError, Sequential, Sigmoid, reference
from tutorials.exercise import exercise
from tutorials.exercises.slopes import slopes


@exercise(
    "1.1",
    "The slope of the sigmoid",
    grade="one line",
    hints=["The text derives it: y (1 - y).", "Multiply by the upstream dy."],
    gives="da",
)
def sigmoid_backward(dy, y):
    """The slope of the loss with respect to a, where y = σ(a).

    dy, y (N,) -> da (N,)
    """
    return dy * y * (1 - y)


@sigmoid_backward.case
def _(rng):
    return rng.normal(size=7), rng.uniform(0.1, 0.9, size=7)


@sigmoid_backward.truth
def _(dy, y):
    return reference.sigmoid_backward(dy, y)


@sigmoid_backward.wrong("the factor 1 - y is forgotten")
def _(dy, y):
    return dy * y


@sigmoid_backward.wrong("this is the local slope alone; the upstream dy is missing")
def _(dy, y):
    return y * (1 - y)


@sigmoid_backward.wrong("y is taken for a: the sigmoid is applied once more")
def _(dy, y):
    s = 1 / (1 + np.exp(-y))
    return dy * s * (1 - s)


@exercise(
    "1.2",
    "A central difference",
    grade="one line",
    hints=["A step ahead, a step behind.", "The two are 2 step apart."],
    gives="slope",
    tolerance=1e-8,
)
def central_difference(f, x, step):
    """The slope of a function of one number at x, from both sides.

    f a function, x and step numbers -> a number
    """
    return (f(x + step) - f(x - step)) / (2 * step)


@central_difference.case
def _(rng):
    return np.exp, 0.3, 1e-2


@central_difference.case
def _(rng):
    return np.sin, -1.1, 1e-2


@central_difference.truth
def _(f, x, step):
    """exp: e^x sinh(h) / h; sin: cos(x) sin(h) / h, by the addition theorems."""
    return np.exp(x) * np.sinh(step) / step if f is np.exp else np.cos(x) * np.sin(step) / step


@central_difference.wrong("this is the difference from one side: its error falls with the step, not with its square")
def _(f, x, step):
    return (f(x + step) - f(x)) / step


@central_difference.wrong("the two points are 2 step apart, so this is twice the slope")
def _(f, x, step):
    return (f(x + step) - f(x - step)) / step


@exercise(
    "1.3",
    "A neuron's backward pass",
    grade="a few lines",
    hints=["Forwards first: a, y. Then dy, da.", "dw = da * x, dx = da * w, db = da."],
    gives=("dw", "db", "dx"),
)
def neuron_backward(x, w, b, truth):
    """Slopes of L = (y - truth)² with y = σ(w · x + b).

    x, w (D,), b and truth numbers -> dw (D,), db a number, dx (D,)
    """
    y = 1 / (1 + np.exp(-(w @ x + b)))
    da = 2 * (y - truth) * y * (1 - y)
    return da * x, da, da * w


@neuron_backward.case
def _(rng):
    return rng.normal(size=3), rng.normal(size=3), 0.2, 1.0


@neuron_backward.truth
def _(x, w, b, truth):
    """Central differences."""

    def loss(x, w, b):
        return (1 / (1 + np.exp(-(w @ x + b))) - truth) ** 2

    dx, dw, db = slopes(loss, (x, w, np.array(b)))
    return dw, float(db), dx


def _neuron(x, w, b, truth, sigmoid_slope, square_slope=2):
    y = 1 / (1 + np.exp(-(w @ x + b)))
    da = square_slope * (y - truth) * sigmoid_slope(y)
    return da * x, da, da * w


@neuron_backward.wrong("the slope of the sigmoid is left out")
def _(x, w, b, truth):
    return _neuron(x, w, b, truth, lambda y: 1)


@neuron_backward.wrong("the 2 of the square is missing")
def _(x, w, b, truth):
    return _neuron(x, w, b, truth, lambda y: y * (1 - y), 1)


@neuron_backward.wrong("dw and dx are exchanged: the slope of a weight is its input")
def _(x, w, b, truth):
    dw, db, dx = _neuron(x, w, b, truth, lambda y: y * (1 - y))
    return dx, db, dw


@exercise(
    "1.4",
    "Two paths",
    grade="a few lines",
    hints=["x reaches y straight, and through the square.", "dL/dx = dy · (1 + 2 w x)"],
    gives=("dx", "dw"),
)
def two_paths(dy, x, w):
    """Slopes through y = x + w x², each number by itself.

    dy, x, w (N,) -> dx (N,), dw (N,)
    """
    return dy * (1 + 2 * w * x), dy * x**2


@two_paths.case
def _(rng):
    return tuple(rng.normal(size=(3, 6)))


@two_paths.truth
def _(dy, x, w):
    h = 1e-5
    return dy * ((x + h + w * (x + h) ** 2) - (x - h + w * (x - h) ** 2)) / (2 * h), dy * ((w + h) * x**2 - (w - h) * x**2) / (2 * h)


@two_paths.wrong("the straight path is left out")
def _(dy, x, w):
    return dy * 2 * w * x, dy * x**2


@two_paths.wrong("the path through the square is left out")
def _(dy, x, w):
    return dy + 0 * x, dy * x**2


@exercise(
    "1.5",
    "Train a neuron",
    grade="real",
    hints=["The loop of the text, with one slope for each weight.", "da holds the 1 / N of the mean; dw = da @ x, db = da.sum()."],
    gives=("w", "b", "losses"),
)
def train_neuron(x, truth, w, b, rate, count):
    """Take `count` steps of gradient descent with L = mean over the batch of (y - truth)², y = σ(x w + b).

    x (N, D), truth (N,), w (D,) and b where it starts, rate a number -> w, b after the last step, losses (count,): before each step
    """
    losses = []
    for _ in range(count):
        y = 1 / (1 + np.exp(-(x @ w + b)))
        losses.append(((y - truth) ** 2).mean())
        da = 2 * (y - truth) * y * (1 - y) / len(x)
        w, b = w - rate * (da @ x), b - rate * da.sum()
    return w, b, np.array(losses)


@train_neuron.case
def _(rng):
    return rng.normal(size=(8, 3)), rng.integers(0, 2, 8).astype(float), rng.normal(size=3), 0.1, 0.5, 5


@train_neuron.truth
def _(x, truth, w, b, rate, count):
    """The library's layers."""
    model, loss = Sequential(Dense(3, 1, rng=np.random.default_rng(0)), Sigmoid()).astype(np.float64), MeanSquaredError()
    weight, bias = model.parameters().values()
    weight.value[...], bias.value[...], losses = w, b, []
    for _ in range(count):
        losses.append(loss.forward(model.forward(x), truth[:, None]))
        model.zero_grad()
        model.backward(loss.backward())
        for parameter in (weight, bias):
            parameter.value -= rate * parameter.grad
    return weight.value[0], float(bias.value[0]), np.array(losses)


@train_neuron.wrong("it climbs: the step goes against the slope, so the rate is subtracted")
def _(x, truth, w, b, rate, count):
    return train_neuron.solution(x, truth, w, b, -rate, count)


@train_neuron.wrong("the slope is summed over the batch; the loss is the mean, so it is divided by N")
def _(x, truth, w, b, rate, count):
    return train_neuron.solution(x, truth, w, b, rate * len(x), count)


@train_neuron.wrong("the bias uses the weights' new values: both slopes belong to the same forward pass")
def _(x, truth, w, b, rate, count):
    losses = []
    for _ in range(count):
        y = 1 / (1 + np.exp(-(x @ w + b)))
        losses.append(((y - truth) ** 2).mean())
        w = w - rate * ((2 * (y - truth) * y * (1 - y) / len(x)) @ x)
        y = 1 / (1 + np.exp(-(x @ w + b)))
        b = b - rate * (2 * (y - truth) * y * (1 - y) / len(x)).sum()
    return w, b, np.array(losses)
