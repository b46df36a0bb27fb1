"""Planted mistakes: each is one piece of a backward pass's source rewritten, and the gradient check must catch every one.

The rewritten source is run as a module of its own, and for one test the right functions and methods get the code of its functions
and methods, so that whoever holds them runs the mutant, and the module its constants. Memory comes dirty: what nobody wrote is NaN.
"""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import nn
from nn import gradcheck
from nn.cpu import conv, product, winograd

pytestmark = pytest.mark.usefixtures("dirty_memory")


class Folded(nn.Layer):
    """Evaluation's forward pass of a block, which keeps nothing, with the backward pass of its layers one by one."""

    def __init__(self, block):
        self.block = block

    def forward(self, x):
        y = self.block.evaluate().forward(x)
        self.block.train(False).forward(x)
        return y

    def backward(self, dy):
        return self.block.backward(dy)


# What is checked, by name: a layer, its inputs, and for a loss its constants.
SUBJECTS = {
    "conv": lambda rng, spread: (nn.Conv2D(2, 3, (2, 3), padding=((1, 0), (0, 2)), rng=rng), [rng.normal(size=(6, 4, 3, 2))]),
    "strided conv": lambda rng, spread: (nn.Conv2D(2, 3, 3, stride=(2, 3), rng=rng), [rng.normal(size=(2, 4, 5, 2))]),
    "square conv": lambda rng, spread: (nn.Conv2D(2, 2, 3, rng=rng), [rng.normal(size=(2, 3, 3, 2))]),
    "blocked": lambda rng, spread: (nn.Conv2D(2, 3, (2, 3), padding=((1, 0), (0, 2)), rng=rng), [rng.normal(size=(2, 4, 3, 2))]),
    "blocked and strided": lambda rng, spread: (nn.Conv2D(2, 3, 3, stride=(2, 1), rng=rng), [rng.normal(size=(2, 4, 3, 2))]),
    "blocked and square": lambda rng, spread: (nn.Conv2D(2, 2, 3, rng=rng), [rng.normal(size=(2, 3, 3, 2))]),
    **{
        f"winograd{m}{by}": lambda rng, spread: (nn.Conv2D(2, 2, padding=((2, 0), (1, 2)), rng=rng), [rng.normal(size=(3, 5, 4, 2))])
        for m in (2, 4)
        for by in ("", " by area")
    },
    "framed": lambda rng, spread: (nn.Conv2D(1, 2, padding=1, rng=rng), [rng.normal(size=(4, 3, 4, 1))]),
    "pool": lambda rng, spread: (nn.MaxPool2D(2), [spread(rng, 2, 4, 4, 2)]),
    "dense": lambda rng, spread: (nn.Dense(3, 3, rng=rng), [rng.normal(size=(4, 3))]),
    "dense in pieces": lambda rng, spread: (nn.Dense(16, 32, rng=rng), [rng.normal(size=(2, 16))]),
    "flatten": lambda rng, spread: (nn.Flatten(), [rng.normal(size=(2, 3, 3, 2))]),
    "relu": lambda rng, spread: (nn.ReLU(), [spread(rng, 3, 4)]),
    "sigmoid": lambda rng, spread: (nn.Sigmoid(), [rng.normal(size=(3, 4))]),
    "tanh": lambda rng, spread: (nn.Tanh(), [rng.normal(size=(3, 4))]),
    "dropout": lambda rng, spread: (nn.Dropout(0.4, rng=rng), [rng.normal(size=(5, 6))]),
    "norm": lambda rng, spread: (uneven(nn.BatchNorm(3), rng), [rng.normal(size=(2, 2, 3, 3))]),
    "norm at evaluation": lambda rng, spread: (uneven(nn.BatchNorm(3), rng).train(False), [rng.normal(size=(2, 2, 3, 3))]),
    "norm with relu": lambda rng, spread: (uneven(nn.BatchNorm(3, relu=True), rng), [rng.normal(size=(2, 2, 3, 3))]),
    "block": lambda rng, spread: (uneven(nn.ConvBlock(2, 3, 2, rng=rng), rng), [rng.normal(size=(3, 3, 2, 2))]),
    "folded block": lambda rng, spread: (Folded(uneven(nn.ConvBlock(2, 3, 2, rng=rng), rng)), [rng.normal(size=(3, 3, 2, 2))]),
    "winograd4 folded block": lambda rng, spread: (Folded(uneven(nn.ConvBlock(2, 3, rng=rng), rng)), [rng.normal(size=(2, 5, 4, 2))]),
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
    """Scales, shifts and running averages that are not 1 and 0, and an ε that counts."""
    for owner in (layer for _, layer in layer.layers() if isinstance(layer, nn.BatchNorm)):
        owner.epsilon = 0.1
        for member in owner.buffers().values():
            member.value[...] = rng.uniform(0.5, 2, member.value.shape)
    return layer


# (subject, file of nn, right piece, wrong piece)
MUTANTS = [
    # convolution: dx by im2col, the rest blocked
    ("conv", "cpu/im2col.py", "seen[0, r : r + I *", "seen[0, R - 1 - r : R - 1 - r + I *"),  # places turned over
    ("square conv", "cpu/im2col.py", "+= back[:, :, r, s]", "+= back[:, :, s, r]"),  # R and S exchanged
    ("conv", "cpu/im2col.py", "+= back[:, :, r, s]", "= back[:, :, r, s]"),  # what other windows handed back forgotten
    ("strided conv", "cpu/im2col.py", "seen[0, r : r + I * stride[0] : stride[0],", "seen[0, r : r + I,"),  # as if the stride were 1
    ("conv", "cpu/im2col.py", "frame(seen, (padding[0][0],", "frame(seen, (padding[0][1],"),  # the wrong side's padding
    ("conv", "cpu/im2col.py", "frame(seen, (padding[0][0],", "frame(seen, (padding[0][0] - 1,"),  # padding off by one
    ("conv", "cpu/im2col.py", "partial.sum(0).reshape", "partial.mean(0).reshape"),  # mean for sum
    ("conv", "cpu/im2col.py", "partial.sum(0).reshape", "partial[0].reshape"),  # images of the other groups forgotten
    ("conv", "cpu/im2col.py", "partial[g] += np.matmul(dy", "partial[g] = np.matmul(dy"),  # of a group only the last area
    ("conv", "cpu/im2col.py", "parallel(group, GROUPS)", "parallel(group, GROUPS - 1)"),  # a group forgotten
    ("square conv", "cpu/im2col.py", "row * stride[0], pixel * stride[1], row, pixel,", "row * stride[0], pixel * stride[1], pixel, row,"),
    ("strided conv", "cpu/im2col.py", "pixel * stride[1], row,", "pixel, row,"),  # windows one pixel apart
    ("strided conv", "cpu/im2col.py", "first = rows.start * stride[0] -", "first = rows.start -"),  # an area's first row
    ("conv", "cpu/im2col.py", "- padding[0][0], -padding[1][0]", "- padding[0][1], -padding[1][0]"),  # the wrong side's padding
    ("conv", "cpu/conv.py", "column_sum(dy)", "column_sum(dy) / len(dy)"),  # mean for sum
    ("conv", "cpu/conv.py", "column_sum(dy)", "dy[0].sum((0, 1))"),  # the sum over images forgotten
    ("conv", "conv.py", "self.weight.add_grad(dw)", "self.weight.grad = dw"),  # stale accumulation
    ("conv", "conv.py", "self.bias.add_grad(db)", "self.bias.add_grad(-db)"),  # sign
    ("conv", "conv.py", "dy, x, w, self.stride, padding,", "dy, x, w, self.stride, ((0, 1), (1, 1)),"),
    # convolution, dx as a convolution
    ("blocked", "cpu/im2col.py", "w[:, ::-1, ::-1]", "w"),  # filters not turned
    ("blocked", "cpu/im2col.py", "w[:, ::-1, ::-1]", "w[:, ::-1]"),  # turned over one side only
    ("blocked and square", "cpu/im2col.py", ".transpose(3, 1, 2, 0))  # (C, R, S, O)", ".transpose(0, 1, 2, 3))"),  # C and O not exchanged
    ("blocked and square", "cpu/im2col.py", ".transpose(3, 1, 2, 0))  # (C, R, S, O)", ".transpose(3, 2, 1, 0))"),  # R and S exchanged
    ("blocked", "cpu/im2col.py", "w.shape[1 + k] - 1 - padding[k][0] for", "w.shape[1 + k] - padding[k][0] for"),  # padding off by one
    ("blocked", "cpu/im2col.py", "w.shape[1 + k] - 1 - padding[k][0] for", "w.shape[1 + k] - 1 - padding[k][1] for"),  # the wrong side's
    ("blocked and strided", "cpu/im2col.py", "spread[:, :: stride[0], :: stride[1]] = dy", "spread[:, : dy.shape[1], : dy.shape[2]] = dy"),
    # Winograd's: the matrices
    ("winograd4", "cpu/winograd.py", "[4, 0, -5, 0, 1, 0]", "[4, 0, -4, 0, 1, 0]"),
    ("winograd4", "cpu/winograd.py", "[0, -2, -1, 2, 1, 0]", "[0, -2, -1, 2, -1, 0]"),
    ("winograd4", "cpu/winograd.py", "[1 / 24, 1 / 12, 1 / 6]", "[1 / 24, 1 / 6, 1 / 12]"),
    ("winograd4", "cpu/winograd.py", "[-1 / 6, 1 / 6, -1 / 6]", "[-1 / 6, -1 / 6, -1 / 6]"),
    ("winograd4", "cpu/winograd.py", "[0, 1, 1, 4, 4, 0]", "[0, 1, 1, 4, -4, 0]"),
    ("winograd4", "cpu/winograd.py", "[0, 1, -1, 8, -8, 1]", "[0, 1, -1, 8, -8, 0]"),
    ("winograd2", "cpu/winograd.py", "[[1, 0, -1, 0]", "[[1, 0, 1, 0]"),
    ("winograd2", "cpu/winograd.py", "[0, 1, 0, -1]]", "[0, 1, 0, 1]]"),
    ("winograd2", "cpu/winograd.py", "[1 / 2, -1 / 2, 1 / 2]", "[1 / 2, 1 / 2, 1 / 2]"),
    ("winograd2", "cpu/winograd.py", "[0, 1, -1, -1]]", "[0, 1, -1, 1]]"),
    ("winograd2", "cpu/winograd.py", "np.kron(matrix[m], matrix[m])", "np.kron(matrix[m], np.roll(matrix[m], 1, 0))"),  # two matrices
    # the tiles
    *(
        (f"winograd{m}", "cpu/winograd.py", *pieces)
        for m in (2, 4)
        for pieces in [
            ("transformed_filters(w[:, ::-1, ::-1], m)", "transformed_filters(w, m)"),  # filters not turned
            ("transformed_filters(w[:, ::-1, ::-1], m)", "transformed_filters(w[:, ::-1], m)"),  # turned over one side only
            ("transformed_filters(w, m).transpose(0, 2, 1)", "transformed_filters(w, m)"),  # C and O not exchanged
            ("(padding[0][0] - 2, padding[1][0] - 2)", "(padding[0][0] - 1, padding[1][0] - 2)"),  # padding off by one
            ("(padding[0][0] - 2, padding[1][0] - 2)", "(padding[0][0] - 2, padding[1][1] - 2)"),  # the wrong side's
            ("first = -padding[0][0], -padding[1][0]", "first = -padding[0][1], -padding[1][0]"),
            ("m * row, m * pixel, number)", "m * row, pixel, number)"),  # tiles one pixel apart
            ("(row, pixel, image,", "(pixel, row, image,"),  # tiles transposed
            ("first[0] + rows.start * m,", "first[0] + rows.start,"),  # an area's first row
            ("gathered(dy, cut[k], across, (0, 0), m, m)", "gathered(dy, cut[k], across, (0, 1), m, m)"),
            ("E: np.ndarray) -> None:\n        np.matmul(BB,", "E: np.ndarray) -> None:\n        np.matmul(BB.T,"),  # B for Bᵀ
            ("(k: int, V: np.ndarray) -> None:\n        np.matmul(BB,", "(k: int, V: np.ndarray) -> None:\n        np.matmul(BB.T,"),
            ("reshape(3, 3, O, C).transpose(2, 0, 1, 3)", "reshape(3, 3, O, C).transpose(2, 1, 0, 3)"),  # R and S exchanged
            ("w[own].transpose(1, 2, 0, 3)", "w[own].transpose(2, 1, 0, 3)"),
            (".transpose(2, 3, 0, 4, 1, 5)", ".transpose(2, 3, 1, 4, 0, 5)"),  # a tile's rows and columns exchanged
            ("part[...] = whole[:, : part.shape[1], : part.shape[2]]", "pass"),  # the last tiles forgotten
            ("E[point].T, V[point]", "E[point].T, V[0]"),
        ]
    ),
    *(
        (f"winograd{m} by area", "cpu/winograd.py", *pieces)
        for m in (2, 4)
        for pieces in [
            ("partial[g] += np", "partial[g] = np"),  # of a group only the last area
            ("return partial.sum(0)", "return partial.mean(0)"),  # mean for sum
            ("return partial.sum(0)", "return partial[0]"),  # the other groups forgotten
            ("for k in range(len(own) * g // GROUPS,", "for k in range(1 + len(own) * g // GROUPS,"),  # the first area of each
        ]
    ),
    # the frame of zeros, and the cut
    ("framed", "cpu/frame.py", "out[:, : inside[0].start] = 0", "pass"),
    ("framed", "cpu/frame.py", "out[:, inside[0].stop :] = 0", "pass"),
    ("framed", "cpu/frame.py", "out[:, inside[0], : inside[1].start] = 0", "pass"),
    ("framed", "cpu/frame.py", "out[:, inside[0], inside[1].stop :] = 0", "pass"),
    ("strided conv", "cpu/frame.py", "for i in range(0, rows, step)", "for i in range(0, rows - 1, step)"),  # an image's last row forgotten
    ("conv", "cpu/frame.py", "for n in range(0, images, step)", "for n in range(0, images - 1, step)"),  # the last image forgotten
    # pooling
    ("pool", "cpu/pool.py", "np.equal(winner[cut[k]], number,", "np.greater_equal(winner[cut[k]], 0,"),  # dy to every element of the window
    (
        "pool",
        "cpu/pool.py",
        "np.equal(winner[cut[k]], number,",
        "np.equal(winner[cut[k]], size * size - 1 - number,",
    ),  # the opposite corner
    ("pool", "cpu/pool.py", "count += unmet", "count |= unmet"),  # counts to one
    ("pool", "cpu/pool.py", "for place in (first, *others[:-1])", "for place in others"),  # counts from the second place on
    ("pool", "cpu/pool.py", "enumerate(places(dx, cut[k], size, J))", "enumerate(places(dx.swapaxes(1, 2), cut[k], size, J))"),
    ("pool", "cpu/pool.py", "np.multiply(dy[cut[k]], won", "np.multiply(-dy[cut[k]], won"),  # sign
    # dense, flatten
    ("dense", "cpu/dense.py", "product(dy, w)", "product(dy, w.T)"),  # transposed weight
    ("dense", "cpu/dense.py", "product(dy.T, x)", "product(x.T, dy)"),  # transposed gradient
    ("dense", "cpu/dense.py", "dy.sum(0)", "dy.mean(0)"),  # mean for sum
    ("dense", "cpu/dense.py", "dy.sum(0)", "dy[0]"),  # missing sum
    ("dense", "dense.py", "self.weight.add_grad(dw)", "self.weight.grad[...] = dw"),  # stale accumulation
    ("dense", "dense.py", "self.bias.add_grad(db)", "self.bias.add_grad(2 * db)"),
    ("flatten", "dense.py", "dy.reshape(self.take_saved(dy))", "dy.reshape(self.take_saved(dy)[::-1]).T"),  # wrong order of sides
    ("flatten", "dense.py", "dy.reshape(self.take_saved(dy))", "dy.reshape(self.take_saved(dy)).swapaxes(1, 2)"),
    ("flatten", "dense.py", "dy.reshape(self.take_saved(dy))", "-dy.reshape(self.take_saved(dy))"),
    # activations
    ("relu", "cpu/activation.py", "np.greater(y, 0, out", "np.greater_equal(y, 0, out"),  # y is never negative
    ("relu", "cpu/activation.py", "np.greater(y, 0, out=empty(y.shape, bool))", "y"),
    ("relu", "cpu/activation.py", "np.greater(y, 0, out", "np.greater(dy, 0, out"),  # mask of the wrong array
    ("sigmoid", "cpu/activation.py", "dy * y * (1 - y)", "dy * y"),  # missing factor
    ("sigmoid", "cpu/activation.py", "dy * y * (1 - y)", "dy * y * (1 + y)"),  # sign
    ("sigmoid", "cpu/activation.py", "dy * y * (1 - y)", "dy * sigmoid(y) * (1 - sigmoid(y))"),  # σ twice
    ("tanh", "cpu/activation.py", "dy * (1 - y * y)", "dy * (1 - y)"),  # missing square
    ("tanh", "cpu/activation.py", "dy * (1 - y * y)", "dy * (1 + y * y)"),  # sign
    ("tanh", "cpu/activation.py", "dy * (1 - y * y)", "dy * (1 - tanh(y) ** 2)"),  # tanh twice
    # dropout
    ("dropout", "dropout.py", "return dy if seed is None else ops(dy).dropout(dy, seed, self.rate)", "return dy"),  # forgotten mask
    ("dropout", "dropout.py", "ops(dy).dropout(dy, seed, self.rate)", "ops(dy).dropout(dy, seed, 0)"),  # forgotten scale
    ("dropout", "dropout.py", "ops(dy).dropout(dy, seed, self.rate)", "ops(dy).dropout(dy, seed + 1, self.rate)"),  # the others
    ("dropout", "dropout.py", "ops(dy).dropout(dy, seed, self.rate)", "self.forward(dy)"),  # a mask drawn anew
    # batch norm
    ("norm", "cpu/norm.py", "on_x = -on_dy", "on_x = 0 * on_dy"),  # forgotten path through σ²
    ("norm", "cpu/norm.py", "constant = -on_dy * dbeta / M - on_x * mean", "constant = -on_x * mean"),  # forgotten path through μ
    ("norm", "cpu/norm.py", "constant = -on_dy * dbeta / M - on_x * mean", "constant = -on_dy * dbeta / M"),
    ("norm", "cpu/norm.py", "constant = -on_dy * dbeta / M", "constant = -on_dy * dbeta / (M - 1)"),  # the unbiased count
    ("norm", "cpu/norm.py", "sums[1, :K].sum(0) * scale", "sums[1, :K].sum(0)"),  # x̂ without its division
    ("norm", "cpu/norm.py", "on_dy = gamma * scale", "on_dy = scale"),  # γ forgotten
    ("norm", "norm.py", "self.beta.add_grad(dbeta)", "self.beta.add_grad(dgamma)"),  # the two exchanged
    ("norm", "norm.py", "self.gamma.add_grad(dgamma)", "self.gamma.grad = dgamma"),  # stale accumulation
    ("norm at evaluation", "norm.py", "self.epsilon, of_batch, beta", "self.epsilon, True, beta"),  # paths that are not there
    ("norm", "norm.py", "self.epsilon, of_batch, beta", "self.epsilon, False, beta"),  # paths that are
    # batch norm with a ReLU
    ("norm with relu", "cpu/norm.py", "np.greater(y, 0, out=empty(y.shape, bool))", "1"),  # mask forgotten
    ("norm with relu", "cpu/norm.py", "np.greater(y, 0, out", "np.greater(as_rows(dy)[block], 0, out"),  # mask of dy
    ("norm with relu", "cpu/norm.py", "np.greater(y, 0, out", "np.greater(rows[block], 0, out"),  # mask of x
    ("norm with relu", "cpu/norm.py", "y += line[1]", "pass"),  # mask of the line without its offset
    ("norm with relu", "cpu/norm.py", "if beta is None else out", "if beta is None else as_rows(dy)"),  # mask dropped on the way
    ("norm with relu", "norm.py", "beta = self.beta.value if self.relu else None", "beta = None"),  # no ReLU on the way back
    ("norm with relu", "norm.py", "beta = self.beta.value if", "beta = 0 * self.beta.value if"),  # β ignored
    ("norm with relu", "norm.py", "relu=self.relu)", "relu=False)"),  # none on the way there
    # the block
    ("block", "block.py", "self.conv.backward(self.norm.backward(dy))", "self.conv.backward(dy)"),  # batch norm skipped
    ("block", "block.py", "self.norm.forward(self.conv.forward(x))", "-self.norm.forward(self.conv.forward(x))"),  # sign
    ("folded block", "block.py", "offset, relu=True)", "self.norm.beta.value, relu=True)"),  # folded without the mean
    ("folded block", "block.py", "offset, relu=True)", "offset, relu=False)"),  # folded without the ReLU
    ("folded block", "block.py", "* slope[:, None, None, None]", "* self.norm.gamma.value[:, None, None, None]"),  # without σ
    ("folded block", "block.py", "not all(map(same, made_of, self._folded[0]))", "False"),  # the filters of before
    ("folded block", "block.py", "BatchNorm(outputs, relu=True)", "BatchNorm(outputs)"),  # a ReLU in the folded pass alone
    ("folded block", "norm.py", "self.beta.value - slope * self.mean.value", "self.beta.value + slope * self.mean.value"),  # sign
    ("folded block", "norm.py", "np.sqrt(self.variance.value + self.epsilon)", "np.sqrt(self.variance.value)"),  # ε forgotten
    ("folded block", "cpu/im2col.py", "product += b", "pass"),  # bias forgotten
    ("folded block", "cpu/im2col.py", "np.maximum(product, 0, out=product)", "pass"),  # ReLU forgotten
    ("winograd4 folded block", "cpu/winograd.py", "np.add(in_place, b,", "np.add(in_place, 0,"),  # bias forgotten
    ("winograd4 folded block", "cpu/winograd.py", "np.add(in_place, b,", "np.add(in_place, b[::-1],"),  # bias of another channel
    ("winograd4 folded block", "cpu/winograd.py", "np.maximum(whole, 0, out=whole)", "pass"),  # ReLU forgotten
    ("winograd4 folded block", "cpu/winograd.py", "key = id(w), m", "key = w.shape, m"),  # the transform of other filters
    # LSTM
    ("lstm", "cpu/lstm.py", "[0.5, 0.5, 1, 0.5]", "[0.5, 0.5, 0.5, 1]"),  # forward: the tanh is not g's
    ("lstm", "cpu/lstm.py", "a += 1 - half", "a += 0.5"),  # g lifted too
    ("lstm", "cpu/lstm.py", "i, f, g, o = fourths(a", "f, i, g, o = fourths(a"),  # gate order
    ("lstm", "cpu/lstm.py", "np.multiply(f, c[t], out", "np.multiply(f, c[0], out"),  # always the first cell
    ("lstm", "cpu/lstm.py", "a += h[t] @ recurrent", "a += h[0] @ recurrent"),  # always the first state
    ("lstm", "cpu/lstm.py", "product(flat.T, inputs)", "product(flat.T, inputs[::-1])"),  # steps and inputs out of step
    ("lstm", "cpu/lstm.py", "di, df, dg, do = fourths", "df, di, dg, do = fourths"),  # gate order
    ("lstm", "cpu/lstm.py", "di, df, dg, do = fourths", "di, df, do, dg = fourths"),
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
    ("seeded every", "lstm.py", "return self.sum_of_parts(dx)", "return dx[:, self.first_steps]"),  # missing sum
    ("seeded first", "lstm.py", "else du[:, self.first_steps]", "else self.sum_of_parts(du)"),
    ("seeded every", "lstm.py", 'if self.injection == "every" else du', 'if self.injection == "first" else du'),
    ("seeded every", "lstm.py", "dbias.reshape(P, U)", "dbias.reshape(U, P).T"),
    ("seeded every", "lstm.py", "dweight.reshape(P, U, F)", "dweight.reshape(P, U, F).swapaxes(1, 2)"),  # transposed gradient
    ("seeded every", "lstm.py", "return dfeatures", "return dfeatures / P"),  # mean for sum
    ("seeded every", "cpu/lstm.py", "dc = dc + du[:, t]", "dc = dc + dh_t * o * (1 - np.tanh(c[t + 1]) ** 2)"),  # u left out of tanh
    ("seeded every", "cpu/lstm.py", "du[:, t] = dh_t * o", "du[:, t] = dh[:, t] * o"),
    # a product in pieces
    ("dense in pieces", "cpu/product.py", "parallel(work, pieces)", "parallel(work, pieces - 1)"),  # the last piece dropped
    ("dense in pieces", "cpu/product.py", "np.matmul(a[own], b,", "np.matmul(a[: own.stop - own.start], b,"),  # always the first rows
    ("dense in pieces", "cpu/product.py", "np.matmul(a, b[:, own],", "np.matmul(a, b[:, : own.stop - own.start],"),  # or columns
    # a parameter
    ("dense", "layer.py", "self._grad += gradient", "self._grad = gradient"),  # stale accumulation
    ("dense", "layer.py", "self._grad += gradient", "pass"),  # only the first gradient counts
    ("dense", "layer.py", "self._grad: np.ndarray | None = None", 'self._grad = vars(self).get("_grad")'),  # zero_grad does nothing
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
    """plant(file, right, wrong): give a file's functions, methods and constants what they have in its rewritten source."""
    forget = []

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
        for constant, value in vars(mutant).items():
            if isinstance(value, dict) and constant.isupper() and value != vars(original)[constant]:
                monkeypatch.setattr(original, constant, value)
        forget.extend(member.cache_clear for member in vars(original).values() if hasattr(member, "cache_clear"))
        remember_nothing()

    def remember_nothing():
        for clear in forget:
            clear()

    yield put
    monkeypatch.undo()
    remember_nothing()


def functions(module):
    """The functions and methods that a module defines, by name, without their decorators."""
    own = [member for member in vars(module).values() if getattr(member, "__module__", None) == module.__name__]
    members = own + [method for member in own if isinstance(member, type) for method in vars(member).values()]
    return {f.__qualname__: f for f in map(inspect.unwrap, members) if inspect.isfunction(f)}


@pytest.fixture
def judge(monkeypatch, spread):
    """judge(subject): the gradient check's report. A subject that starts with a rung's name goes by that rung in all passes."""

    def report(subject):
        rung, *_ = subject.split()
        if rung in conv.RUNGS:
            monkeypatch.setattr(conv, "best_rung", lambda *_: rung)
        if rung.startswith("winograd"):
            monkeypatch.setattr(winograd, "few", lambda *_: not subject.endswith("by area"))
            monkeypatch.setattr(winograd, "TILES", 2)
        if subject.endswith("in pieces"):
            monkeypatch.setattr(product, "PIECE", 20)
        rng = np.random.default_rng(0)
        layer, inputs, *constants = SUBJECTS[subject](rng, spread)
        return gradcheck.check(layer, *inputs, constants=constants, rng=rng)

    return report


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_right_one_passes(subject, judge):
    report = judge(subject)
    assert report.ok(1e-7), f"\n{report}"


@pytest.mark.parametrize(("subject", "file", "right", "wrong"), MUTANTS)
def test_the_mutant_is_caught(subject, file, right, wrong, plant, judge):
    plant(file, right, wrong)
    report = judge(subject)
    assert not report.ok(1e-4), f"\n{report}"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_subject_has_mutants(subject):
    """Three or more a layer; its variants (a stride, a mode, a rung) count together."""
    family = {
        "norm at evaluation": "norm",
        "seeded first": "seeded every",
        "winograd4 folded block": "folded block",
        "block": "folded block",
    }
    family |= {name: "conv" for name in ("strided conv", "square conv")}
    family |= {name: "blocked" for name in ("blocked and strided", "blocked and square")}
    of = family.get(subject, subject)
    assert sum(family.get(name, name) == of for name, *_ in MUTANTS) >= 3
