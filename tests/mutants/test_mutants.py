"""Planted mistakes: each is one piece of a backward pass's source rewritten, and the gradient check must catch every one.

The rewritten source is run as a module of its own, and for one test the right functions and methods get the code of its functions
and methods, so that whoever holds them runs the mutant.
"""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import nn
from nn import gradcheck

# What is checked, by name: a layer, its inputs, and for a loss its constants.
SUBJECTS = {
    "conv": lambda rng, spread: (nn.Conv2D(2, 3, (2, 3), padding=((1, 0), (0, 2)), rng=rng), [rng.normal(size=(6, 4, 3, 2))]),
    "strided conv": lambda rng, spread: (nn.Conv2D(2, 3, 3, stride=(2, 1), rng=rng), [rng.normal(size=(2, 4, 3, 2))]),
    "square conv": lambda rng, spread: (nn.Conv2D(2, 2, 3, rng=rng), [rng.normal(size=(2, 3, 3, 2))]),
    "pool": lambda rng, spread: (nn.MaxPool2D(2), [spread(rng, 2, 4, 5, 2)]),
    "dense": lambda rng, spread: (nn.Dense(3, 3, rng=rng), [rng.normal(size=(4, 3))]),
    "flatten": lambda rng, spread: (nn.Flatten(), [rng.normal(size=(2, 3, 3, 2))]),
    "relu": lambda rng, spread: (nn.ReLU(), [spread(rng, 3, 4)]),
    "sigmoid": lambda rng, spread: (nn.Sigmoid(), [rng.normal(size=(3, 4))]),
    "tanh": lambda rng, spread: (nn.Tanh(), [rng.normal(size=(3, 4))]),
    "dropout": lambda rng, spread: (nn.Dropout(0.4, rng=rng), [rng.normal(size=(5, 6))]),
    "norm": lambda rng, spread: (uneven(nn.BatchNorm(3), rng), [rng.normal(size=(2, 2, 3, 3))]),
    "norm at evaluation": lambda rng, spread: (uneven(nn.BatchNorm(3), rng).evaluate(), [rng.normal(size=(2, 2, 3, 3))]),
    "lstm": lambda rng, spread: (nn.LSTM(2, 2, rng=rng), [rng.normal(size=shape) for shape in ((2, 3, 2), (2, 2), (2, 2))]),
    "seeded every": lambda rng, spread: (nn.SeededLSTM(2, 2, 2, (2, 3), rng=rng), [rng.normal(size=(2, 2, 2)), rng.normal(size=(2, 2))]),
    "seeded first": lambda rng, spread: (
        nn.SeededLSTM(2, 2, 2, (2, 3), injection="first", rng=rng),
        [rng.normal(size=(2, 2, 2)), rng.normal(size=(2, 2))],
    ),
    "chain": lambda rng, spread: (nn.Sequential(nn.Dense(3, 3, rng=rng), nn.Tanh(), nn.Dense(3, 3, rng=rng)), [rng.normal(size=(2, 3))]),
    "squared error": lambda rng, spread: (nn.MeanSquaredError(), [rng.normal(size=(3, 4))], rng.normal(size=(3, 4))),
    "landmark error": lambda rng, spread: (
        nn.LandmarkError(),
        [rng.normal(size=(3, 2, 2))],
        rng.normal(size=(3, 2, 2)),
        rng.uniform(0.5, 2, 3),
    ),
}


def uneven(layer, rng):
    """Scales, shifts and running averages that are not 1 and 0."""
    for member in layer.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, member.value.shape)
    return layer


# (subject, file of nn, right piece, wrong piece)
MUTANTS = [
    # convolution
    ("conv", "cpu/conv.py", "turned = w[:, ::-1, ::-1]", "turned = w"),  # filters not turned
    ("conv", "cpu/conv.py", "turned = w[:, ::-1, ::-1]", "turned = w[:, ::-1]"),  # turned over one side only
    ("square conv", "cpu/conv.py", ".transpose(3, 1, 2, 0)  # (C, R, S, O)", ".transpose(0, 1, 2, 3)"),  # C and O not exchanged
    ("square conv", "cpu/conv.py", ".transpose(3, 1, 2, 0)  # (C, R, S, O)", ".transpose(3, 2, 1, 0)"),  # R and S exchanged
    ("conv", "cpu/conv.py", "w.shape[1 + k] - 1 - padding[k][0]", "w.shape[1 + k] - padding[k][0]"),  # padding off by one
    ("conv", "cpu/conv.py", "w.shape[1 + k] - 1 - padding[k][0]", "w.shape[1 + k] - 1 - padding[k][1]"),  # the wrong side's padding
    ("strided conv", "cpu/conv.py", "spread[:, :: stride[0], :: stride[1]] = dy", "spread[:, : dy.shape[1], : dy.shape[2]] = dy"),
    ("conv", "cpu/conv.py", "partial.sum(0).reshape", "partial.mean(0).reshape"),  # mean for sum
    ("conv", "cpu/conv.py", "partial.sum(0).reshape", "partial[0].reshape"),  # images of the other groups forgotten
    ("conv", "cpu/conv.py", "column_sum(dy)", "column_sum(dy) / len(dy)"),  # mean for sum
    ("conv", "cpu/conv.py", "column_sum(dy)", "dy[0].sum((0, 1))"),  # the sum over images forgotten
    ("conv", "conv.py", "self.weight.grad += dw", "self.weight.grad = dw"),  # stale accumulation
    ("conv", "conv.py", "self.bias.grad += db", "self.bias.grad -= db"),  # sign
    ("conv", "conv.py", "self.weight.value, self.stride, padding)", "self.weight.value, self.stride, ((0, 1), (1, 1)))"),
    # pooling
    ("pool", "cpu/pool.py", "winner[n] == k", "winner[n] >= 0"),  # dy to every element of the window
    ("pool", "cpu/pool.py", "winner[n] == k", "winner[n] == size * size - 1 - k"),  # the opposite corner
    ("pool", "cpu/pool.py", "r, s = divmod(k, size)", "s, r = divmod(k, size)"),  # column-major winners
    ("pool", "cpu/pool.py", "np.multiply(dy[n], winner", "np.multiply(-dy[n], winner"),  # sign
    # dense, flatten
    ("dense", "cpu/dense.py", "return dy @ w,", "return dy @ w.T,"),  # transposed weight
    ("dense", "cpu/dense.py", "dy.T @ x", "x.T @ dy"),  # transposed gradient
    ("dense", "cpu/dense.py", "dy.sum(0)", "dy.mean(0)"),  # mean for sum
    ("dense", "cpu/dense.py", "dy.sum(0)", "dy[0]"),  # missing sum
    ("dense", "dense.py", "self.weight.grad += dw", "self.weight.grad[...] = dw"),  # stale accumulation
    ("dense", "dense.py", "self.bias.grad += db", "self.bias.grad += 2 * db"),
    ("flatten", "dense.py", "dy.reshape(self.take_saved(dy))", "dy.reshape(self.take_saved(dy)[::-1]).T"),  # wrong order of sides
    ("flatten", "dense.py", "dy.reshape(self.take_saved(dy))", "dy.reshape(self.take_saved(dy)).swapaxes(1, 2)"),
    ("flatten", "dense.py", "dy.reshape(self.take_saved(dy))", "-dy.reshape(self.take_saved(dy))"),
    # activations
    ("relu", "cpu/activation.py", "np.multiply(dy, y > 0, out=dx)", "np.multiply(dy, y >= 0, out=dx)"),  # y is never negative
    ("relu", "cpu/activation.py", "np.multiply(dy, y > 0, out=dx)", "np.multiply(dy, y, out=dx)"),
    ("relu", "cpu/activation.py", "np.multiply(dy, y > 0, out=dx)", "np.multiply(dy, dy > 0, out=dx)"),  # mask of the wrong array
    ("sigmoid", "cpu/activation.py", "dy * y * (1 - y)", "dy * y"),  # missing factor
    ("sigmoid", "cpu/activation.py", "dy * y * (1 - y)", "dy * y * (1 + y)"),  # sign
    ("sigmoid", "cpu/activation.py", "dy * y * (1 - y)", "dy * sigmoid(y) * (1 - sigmoid(y))"),  # σ twice
    ("tanh", "cpu/activation.py", "dy * (1 - y * y)", "dy * (1 - y)"),  # missing square
    ("tanh", "cpu/activation.py", "dy * (1 - y * y)", "dy * (1 + y * y)"),  # sign
    ("tanh", "cpu/activation.py", "dy * (1 - y * y)", "dy * (1 - tanh(y) ** 2)"),  # tanh twice
    # dropout
    ("dropout", "dropout.py", "return dy if kept is None else ops(dy).dropout(dy, kept, self.rate)", "return dy"),  # forgotten mask
    ("dropout", "dropout.py", "ops(dy).dropout(dy, kept, self.rate)", "ops(dy).dropout(dy, kept, 0)"),  # forgotten scale
    ("dropout", "dropout.py", "ops(dy).dropout(dy, kept, self.rate)", "ops(dy).dropout(dy, ~kept, self.rate)"),  # the others
    ("dropout", "dropout.py", "ops(dy).dropout(dy, kept, self.rate)", "self.forward(dy)"),  # a mask drawn anew
    # batch norm
    ("norm", "cpu/norm.py", "on_x = -on_dy", "on_x = 0 * on_dy"),  # forgotten path through σ²
    ("norm", "cpu/norm.py", "constant = -on_dy * dbeta / M - on_x * mean", "constant = -on_x * mean"),  # forgotten path through μ
    ("norm", "cpu/norm.py", "constant = -on_dy * dbeta / M - on_x * mean", "constant = -on_dy * dbeta / M"),
    ("norm", "cpu/norm.py", "constant = -on_dy * dbeta / M", "constant = -on_dy * dbeta / (M - 1)"),  # the unbiased count
    ("norm", "cpu/norm.py", "sums[1, :K].sum(0) * scale", "sums[1, :K].sum(0)"),  # x̂ without its division
    ("norm", "cpu/norm.py", "on_dy = gamma * scale", "on_dy = scale"),  # γ forgotten
    ("norm", "norm.py", "self.beta.grad += dbeta", "self.beta.grad += dgamma"),  # the two exchanged
    ("norm", "norm.py", "self.gamma.grad += dgamma", "self.gamma.grad = dgamma"),  # stale accumulation
    ("norm at evaluation", "norm.py", "self.epsilon, of_batch)", "self.epsilon, True)"),  # paths that are not there
    ("norm", "norm.py", "self.epsilon, of_batch)", "self.epsilon, False)"),  # paths that are
    # LSTM
    ("lstm", "cpu/lstm.py", "di, df, dg, do = np.split", "df, di, dg, do = np.split"),  # gate order
    ("lstm", "cpu/lstm.py", "di, df, dg, do = np.split", "di, df, do, dg = np.split"),
    ("lstm", "cpu/lstm.py", "dc * c[t] * f", "dc * c[t + 1] * f"),  # the cell after the step for the one before
    ("lstm", "cpu/lstm.py", "dc = dc * f", "dc = np.zeros_like(f)"),  # forgotten path through c
    ("lstm", "cpu/lstm.py", "dc = dc * f", "pass"),  # the forget gate forgotten on the way back
    ("lstm", "cpu/lstm.py", "dh_t = dh[:, t] + from_next", "dh_t = dh[:, t]"),  # forgotten path through h
    ("lstm", "cpu/lstm.py", "dc = dc + du[:, t]", "dc = du[:, t]"),  # what later steps want of c dropped
    ("lstm", "cpu/lstm.py", "o * (1 - e[t] * e[t])", "o * (1 - c[t + 1] * c[t + 1])"),  # tanh forgotten
    ("lstm", "cpu/lstm.py", "dc * i * (1 - g * g)", "dc * i * g * (1 - g)"),  # σ's slope for tanh's
    ("lstm", "cpu/lstm.py", "[h[:-1].reshape", "[h[1:].reshape"),  # h_t for h_{t-1}
    ("lstm", "cpu/lstm.py", "from_next = da[t] @ w[:, :U]", "from_next = da[t] @ w[:, U:]"),  # the incoming block for the recurrent one
    ("lstm", "cpu/lstm.py", "flat.sum(0)", "da[0].sum(0)"),  # the sum over steps forgotten
    ("lstm", "lstm.py", "return dx, dh0, dc0", "return dx, dc0, dh0"),
    # seeded LSTM
    ("seeded every", "lstm.py", "return np.add.reduceat(dx, self.first_steps, axis=1)", "return dx[:, self.first_steps]"),  # missing sum
    ("seeded first", "lstm.py", "else du[:, self.first_steps]", "else np.add.reduceat(du, self.first_steps, axis=1)"),
    ("seeded every", "lstm.py", 'if self.injection == "every" else du', 'if self.injection == "first" else du'),
    ("seeded every", "lstm.py", "self.feature_bias.grad += dbias.reshape(P, U)", "self.feature_bias.grad += dbias.reshape(U, P).T"),
    ("seeded every", "lstm.py", "dweight.reshape(P, U, F)", "dweight.reshape(P, U, F).swapaxes(1, 2)"),  # transposed gradient
    ("seeded every", "lstm.py", "return dfeatures", "return dfeatures / P"),  # mean for sum
    ("seeded every", "cpu/lstm.py", "dc = dc + du[:, t]", "dc = dc + dh_t * o * (1 - np.tanh(c[t + 1]) ** 2)"),  # u left out of tanh
    ("seeded every", "cpu/lstm.py", "du[:, t] = dh_t * o", "du[:, t] = dh[:, t] * o"),
    # a chain of layers
    ("chain", "layer.py", "dy = layer.backward(dy)", "layer.backward(dy)"),  # the same dy to all
    ("chain", "layer.py", "in reversed(list(self.children()))", "in list(self.children())"),  # not turned round
    ("chain", "layer.py", "in reversed(list(self.children()))", "in reversed(list(self.children())[1:])"),  # the first one forgotten
    # losses
    ("squared error", "cpu/loss.py", "type(2 / max", "type(1 / max"),  # the 2 of the square
    ("squared error", "cpu/loss.py", "(y - target) * y.dtype", "(target - y) * y.dtype"),  # sign
    ("squared error", "cpu/loss.py", "y.dtype.type(2 / max(1, y.size))", "y.dtype.type(2 / len(y))"),  # mean over the batch only
    ("landmark error", "cpu/loss.py", "weight = lengths * distance", "weight = lengths**2 * distance"),
    ("landmark error", "cpu/loss.py", "lengths * distance[:, None, None] * max", "lengths * max"),  # distance forgotten
    ("landmark error", "cpu/loss.py", "max(1, lengths.size)\n    return np.divide", "max(1, len(points))\n    return np.divide"),
    ("landmark error", "cpu/loss.py", "(difference**2).sum(-1, keepdims=True)", "np.abs(difference).sum(-1, keepdims=True) ** 2"),  # ‖·‖₁
]


@pytest.fixture
def plant(monkeypatch):
    """plant(file, right, wrong): give the functions and methods of a file the code that they have in its rewritten source."""

    def put(file, right, wrong):
        name = "nn." + file.removesuffix(".py").replace("/", ".")
        original = importlib.import_module(name)
        source = Path(original.__file__).read_text(encoding="utf-8")
        assert source.count(right) == 1, f"{right!r} stands {source.count(right)} times in {file}"
        mutant = ModuleType(name)
        exec(compile(source.replace(right, wrong), f"<mutant of {file}>", "exec"), vars(mutant))
        wrong_ones = functions(mutant)
        for path, function in functions(original).items():
            monkeypatch.setattr(function, "__code__", wrong_ones[path].__code__)

    return put


def functions(module):
    """The functions and methods that a module defines, by name, without their decorators."""
    own = [member for member in vars(module).values() if getattr(member, "__module__", None) == module.__name__]
    members = own + [method for member in own if isinstance(member, type) for method in vars(member).values()]
    return {f.__qualname__: f for f in map(inspect.unwrap, members) if inspect.isfunction(f)}


def judge(subject, spread):
    rng = np.random.default_rng(0)
    layer, inputs, *constants = SUBJECTS[subject](rng, spread)
    return gradcheck.check(layer, *inputs, constants=constants, rng=rng, exhaustive=200)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_right_one_passes(subject, spread):
    report = judge(subject, spread)
    assert report.ok(1e-7), f"\n{report}"


@pytest.mark.parametrize(("subject", "file", "right", "wrong"), MUTANTS)
def test_the_mutant_is_caught(subject, file, right, wrong, plant, spread):
    plant(file, right, wrong)
    report = judge(subject, spread)
    assert not report.ok(1e-4), f"\n{report}"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_subject_has_mutants(subject):
    """Three or more a layer; its variants (a stride, a mode) count together."""
    family = {"strided conv": "conv", "square conv": "conv", "norm at evaluation": "norm", "seeded first": "seeded every"}
    of = family.get(subject, subject)
    assert sum(family.get(name, name) == of for name, *_ in MUTANTS) >= 3
