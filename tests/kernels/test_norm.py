"""Batch norm agrees with the written-out chain rule in every mode, and a channel far from zero keeps its digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import EXACT, MODES, Device, Mutant, close, hunt

from nn import reference
from nn.gpu import norm, reduce, rungs

RUNGS = reduce.RUNGS
EPSILON = 0.1
SHAPES = [(1, 1), (1, 7), (2, 3, 5, 2), (3, 11, 9, 33), (700, 3), (300, 64), (5, 513)]


class Case:
    """Arrays of one shape, with y clear of the ReLU's kink, and what nn.reference makes of them."""

    def __init__(self, shape, of_batch=True, relu=False, dtype=np.float32, seed=0):
        rng = np.random.default_rng(seed)
        self.x, self.dy = (2 + 3 * rng.normal(size=shape)).astype(dtype), rng.normal(size=shape).astype(dtype)
        self.gamma, self.beta, self.mean = rng.normal(size=(3, shape[-1])).astype(dtype)
        self.variance = rng.uniform(0.5, 2, shape[-1]).astype(dtype)
        if of_batch:
            self.mean, self.variance = (value.astype(dtype) for value in reference.batch_statistics(self.x))
        while near := (np.abs(self.y()) < 1e-4).reshape(-1, shape[-1]).any(0).nonzero()[0].tolist():
            self.beta[near] += dtype(0.001)
        self.of_batch, self.relu = of_batch, relu

    def y(self, **options):
        return reference.batch_norm(self.x, self.gamma, self.beta, self.mean, self.variance, EPSILON, **options)

    def forward(self, device):
        """y, ours."""
        return device(norm.batch_norm, self.x, self.gamma, self.beta, self.mean, self.variance, EPSILON, relu=self.relu)

    def gradients(self, backward):
        """dx, dγ, dβ as `backward` has them."""
        options = {"beta": self.beta} if self.relu else {}
        return backward(self.dy, self.x, self.gamma, self.mean, self.variance, EPSILON, self.of_batch, **options)

    def backward(self, device):
        """dx, dγ, dβ, ours."""
        return self.gradients(lambda *arguments, **options: device(norm.batch_norm_backward, *arguments, **options))

    def ours(self, device):
        """All that batch norm computes: μ, σ², y, dx, dγ, dβ."""
        return *device(norm.batch_statistics, self.x), self.forward(device), *self.backward(device)

    def expected(self):
        """The same by nn.reference."""
        return *reference.batch_statistics(self.x), self.y(relu=self.relu), *self.gradients(reference.batch_norm_backward)

    def check(self, device, bar=EXACT):
        """They agree."""
        for actual, expected in zip(self.ours(device), self.expected(), strict=True):
            close(actual, expected, bar)


@pytest.mark.parametrize("rung", RUNGS)
def test_agrees_with_the_chain_rule(device, rung):
    with rungs.prefer(reduce=rung):
        for k, shape in enumerate(SHAPES):
            Case(shape, of_batch=k % 3 > 0, relu=k % 2 > 0).check(device)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("of_batch", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_in_double_precision(rung, of_batch, relu):
    with rungs.prefer(reduce=rung):
        Case((3, 10, 11, 5), of_batch, relu, np.float64).check(Device("forward"), 1e-12)


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=15)
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), C=st.integers(1, 70), of_batch=st.booleans(), relu=st.booleans())
def test_any_shape(rung, shape, C, of_batch, relu):
    with rungs.prefer(reduce=rung):
        case = Case((*shape, C), of_batch, relu)
        ours = case.ours(Device("shuffled"))
    for actual, expected in zip(ours, case.expected(), strict=True):
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)  # dx of two rows is what is left of numbers that all but cancel


@pytest.mark.parametrize("rung", RUNGS)
def test_a_channel_far_from_zero_keeps_its_variance(rung):
    x = np.random.default_rng(0).normal(1000, 1, (3001, 3)).astype(np.float32)
    with rungs.prefer(reduce=rung):
        mean, variance = Device("forward")(norm.batch_statistics, x)
    expected_mean, expected_variance = reference.batch_statistics(x)
    np.testing.assert_allclose(mean, expected_mean, rtol=2e-7)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-5)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_same_bits_in_every_mode_and_again(rung):
    case = Case((600, 35), relu=True)
    with rungs.prefer(reduce=rung):
        first = case.ours(Device("forward"))
        for mode in MODES:
            for ours, before in zip(case.ours(Device(mode)), first, strict=True):
                np.testing.assert_array_equal(ours, before)


@pytest.mark.parametrize("rung", RUNGS)
def test_a_relu_that_rides_along_is_a_relu_that_follows(rung):
    """To the last bit, at the kink too: channel 0 has γ = 0 and β = 0."""
    case, device = Case((40, 5), relu=True), Device("forward")
    case.gamma[0] = case.beta[0] = 0
    with rungs.prefer(reduce=rung):
        y, gradients = case.forward(device), case.backward(device)
        case.relu = False
        np.testing.assert_array_equal(y, np.maximum(case.forward(device), 0))
        case.dy = np.where(y > 0, case.dy, np.float32(0))
        for ours, theirs in zip(gradients, case.backward(device), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 4, 3)])
def test_an_empty_batch(device, shape):
    x, c = np.ones(shape, np.float32), np.ones(3, np.float32)
    for value in device(norm.batch_statistics, x):
        np.testing.assert_array_equal(value, np.zeros(3, np.float32))
    assert device(norm.batch_norm, x, c, c, c, c, EPSILON).shape == shape
    dx, dgamma, dbeta = device(norm.batch_norm_backward, x, x, c, c, c, EPSILON, True, beta=c)
    assert dx.shape == shape
    np.testing.assert_array_equal([dgamma, dbeta], np.zeros((2, 3), np.float32))


def test_maps_in_any_layout(device):
    case = Case((6, 5, 4, 3), relu=True)

    def turned(x, *line):
        return norm.batch_norm(x.swapaxes(0, 2), *line), *norm.batch_statistics(x[::2])

    y, mean, variance = device(turned, case.x, case.gamma, case.beta, case.mean, case.variance, EPSILON)
    close(y, case.y().swapaxes(0, 2))
    for ours, expected in zip((mean, variance), reference.batch_statistics(case.x[::2]), strict=True):
        close(ours, expected)

    def turned_backward(dy, x, *rest, **options):
        return norm.batch_norm_backward(dy.swapaxes(0, 2), x.swapaxes(0, 2), *rest, **options)

    dx, dgamma, dbeta = case.gradients(lambda *arguments, **options: device(turned_backward, *arguments, **options))
    for ours, expected in zip((dx.swapaxes(0, 2), dgamma, dbeta), case.gradients(reference.batch_norm_backward), strict=True):
        close(ours, expected)


def rung_is_right(rung, of_batch=True, relu=True):
    """A check of one rung on a matrix of several slabs and two strips, the last of each not full."""

    def check(device):
        with rungs.prefer(reduce=rung):
            Case((700, 33), of_batch, relu).check(device)

    return check


serial, shared, shuffle = map(rung_is_right, RUNGS)
evaluated = rung_is_right("shuffle", of_batch=False)
MASKED = "const float g = relu && line.at(v) <= 0 ? 0 : dy[m * C + walk.c];\n        "
LINE = "const Line line = line_of_channel(gamma, beta, mean, variance, epsilon, walk.c);\n"
NEXT_BARRIER = "__syncthreads();                                // protects: the sums of all warps are read"
FULL_CHUNK = "m + (CHUNK - 1) * walk.step < walk.end"
MUTANTS = [
    Mutant("serial: squares about zero", "norm.cu", "x[m * C + c] - mu;", "x[m * C + c];", serial, "forward"),
    Mutant("serial: dγ beyond the sums", "norm.cu", "sums[C + c]", "sums[2 * C + c]", serial, "out-of-bounds"),
    Mutant("statistics: rows that fill no chunk", "norm.cu", "for (; m < walk.end; m +=", "for (; m < 0; m +=", shuffle, "forward"),
    Mutant("statistics: a chunk over the edge", "norm.cu", FULL_CHUNK, "m < walk.end", shared, "out-of-bounds"),
    Mutant("statistics: chunks joined without Chan's term", "norm.cu", "+ d * d * part.count * weight", "", shuffle, "forward"),
    Mutant("statistics: the last slab counts as a whole one", "norm.cu", ": last) * means", ": rows) * means", shuffle, "forward"),
    Mutant("variance divided by M - 1", "norm.cu", "= square / M;", "= square / (M - 1);", shuffle, "forward"),
    Mutant("ε outside the root", "norm.cu", "sqrtf(variance[c] + epsilon)", "(sqrtf(variance[c]) + epsilon)", shuffle, "forward"),
    Mutant("sums: without the mask", "norm.cu", f"{MASKED}    dbeta", "const float g = dy[m * C + walk.c]; dbeta", shuffle, "forward"),
    Mutant("sums: dγ meets where dβ is still read", "reduce.cuh", NEXT_BARRIER, "//", shuffle, "race"),
    Mutant("forward: no column bound", "norm.cu", f"return;\n\n    {LINE}#pragma unroll 8", f"{{}}\n{LINE}", shuffle, "out-of-bounds"),
    Mutant("dx: without the mask", "norm.cu", f"{MASKED}dx", "const float g = dy[m * C + walk.c]; dx", shuffle, "forward"),
    Mutant("dx: the path through σ² in evaluation", "norm.cu", "share * dgamma", "dgamma", evaluated, "forward"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
