"""Exercises of chapter 2: dense layers, the loss, Adam."""

import numpy as np

from nn import Dense, MeanSquaredError, ReLU, Sequential, reference
from tutorials.exercise import exercise


@exercise(
    "2.1",
    "A dense layer, forward",
    grade="one line",
    hints=["Which axis of w meets x?", "`x @ w.T` has shape (N, O); add b."],
    gives="y",
)
def dense(x, w, b):
    """Return y = x Wᵀ + b.

    x (N, D), w (O, D), b (O,) -> y (N, O)
    """
    return x @ w.T + b


@dense.case
def _(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)


@dense.case
def _(rng):
    return rng.normal(size=(1, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)


@dense.truth
def _(x, w, b):
    return reference.dense(x, w, b)


@dense.wrong("the bias is left out")
def _(x, w, b):
    return x @ w.T


@dense.wrong("the bias is taken off, not added")
def _(x, w, b):
    return x @ w.T - b


@exercise(
    "2.2",
    "Equation 3 and its slope",
    grade="a few lines",
    hints=["The mean runs over all N·K numbers.", "Each y occurs in one square: 2 (y - target), divided by the same count."],
    gives=("loss", "dy"),
)
def squared_error(y, target):
    """The mean of (y - target)² over all numbers of the batch, and its slope with respect to y.

    y, target (N, K) -> loss, a number; dy (N, K)
    """
    difference = y - target
    return (difference**2).mean(), 2 * difference / y.size


@squared_error.case
def _(rng):
    return tuple(rng.normal(size=(2, 3, 16)))


@squared_error.truth
def _(y, target):
    loss = MeanSquaredError()
    return loss.forward(y, target), loss.backward()


@squared_error.wrong("the slope is not divided by the batch size, only by the numbers of one answer")
def _(y, target):
    return ((y - target) ** 2).mean(), 2 * (y - target) / y.shape[1]


@squared_error.wrong("the 2 of the square's slope is missing")
def _(y, target):
    return ((y - target) ** 2).mean(), (y - target) / y.size


@squared_error.wrong("the sign of the slope is turned: it is the slope with respect to the target")
def _(y, target):
    return ((y - target) ** 2).mean(), 2 * (target - y) / y.size


@exercise(
    "2.3",
    "Backward through a dense layer",
    grade="a few lines",
    hints=["dw has the shape of w: (O, N) times (N, D).", "dx = dy @ w, dw = dy.T @ x, db sums dy over the batch."],
    gives=("dx", "dw", "db"),
)
def dense_backward(dy, x, w):
    """The slopes of the loss with respect to x, w and b of y = x Wᵀ + b.

    dy (N, O), x (N, D), w (O, D) -> dx (N, D), dw (O, D), db (O,)
    """
    return dy @ w, dy.T @ x, dy.sum(0)


@dense_backward.case
def _(rng):
    return rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), rng.normal(size=(4, 4))


@dense_backward.case
def _(rng):
    return rng.normal(size=(1, 2)), rng.normal(size=(1, 3)), rng.normal(size=(2, 3))


@dense_backward.truth
def _(dy, x, w):
    return reference.dense_backward(dy, x, w)


@dense_backward.wrong("db is the mean over the batch: every input pulls at the bias, so it is the sum")
def _(dy, x, w):
    return dy @ w, dy.T @ x, dy.mean(0)


@dense_backward.wrong("dw is transposed")
def _(dy, x, w):
    return dy @ w, x.T @ dy, dy.sum(0)


@exercise(
    "2.4",
    "One step of Adam",
    grade="a few lines",
    hints=[
        "m and v first, then their hats, then the step.",
        "m / (1 - beta1**t); v holds squares; epsilon comes after the root.",
    ],
    gives=("value", "m", "v"),
)
def adam(value, grad, m, v, t, lr, beta1, beta2, epsilon):
    """Step number t (from 1) of Adam: the new value, m and v.

    value, grad, m, v of one shape; t, lr, beta1, beta2, epsilon numbers
    """
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return value - lr * m_hat / (np.sqrt(v_hat) + epsilon), m, v


@adam.case
def _(rng):
    value, grad, m, v = rng.normal(size=(4, 3, 2))
    return value, grad, m, v**2, 3, 0.1, 0.9, 0.999, 1e-2


@adam.case
def _(rng):
    value, grad = rng.normal(size=(2, 5))
    return value, grad, np.zeros(5), np.zeros(5), 1, 0.5, 0.9, 0.999, 1e-2


@adam.truth
def _(value, grad, m, v, t, lr, beta1, beta2, epsilon):
    value, m, v = value.copy(), m.copy(), v.copy()
    reference.adam_step(value, grad, m, v, t, lr, beta1, beta2, epsilon)
    return value, m, v


@adam.wrong("the means are not corrected for their start at zero")
def _(value, grad, m, v, t, lr, beta1, beta2, epsilon):
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
    return value - lr * m / (np.sqrt(v) + epsilon), m, v


@adam.wrong("v is the mean of the slope, not of its square")
def _(value, grad, m, v, t, lr, beta1, beta2, epsilon):
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * abs(grad)
    return value - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon), m, v


@adam.wrong("epsilon is added inside the root")
def _(value, grad, m, v, t, lr, beta1, beta2, epsilon):
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
    return value - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + epsilon), m, v


@exercise(
    "2.5",
    "A network of two layers, backwards",
    grade="real",
    hints=[
        "Begin at the loss: dy = 2 (y - target) / y.size. Then the layer behind, then the ReLU, then the first layer.",
        "da = (dy @ w2) * (a > 0)",
    ],
    gives=("loss", "dw1", "db1", "dw2", "db2"),
)
def network_backward(x, target, w1, b1, w2, b2):
    """Loss and slopes of a = x W1ᵀ + b1, h = relu(a), y = h W2ᵀ + b2, loss = mean (y - target)².

    x (N, D), target (N, O), w1 (U, D), b1 (U,), w2 (O, U), b2 (O,) -> the loss, then a slope for each parameter
    """
    a = x @ w1.T + b1  # (N, U)
    h = np.maximum(a, 0)
    y = h @ w2.T + b2  # (N, O)
    dy = 2 * (y - target) / y.size
    da = (dy @ w2) * (a > 0)
    return ((y - target) ** 2).mean(), da.T @ x, da.sum(0), dy.T @ h, dy.sum(0)


@network_backward.case
def _(rng):
    return tuple(rng.normal(size=shape) for shape in ((6, 3), (6, 2), (5, 3), 5, (2, 5), 2))


@network_backward.truth
def _(x, target, w1, b1, w2, b2):
    rng = np.random.default_rng(0)
    model, loss = Sequential(Dense(3, 5, rng=rng), ReLU(), Dense(5, 2, rng=rng)).astype(np.float64), MeanSquaredError()
    for parameter, value in zip(model.parameters().values(), (w1, b1, w2, b2), strict=True):
        parameter.value[...] = value
    total = loss.forward(model.forward(x), target)
    model.backward(loss.backward())
    return total, *(parameter.grad for parameter in model.parameters().values())


def _slopes(x, target, w1, b1, w2, b2, gate):
    a = x @ w1.T + b1
    h = np.maximum(a, 0)
    y = h @ w2.T + b2
    dy = 2 * (y - target) / y.size
    da = (dy @ w2) * gate(a)
    return ((y - target) ** 2).mean(), da.T @ x, da.sum(0), dy.T @ h, dy.sum(0)


@network_backward.wrong("the slope of the ReLU is left out: nothing passes where it gave 0")
def _(*case):
    return _slopes(*case, np.ones_like)


@network_backward.wrong("the slope of the ReLU is its value; it is 1 or 0")
def _(*case):
    return _slopes(*case, lambda a: np.maximum(a, 0))
