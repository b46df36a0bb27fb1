"""Exercises of chapter 5: pooling, batch norm, dropout."""

import numpy as np

from nn import BatchNorm, reference
from tutorials.exercise import exercise


@exercise("5.1", "Dropout", grade="one line", hints=["Silence, then divide.", "x * kept / (1 - rate)"], gives="y")
def dropout(x, kept, rate):
    """Dropout in training, with the mask given.

    x (N, D), kept (N, D) of True and False, rate the probability of silence -> y (N, D)
    """
    return x * kept / (1 - rate)


@dropout.case
def _(rng):
    return rng.normal(size=(3, 4)), rng.random((3, 4)) > 0.3, 0.3


@dropout.truth
def _(x, kept, rate):
    return np.where(kept, x, 0) * (1 / (1 - rate))


@dropout.wrong("it divides by the rate: what is kept has probability 1 - rate")
def _(x, kept, rate):
    return x * kept / rate


@dropout.wrong("without the division the mean shrinks, and evaluation sees larger numbers than training did")
def _(x, kept, rate):
    return x * kept


@exercise(
    "5.2",
    "Max pooling",
    grade="a few lines",
    hints=["Cut off what no window sees, then reshape to (N, I, 2, J, 2, C).", "Bring a window's two axes side by side, then max, argmax."],
    gives=("y", "winner"),
)
def max_pool(x):
    """2 × 2 windows, stride 2; a last odd row or column belongs to no window.

    x (N, H, W, C) -> y (N, H // 2, W // 2, C) and winner, the same shape: 0, 1, 2, 3 in reading order, of equals the first
    """
    N, H, W, C = x.shape
    I, J = H // 2, W // 2
    windows = x[:, : 2 * I, : 2 * J].reshape(N, I, 2, J, 2, C).transpose(0, 1, 3, 2, 4, 5).reshape(N, I, J, 4, C)
    return windows.max(3), windows.argmax(3)


@max_pool.case
def _(rng):
    return rng.normal(size=(2, 5, 6, 3))


@max_pool.case
def _(rng):
    return rng.integers(0, 2, (1, 4, 4, 2)).astype(float)


@max_pool.truth
def _(x):
    return reference.maxpool2d(x, 2)


@max_pool.wrong("of equals the last one wins; the rule is the first")
def _(x):
    y, _ = max_pool.solution(x)
    N, I, J, C = y.shape
    windows = x[:, : 2 * I, : 2 * J].reshape(N, I, 2, J, 2, C).transpose(0, 1, 3, 2, 4, 5).reshape(N, I, J, 4, C)
    return y, 3 - windows[:, :, :, ::-1].argmax(3)


@max_pool.wrong("the winner is counted down the columns, not in reading order")
def _(x):
    y, _ = max_pool.solution(x)
    return y, max_pool.solution(x.transpose(0, 2, 1, 3))[1].transpose(0, 2, 1, 3)


@exercise(
    "5.3",
    "Max pooling, backwards",
    grade="a few lines",
    hints=["Begin with zeros of the shape of x.", "For k in 0..3: dx[:, k // 2 : 2 * I : 2, k % 2 : 2 * J : 2] = dy * (winner == k)"],
    gives="dx",
)
def max_pool_backward(dy, winner, shape):
    """The slopes of the input of 2 × 2 max pooling.

    dy, winner (N, I, J, C), shape = (N, H, W, C) of x -> dx of that shape
    """
    dx = np.zeros(shape)
    _, I, J, _ = dy.shape
    for k in range(4):
        dx[:, k // 2 : 2 * I : 2, k % 2 : 2 * J : 2] = dy * (winner == k)
    return dx


@max_pool_backward.case
def _(rng):
    winner = max_pool.solution(rng.normal(size=(2, 5, 6, 3)))[1]
    return rng.normal(size=winner.shape), winner, (2, 5, 6, 3)


@max_pool_backward.truth
def _(dy, winner, shape):
    return reference.maxpool2d_backward(dy, winner, 2, shape)


@max_pool_backward.wrong("every number of the window gets the slope; only the winner does")
def _(dy, winner, shape):
    dx = np.zeros(shape)
    _, I, J, _ = dy.shape
    dx[:, : 2 * I, : 2 * J] = dy.repeat(2, 1).repeat(2, 2)
    return dx


@max_pool_backward.wrong("this is the slope of mean pooling: a quarter for each")
def _(dy, winner, shape):
    dx = np.zeros(shape)
    _, I, J, _ = dy.shape
    dx[:, : 2 * I, : 2 * J] = dy.repeat(2, 1).repeat(2, 2) / 4
    return dx


@exercise(
    "5.4",
    "Running averages, and the line",
    grade="a few lines",
    hints=[
        "x.var(0) divides by M; the average takes M / (M - 1) times that.",
        "slope = gamma / √(variance + epsilon), with the new variance",
    ],
    gives=("mean", "variance", "slope", "offset"),
)
def running(x, mean, variance, gamma, beta, momentum, epsilon):
    """One training step's update of the running mean and variance, and then evaluation's line y = slope · x + offset.

    x (M, C); mean, variance, gamma, beta (C,); momentum and epsilon numbers -> four arrays (C,)
    """
    M = len(x)
    mean = mean + momentum * (x.mean(0) - mean)
    variance = variance + momentum * (x.var(0) * M / (M - 1) - variance)
    slope = gamma / np.sqrt(variance + epsilon)
    return mean, variance, slope, beta - slope * mean


@running.case
def _(rng):
    return rng.normal(2, 3, size=(6, 4)), rng.normal(size=4), rng.uniform(1, 2, 4), rng.normal(size=4), rng.normal(size=4), 0.1, 1e-3


@running.truth
def _(x, mean, variance, gamma, beta, momentum, epsilon):
    norm = BatchNorm(x.shape[1], momentum=momentum, epsilon=epsilon).astype(np.float64)
    for array, value in ((norm.mean, mean), (norm.variance, variance), (norm.gamma, gamma), (norm.beta, beta)):
        array.value[...] = value
    norm.forward(x)
    return norm.mean.value, norm.variance.value, *norm.line()


def _running(x, mean, variance, gamma, beta, share, unbiased, epsilon):
    M = len(x)
    mean = mean + share * (x.mean(0) - mean)
    variance = variance + share * (x.var(0) * (M / (M - 1) if unbiased else 1) - variance)
    slope = gamma / np.sqrt(variance + epsilon)
    return mean, variance, slope, beta - slope * mean


@running.wrong("momentum is the share of the new batch, not of what was kept")
def _(x, mean, variance, gamma, beta, momentum, epsilon):
    return _running(x, mean, variance, gamma, beta, 1 - momentum, True, epsilon)


@running.wrong("the variance of the batch goes in without M / (M - 1)")
def _(x, mean, variance, gamma, beta, momentum, epsilon):
    return _running(x, mean, variance, gamma, beta, momentum, False, epsilon)


@exercise(
    "5.5",
    "Batch norm, backwards",
    grade="real",
    hints=["The means run over the axes 0, 1, 2.", "dx = rho (dn - mean(dn) - n mean(dn n)) with dn = gamma dy and n the normalised x"],
    gives=("dx", "dgamma", "dbeta"),
)
def batch_norm_backward(dy, x, gamma, epsilon):
    """Slopes of batch norm in training, on maps: the statistics are the batch's own.

    dy, x (N, H, W, C), gamma (C,), epsilon a number -> dx (N, H, W, C), dgamma (C,), dbeta (C,)
    """
    axes = (0, 1, 2)
    rho = 1 / np.sqrt(x.var(axes) + epsilon)
    normal = rho * (x - x.mean(axes))
    dnormal = gamma * dy
    dx = rho * (dnormal - dnormal.mean(axes) - normal * (dnormal * normal).mean(axes))
    return dx, (dy * normal).sum(axes), dy.sum(axes)


@batch_norm_backward.case
def _(rng):
    return rng.normal(size=(2, 3, 4, 5)), rng.normal(1, 2, size=(2, 3, 4, 5)), rng.normal(size=5), 1e-3


@batch_norm_backward.truth
def _(dy, x, gamma, epsilon):
    mean, variance = reference.batch_statistics(x)
    return reference.batch_norm_backward(dy, x, gamma, mean, variance, epsilon, True)


def _paths(dy, x, gamma, epsilon, mean_path=True, variance_path=True):
    axes = (0, 1, 2)
    rho = 1 / np.sqrt(x.var(axes) + epsilon)
    normal = rho * (x - x.mean(axes))
    dnormal = gamma * dy
    dx = dnormal - mean_path * dnormal.mean(axes) - variance_path * normal * (dnormal * normal).mean(axes)
    return rho * dx, (dy * normal).sum(axes), dy.sum(axes)


@batch_norm_backward.wrong("this is the direct path alone: the paths through the mean and the variance are missing")
def _(*case):
    return _paths(*case, mean_path=False, variance_path=False)


@batch_norm_backward.wrong("the path through the variance is missing")
def _(*case):
    return _paths(*case, variance_path=False)


@batch_norm_backward.wrong("the path through the mean is missing")
def _(*case):
    return _paths(*case, mean_path=False)
