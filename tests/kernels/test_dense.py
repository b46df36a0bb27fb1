"""The matrix product and the fully connected layer: every rung agrees with NumPy in float64, in every mode, on ragged shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import EXACT, MODES, Device, Mutant, close, hunt

from nn import reference
from nn.gpu import gemm, rungs
from nn.gpu.dense import dense, dense_backward

RUNGS = ["naive", "tile", "block"]
SHAPES = [  # M, N, K: one number; around the tiles of 16 and of 64 x 128 x 8; empty in each direction
    (1, 1, 1),
    (17, 15, 16),
    (63, 129, 9),
    (65, 127, 7),
    (5, 3, 0),
    (0, 3, 2),
    (3, 0, 2),
]


def factors(M, N, K, layout, dtype=np.float32, seed=0):
    """a (M, K) and b (K, N) as they lie in memory, a bias, and their product in float64."""
    rng = np.random.default_rng(seed)
    a, b, bias = rng.normal(size=(M, K)).astype(dtype), rng.normal(size=(K, N)).astype(dtype), rng.normal(size=N).astype(dtype)
    expected = a.astype(np.float64) @ b.astype(np.float64) + bias
    return (a.T.copy() if layout[0] else a), (b.T.copy() if layout[1] else b), bias, expected


def product(device, rung, layout, a, b, bias=None):
    """gemm on a rung."""
    with rungs.prefer(gemm=rung):
        return device(gemm.gemm, a, b, transpose_a=bool(layout[0]), transpose_b=bool(layout[1]), bias=bias)


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("rung", RUNGS)
def test_product(device, rung, layout):
    for M, N, K in SHAPES:
        a, b, bias, expected = factors(M, N, K, layout)
        close(product(device, rung, layout, a, b, bias), expected)
        close(product(device, rung, layout, a, b), expected - bias)


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
def test_a_long_sum_is_shared_out(device, layout):
    M, N, K = 9, 13, 1101
    planes, share = gemm.split(K, 1, 8)
    assert planes == 4 and share * 3 < K < share * 4, "the last share should be shorter"
    a, b, bias, expected = factors(M, N, K, layout)
    close(product(device, "block", layout, a, b, bias), expected)
    close(product(device, "block", layout, a, b), expected - bias)


@pytest.mark.parametrize("rung", RUNGS)
@given(
    shape=st.tuples(st.integers(0, 150), st.integers(0, 150), st.integers(0, 40)),
    layout=st.sampled_from(gemm.LAYOUTS),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=10)
def test_random_shapes(rung, shape, layout, seed):
    a, b, bias, expected = factors(*shape, layout, seed=seed)
    close(product(Device("forward"), rung, layout, a, b, bias), expected)


@pytest.mark.parametrize("layout", gemm.LAYOUTS)
@pytest.mark.parametrize("rung", RUNGS)
def test_double_precision(rung, layout):
    for M, N, K in [(19, 131, 13), (3, 5, 700)]:
        a, b, bias, expected = factors(M, N, K, layout, np.float64)
        close(product(Device("forward"), rung, layout, a, b, bias), expected, 1e-13)


@pytest.mark.parametrize("rung", RUNGS)
def test_the_same_bits_in_every_order(rung):
    a, b, bias, _ = factors(70, 20, 900, (0, 1))
    first = product(Device("forward"), rung, (0, 1), a, b, bias)
    for mode in (*MODES, "forward"):
        np.testing.assert_array_equal(product(Device(mode), rung, (0, 1), a, b, bias), first)


def test_a_view_is_copied_into_order():
    a, b, _, _ = factors(6, 7, 5, (0, 0))
    wide = Device("forward").sent(np.concatenate([a, a], 1))
    with rungs.prefer(gemm="tile"):
        close(gemm.gemm(wide[:, 5:], Device("forward").sent(b)).get(), a.astype(np.float64) @ b.astype(np.float64))


@pytest.mark.parametrize(("a", "b", "flags"), [((2, 3), (4, 5), {}), ((2, 2), (2, 2), {"transpose_a": True, "transpose_b": True})])
def test_what_it_cannot_multiply(a, b, flags):
    with pytest.raises(ValueError, match="gemm cannot multiply"):
        Device("forward")(gemm.gemm, np.zeros(a, np.float32), np.zeros(b, np.float32), **flags)


@given(terms=st.integers(0, 2**31 - 2**20), tiles=st.integers(1, 10**6), step=st.sampled_from([8, 32]))
@settings(max_examples=100)
def test_shares_cover_the_sum_and_none_is_empty(terms, tiles, step):
    planes, share = gemm.split(terms, tiles, step)
    assert share % step == 0 and planes * share >= terms
    assert planes == 1 or ((planes - 1) * share < terms and share >= gemm.LEAST and (planes - 1) * tiles < gemm.ENOUGH)
    assert planes * share < 2**31


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 33, 18), (0, 3, 4)])
def test_dense(device, shape):
    N, D, O = shape
    rng = np.random.default_rng(1)
    x, w, b, dy = (rng.normal(size=size).astype(np.float32) for size in [(N, D), (O, D), (O,), (N, O)])
    close(device(dense, x, w, b), reference.dense(x, w, b))
    for actual, expected in zip(device(dense_backward, dy, x, w), reference.dense_backward(dy, x, w), strict=True):
        close(actual, expected)


def right(rung, layout, M, N, K):
    """The check that a planted bug must fail."""

    def check(device):
        a, b, bias, expected = factors(M, N, K, layout)
        close(product(device, rung, layout, a, b, bias), expected, EXACT)

    return check


def planted(subject, *bugs):
    """Mutants of gemm.cu that the subject must find: (name, old, new, found by)."""
    return [Mutant(name, "gemm.cu", old, new, subject, found_by) for name, old, new, found_by in bugs]


NN, NT, TN = (0, 0), (0, 1), (1, 0)
BARRIER = "__syncthreads();     // "
MUTANTS = [
    *planted(
        right("naive", NN, 3, 4, 5),
        ("a term left out", "for (int k = 0; k < K; k++)", "for (int k = 1; k < K; k++)", "forward"),
        ("a factor written to", "c[at] = sum;", "c[at] = ((float*)a)[0] = sum;", "const"),
    ),
    *planted(
        right("tile", TN, 19, 21, 33),
        ("tile: read before it is whole", f"{BARRIER}the tiles", "// the tiles", "race"),
        ("tile: not every thread waits", f"{BARRIER}all have", "if (m < M) __syncthreads(); // all have", "divergent"),
        ("tile: staged the wrong way round", "as[am][ak] = ", "as[ak][am] = ", "forward"),
    ),
    *planted(
        right("block", NN, 65, 130, 21),
        ("block: no barrier in the loop", f"{BARRIER}the next tiles", "// the next tiles", "race"),
        ("block: the buffer in use is written over", "buffer ^= 1;", "", "race"),
        ("block: the short step not cut", "may_be_short && k0 + bk", "false && k0 + bk", "out-of-bounds"),
        ("block: rows beyond the last", "min(m0 + am + e * am_step, M - 1)", "m0 + am + e * am_step", "out-of-bounds"),
        ("block: columns beyond the last stored", "if (m < M && n < N)\n", "if (m < M)\n", "out-of-bounds"),
    ),
    *planted(
        right("block", TN, 65, 130, 21),
        ("block: a factor is not turned", "a_at[e] = TA ? k * M + m : m * K + k;", "a_at[e] = m * K + k;", "forward"),
    ),
    *planted(
        right("block", NT, 9, 13, 1101),
        ("planes: shares overlap", "min(first + share, K)", "min(first + share + 1, K)", "forward"),
        ("planes: all into the first", "planes[((long long)blockIdx.y * M + m)", "planes[((long long)m)", "race"),
        ("planes: the bias of another column", "(bias ? bias[e % N]", "(bias ? bias[e / N]", "forward"),
        ("planes: added before they are there", f"{BARRIER}all eight", "// all eight", "race"),
        ("planes: one sum never written", "sums[y][x] = sum;", "if (y < 7) sums[y][x] = sum;", "uninitialised"),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
