"""Sums agree with NumPy's in float64 in every mode, have the same bits in all of them, and the matrix is cut without gap or overlap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import MODES, Device, Mutant, close, hunt

from nn.gpu import launch, reduce, rungs

RUNGS = reduce.RUNGS
SHAPES = [  # (M, C): one number; fewer rows than a block holds; one and two strips; one, two and many slabs, the last one ragged
    *[(1, 1), (3, 1), (8193, 1), (1, 5), (37, 3), (129, 16), (8191, 2)],
    *[(255, 32), (257, 33), (700, 65), (2, 513), (1100, 31)],
]


def matrix(shape, dtype=np.float32):
    """Numbers of both signs around 1."""
    return (1 + np.random.default_rng(sum(shape)).normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("rung", RUNGS)
def test_sums_over_rows_and_over_all(device, rung):
    with rungs.prefer(reduce=rung):
        for shape in SHAPES:
            a = matrix(shape)
            close(device(reduce.sum_rows, a), a.sum(0, dtype=np.float64))
            close(device(reduce.sum_all, a), a.sum(dtype=np.float64))


@pytest.mark.parametrize("rung", RUNGS)
def test_the_same_bits_in_every_mode_and_again(rung):
    a = matrix((2000, 33))
    with rungs.prefer(reduce=rung):
        first = Device("forward")(reduce.sum_rows, a), Device("forward")(reduce.sum_all, a)
        for mode in MODES:
            np.testing.assert_array_equal(Device(mode)(reduce.sum_rows, a), first[0])
            np.testing.assert_array_equal(Device(mode)(reduce.sum_all, a), first[1])


@pytest.mark.parametrize("rung", RUNGS)
def test_in_double_precision(rung):
    a = matrix((3000, 17), np.float64)
    with rungs.prefer(reduce=rung):
        close(Device("forward")(reduce.sum_rows, a), a.sum(0), 1e-12)
        close(Device("forward")(reduce.sum_all, a), a.sum(), 1e-12)


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=15)
@given(shape=st.tuples(st.integers(0, 1500), st.integers(0, 70)), seed=st.integers(0, 2**32 - 1))
def test_any_shape(rung, shape, seed):
    a = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    with rungs.prefer(reduce=rung):
        sums = Device("shuffled")(reduce.sum_rows, a)
    assert sums.shape == shape[1:]
    np.testing.assert_allclose(sums, a.sum(0, dtype=np.float64), atol=5e-6 * np.sqrt(a.size))


@pytest.mark.parametrize("rung", RUNGS)
def test_a_matrix_in_any_layout(device, rung):
    a = matrix((40, 30))
    with rungs.prefer(reduce=rung):
        close(device(lambda a: reduce.sum_rows(a.T[::2]), a), a.T[::2].sum(0, dtype=np.float64))
        close(device(lambda a: reduce.sum_all(a.T[::2]), a), a.T[::2].sum(dtype=np.float64))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_sums_to_zero(device, shape):
    np.testing.assert_array_equal(device(reduce.sum_rows, np.ones(shape, np.float32)), np.zeros(shape[1], np.float32))
    np.testing.assert_array_equal(device(reduce.sum_all, np.ones(shape, np.float32)), np.zeros((), np.float32))


def a_million_keep_their_digits(device):
    a = np.random.default_rng(0).uniform(size=10**6).astype(np.float32)
    close(device(reduce.sum_all, a), a.sum(dtype=np.float64), 5e-7)


@pytest.mark.parametrize("rung", RUNGS)
def test_a_million_numbers(rung):
    with rungs.prefer(reduce=rung):
        a_million_keep_their_digits(Device("forward"))


@given(M=st.integers(1, 2**30), C=st.integers(1, 5000))
def test_a_cut_has_each_row_and_column_once(M, C):
    part = reduce.cut(M, C)
    assert part.width <= 32 and 256 % part.width == 0
    assert (part.strips - 1) * part.width < C <= part.strips * part.width
    assert (part.slabs - 1) * part.rows < M <= part.slabs * part.rows
    assert part.strips * part.slabs <= max(reduce.BLOCKS, part.strips)
    assert reduce.cut(M, C, slabs=1).slabs == 1


def rung_is_right(rung, *shapes):
    """A check of one rung on a few shapes."""

    def check(device):
        with rungs.prefer(reduce=rung):
            for shape in shapes:
                a = matrix(shape)
                close(device(reduce.sum_rows, a), a.sum(0, dtype=np.float64))

    return check


def serial_keeps_its_digits(device):
    with rungs.prefer(reduce="serial"):
        a_million_keep_their_digits(device)


def no_barrier(name, protects, check):
    """The barrier with this comment taken out of reduce.cuh."""
    line = next(line for line in launch.source("reduce.cuh").splitlines() if f"protects: {protects}" in line)
    return Mutant(name, "reduce.cuh", line, "", check, "race")


serial, shared, shuffle = (rung_is_right(rung, (1000, 1), (700, 33)) for rung in RUNGS)
IN_TREE = "if (threadIdx.x < half)"
MUTANTS = [
    Mutant("serial: column bound", "reduce.cu", "if (c >= C) return;", "", serial, "out-of-bounds"),
    Mutant("serial: not compensated", "reduce.cuh", "v -= lost;", "", serial_keeps_its_digits, "forward"),
    Mutant("serial: lost of the wrong sign", "reduce.cuh", "(larger - sum) - v", "v - (larger - sum)", serial_keeps_its_digits, "forward"),
    Mutant("the last slab as long as the others", "reduce.cuh", "M - start < rows ? M :", "", shared, "out-of-bounds"),
    Mutant("the last slab forgotten", "reduce.cuh", "M - start < rows ? M :", "M - start < rows ? start :", shuffle, "forward"),
    Mutant("slabs write over each other", "reduce.cu", "sums[blockIdx.y * C + walk.c]", "sums[walk.c]", shuffle, "forward"),
    Mutant("column bound of the sums", "reduce.cu", "threadIdx.x < W && walk.c < C", "threadIdx.x < W", shuffle, "out-of-bounds"),
    Mutant("a row too few", "reduce.cu", "m < walk.end; m +=", "m < walk.end - 1; m +=", shared, "forward"),
    Mutant("written through const", "reduce.cu", "sum += a[", "sum += ((float*)a)[m * C + walk.c] = 1 + a[", shuffle, "const"),
    no_barrier("shared: no barrier in the tree", "the numbers of the level before", shared),
    no_barrier("shared: no barrier after the tree", "the last W sums", shared),
    Mutant("shared: a level too few", "reduce.cuh", "half >= W", "half > W", shared, "forward"),
    Mutant("shared: a thread beyond the array", "reduce.cuh", IN_TREE, "", shared, "out-of-bounds"),
    Mutant("shared: a barrier in a branch", "reduce.cuh", IN_TREE, f"{IN_TREE} __syncthreads();\n{IN_TREE}", shared, "divergent"),
    Mutant("shuffle: half a warp left out", "reduce.cuh", "int apart = 16", "int apart = 8", shuffle, "forward"),
    Mutant("shuffle: columns mixed", "reduce.cuh", "apart >= W", "apart >= 1", shuffle, "forward"),
    Mutant("shuffle: half of the columns unwritten", "reduce.cuh", "if (lane < W)", "if (lane < W / 2)", shuffle, "uninitialised"),
    Mutant("shuffle: a warp left out", "reduce.cuh", "int warp = 0; warp < WARPS", "int warp = 1; warp < WARPS", shuffle, "forward"),
    no_barrier("shuffle: no barrier before reading", "the sums of all warps are written", shuffle),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
