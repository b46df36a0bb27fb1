"""Every rung of the convolution, forward and by x, agrees with the equation in every mode, on whole and ragged shapes."""

import functools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels.harness import EXACT, MODES, TF32, Device, Mutant, close, hunt

from nn import cpu, reference
from nn.gpu import conv, launch, rungs

BARS = {"direct": EXACT, "tile": EXACT, "igemm": EXACT, "tf32": TF32, "tf32x3": EXACT}
NARROW = ["igemm", "tf32", "tf32x3"]  # rungs for 3 x 3 'same' filters and a multiple of 4 channels
SAME = ((1, 1), (1, 1))


class Shape(NamedTuple):
    """Of one convolution."""

    N: int
    H: int
    W: int
    C: int
    O: int
    R: int = 3
    S: int = 3
    stride: tuple[int, int] = (1, 1)
    padding: conv.Padding = SAME
    dressed: bool = True  # with bias and ReLU

    @property
    def size(self):
        """Rows and columns of y."""
        return tuple(
            (side + sum(pads) - taps) // step + 1
            for side, pads, taps, step in zip((self.H, self.W), self.padding, (self.R, self.S), self.stride, strict=True)
        )


ANY = [
    Shape(1, 1, 1, 1, 1),
    Shape(1, 1, 1, 1, 1, 1, 1, padding=conv.NO_PADDING),
    Shape(2, 5, 7, 3, 4, dressed=False),
    Shape(1, 9, 8, 5, 65, 2, 3, (2, 1), ((1, 0), (0, 2))),  # even filter, uneven padding, a channel more than the tile
    Shape(2, 7, 9, 1, 2, 3, 2, (2, 3), ((-1, 0), (1, -1)), False),  # negative padding leaves pixels out
    Shape(1, 17, 3, 4, 63, 5, 1, padding=((2, 2), (0, 0))),
    Shape(3, 4, 4, 0, 2),  # no channels: the bias alone
    Shape(0, 4, 4, 3, 2),
    Shape(2, 2, 4, 3, 2, padding=conv.NO_PADDING),  # no rows in y
]
RAGGED = [  # for the rungs with tiles of 128 pixels x 64 or 128 channels, in slices of 16 or 32
    Shape(1, 1, 1, 4, 1),
    Shape(1, 13, 11, 20, 7),
    Shape(2, 8, 8, 32, 64, dressed=False),  # whole tiles
    Shape(1, 3, 5, 36, 68),  # somewhat more than a tile and a slice; dx sums over 68 channels
    Shape(1, 127, 1, 28, 63, dressed=False),  # one less
    Shape(0, 5, 5, 4, 3),
]
CASES = [(rung, shape) for rung in ("direct", "tile") for shape in ANY] + [(rung, shape) for rung in NARROW for shape in RAGGED]


@functools.cache
def drawn(shape, seed=0):
    """x, w, b and a dy for a convolution of this shape."""
    rng = np.random.default_rng([seed, *shape[:7]])
    N, H, W, C, O, R, S, *_ = shape
    x, w, b, dy = (rng.normal(size=size).astype(np.float32) for size in [(N, H, W, C), (O, R, S, C), (O,), (N, *shape.size, O)])
    return x, w / np.float32(math.sqrt(max(1, R * S * C))), b, dy


@functools.cache
def truth(shape, seed=0):
    """y and dx in float64: by the loops where they are quick, else by nn.cpu."""
    x, w, b, dy = (array.astype(np.float64) for array in drawn(shape, seed))
    room = reference if dy.size * math.prod(w.shape[1:]) < 20_000 else cpu
    at = shape.stride, shape.padding
    return room.conv2d(x, w, b if shape.dressed else None, *at, relu=shape.dressed), room.conv2d_backward(dy, x, w, *at)[0]


def computed(device, rung, shape, dtype=np.float32, seed=0):
    """The same two on a device, by one rung."""
    x, w, b, dy = (array.astype(dtype) for array in drawn(shape, seed))
    at = shape.stride, shape.padding
    with rungs.prefer(conv=rung):
        y = device(conv.conv2d, x, w, b if shape.dressed else None, *at, relu=shape.dressed)
        return y, device(conv.data_gradient, dy, w, x.shape, *at)


@pytest.mark.parametrize(("rung", "shape"), CASES)
def test_forward_and_data_gradient(device, rung, shape):
    for actual, expected in zip(computed(device, rung, shape), truth(shape), strict=True):
        close(actual, expected, BARS[rung])


@settings(max_examples=12)
@given(
    size=st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.integers(1, 9)),
    filters=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(-1, 3)] * 4),
    dressed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.parametrize("rung", ["direct", "tile"])
def test_any_filter_stride_and_padding(rung, size, filters, stride, pads, dressed, seed):
    shape = Shape(*size, *filters, stride, (pads[:2], pads[2:]), dressed)
    assume(min(shape.size) > 0)
    for actual, expected in zip(computed(Device("forward"), rung, shape, seed=seed), truth(shape, seed), strict=True):
        close(actual, expected)


@settings(max_examples=10)
@given(
    size=st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 70)),
    dressed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.parametrize("rung", NARROW)
def test_any_map(rung, size, dressed, seed):
    shape = Shape(*size, dressed=dressed)
    shape = shape._replace(C=4 * shape.C)
    for actual, expected in zip(computed(Device("forward"), rung, shape, seed=seed), truth(shape, seed), strict=True):
        close(actual, expected, BARS[rung])


@pytest.mark.parametrize(("rung", "shape"), [case for case in CASES if case[0] in ("direct", "tile", "igemm")])
def test_double_precision(rung, shape):
    for actual, expected in zip(computed(Device("forward"), rung, shape, np.float64), truth(shape), strict=True):
        assert actual.dtype == np.float64
        close(actual, expected, 1e-12)


@pytest.mark.parametrize("rung", BARS)
def test_every_order_gives_the_same_bits(rung):
    first, *others = (computed(Device(mode), rung, Shape(1, 11, 12, 36, 12)) for mode in [*MODES, "forward"])
    for other in others:
        for one, two in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("rung", BARS)
def test_a_nan_stays_and_reaches_its_window(device, rung):
    x, w, b, _ = (array.copy() for array in drawn(Shape(1, 5, 6, 4, 3)))
    x.view(np.uint32)[0, 2, 3, 1] = 0x7FFFFFFF  # the NaN that a GPU makes
    w[:, 0, 0, 1] = 0  # NaN times 0 is NaN too
    with rungs.prefer(conv=rung):
        y = device(conv.conv2d, x, w, b, (1, 1), SAME, relu=True)
    expected = np.zeros((1, 5, 6, 3), bool)
    expected[0, 1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


@pytest.mark.parametrize("O", [3, 70])
def test_tf32_is_rounded_and_not_cut(device, O):
    x, w, b, _ = (np.abs(array) for array in drawn(Shape(1, 6, 7, 20, O)))
    with rungs.prefer(conv="tf32"):
        y = device(conv.conv2d, x, w, b, (1, 1), SAME)
    drift = y.sum(dtype=np.float64) / cpu.conv2d(*(array.astype(np.float64) for array in (x, w, b)), (1, 1), SAME).sum() - 1
    assert abs(drift) < 1e-4  # where the factors are cut, all sums of positive numbers come out too small, by 6e-4


def test_three_products_keep_what_one_loses():
    x, w = np.full((1, 1, 1, 4), 1 + 2.0**-12, np.float32), np.zeros((2, 3, 3, 4), np.float32)
    w[:, 1, 1] = 1 - 2.0**-12
    with rungs.prefer(conv="tf32x3"):
        y = Device("forward")(conv.conv2d, x, w, None, (1, 1), SAME)
    np.testing.assert_allclose(y, 4, rtol=2**-22)


def test_all_three_gradients(device):
    for shape in [Shape(2, 5, 4, 3, 2), Shape(1, 5, 6, 2, 3, 2, 3, (2, 1), ((1, 0), (0, 2))), Shape(0, 4, 4, 4, 2)]:
        x, w, _, dy = drawn(shape)
        at = shape.stride, shape.padding
        for actual, expected in zip(device(conv.conv2d_backward, dy, x, w, *at), reference.conv2d_backward(dy, x, w, *at), strict=True):
            close(actual, expected)
        assert device(conv.conv2d_backward, dy, x, w, *at, bias=False)[2] is None


def choices(x, w, stride=(1, 1), padding=SAME):
    """The rungs for arrays of these shapes in the emulator's memory."""
    sent = Device("forward").sent
    return conv.able(sent(np.zeros(x, np.float32)), sent(np.zeros(w, np.float32)), stride, padding)


def test_the_fastest_rung_that_can_do_the_work(monkeypatch):
    everything = ["direct", "tile", "igemm", "tf32", "tf32x3"]
    assert choices((2, 5, 6, 20), (7, 3, 3, 20)) == everything
    assert rungs.choose("conv", everything) == "tf32x3"
    few = choices((2, 5, 6, 16), (7, 3, 3, 16))  # half of a step of the tensor cores' rungs
    assert sorted(few) == sorted(everything) and rungs.choose("conv", few) == "igemm"
    for other in [
        choices((2, 5, 6, 1), (7, 3, 3, 1)),  # the channels
        choices((2, 5, 6, 8), (7, 3, 3, 8), (1, 2)),
        choices((2, 5, 6, 8), (7, 3, 3, 8), padding=((1, 1), (0, 1))),
        choices((2, 5, 6, 8), (7, 1, 3, 8), padding=((0, 0), (1, 1))),
    ]:
        assert other == ["direct", "tile"]
    assert choices((2, 9, 9, 8), (7, 7, 7, 8)) == ["direct"]  # more shared memory than every card has
    monkeypatch.setattr(conv, "capability", lambda library: 75)
    assert choices((2, 5, 6, 8), (7, 3, 3, 8)) == ["direct", "tile", "igemm"]


def test_memory_that_does_not_start_at_16_bytes_is_read_number_by_number():
    x, w, b, _ = drawn(Shape(1, 4, 4, 4, 2))

    def shifted(x, w, b):
        longer = launch.empty(x, (x.size + 1,))
        longer[1:] = x.reshape(-1)
        x = longer[1:].reshape(x.shape)
        assert conv.able(x, w, (1, 1), SAME) == ["direct", "tile"]
        return conv.conv2d(x, w, b, (1, 1), SAME, relu=True)

    close(Device("forward")(shifted, x, w, b), truth(Shape(1, 4, 4, 4, 2))[0])


def subject(rung, shape):
    """The check of one rung on one shape."""
    return functools.partial(test_forward_and_data_gradient, rung=rung, shape=shape)


direct = subject("direct", Shape(1, 4, 5, 2, 3))
spaced = subject("direct", Shape(1, 6, 5, 2, 3, 3, 2, (2, 2), ((1, 0), (0, 1))))
tile = subject("tile", Shape(1, 5, 9, 7, 5, dressed=False))
igemm = subject("igemm", Shape(1, 5, 9, 20, 7))
tf32 = subject("tf32", Shape(1, 5, 9, 36, 7))
tf32x3 = subject("tf32x3", Shape(1, 5, 9, 36, 7))
tf32_is_rounded = functools.partial(test_tf32_is_rounded_and_not_cut, O=3)
tf32_keeps_nan = functools.partial(test_a_nan_stays_and_reaches_its_window, rung="tf32")
ROUND = "__float_as_uint(__uint_as_float(bits) * 1.00033845f)"
BARRIER = "        __syncthreads();                                       // "
BRANCHED = "        if (my_p < 32) __syncthreads();\n        else\n            __syncthreads();  // "
COMMIT = "        cp_async_commit();                                     // an empty"
STAGED = "tap < R * S; tap++)\n            slab"
MUTANTS = [
    Mutant("direct: no bound", "conv_direct.cu", "if (out >= N * I * J * O) return;", "", direct, "out-of-bounds"),
    Mutant("direct: right border", "conv_direct.cu", "v >= W) continue;", "v > W) continue;", direct, "forward"),
    Mutant("direct: top and left exchanged", "conv_direct.cu", "i * stride_i + r - top", "i * stride_i + r - left", spaced, "forward"),
    Mutant("gather: between the strides", "conv_direct.cu", "down % stride_i || ", "", spaced, "forward"),
    Mutant("gather: beyond the last row", "conv_direct.cu", " || down / stride_i >= I", "", spaced, "out-of-bounds"),
    Mutant("turn: by no row", "conv_direct.cu", "R - 1 - r) * S", "r) * S", tile, "forward"),
    Mutant("turn: through const", "conv_direct.cu", "    turned[out] =", "    ((float*)w)[0] = 0; turned[out] =", tile, "const"),
    Mutant("tile: no barrier after staging", "conv_tile.cu", f"{BARRIER}the whole", "// the whole", tile, "race"),
    Mutant("tile: no barrier before the next slice", "conv_tile.cu", f"{BARRIER}all have", "// all have", tile, "race"),
    Mutant("tile: a tap is not staged", "conv_tile.cu", f"tap = 0; {STAGED}", f"tap = 1; {STAGED}", tile, "uninitialised"),
    Mutant("tile: ragged slice", "conv_tile.cu", "v < W && c < C;", "v < W;", tile, "forward"),
    Mutant("tile: relu without asking", "conv_tile.cu", "relu && v <= 0", "v <= 0", tile, "forward"),
    Mutant("igemm: into the buffer being read", "conv_igemm.cu", "put(buffer ^ 1);", "put(buffer);", igemm, "race"),
    Mutant("igemm: ragged slice", "conv_igemm.cu", "inside && c0 + k * 4 < C", "inside", igemm, "forward"),
    Mutant("igemm: no bound on pixels", "conv_igemm.cu", "if (at_p >= P) continue;", "", igemm, "out-of-bounds"),
    Mutant("igemm: bias of another channel", "conv_igemm.cu", "+= b[o];", "+= b[o0 + j];", igemm, "forward"),
    Mutant("igemm: barrier in a branch", "conv_igemm.cu", f"{BARRIER}the next", f"{BRANCHED}the next", igemm, "divergent"),
    Mutant("tf32: no barrier", "conv_tensor.cu", f"{BARRIER}everybody's", "// everybody's", tf32, "race"),
    Mutant("tf32: waits for a group too few", "conv_tensor.cu", "cp_async_wait<STAGES - 2>", "cp_async_wait<STAGES - 1>", tf32, "forward"),
    Mutant("tf32: into the buffer being read", "conv_tensor.cu", "copy(next);", "copy(stage);", tf32, "race"),
    Mutant("tf32: no commit", "conv_tensor.cu", COMMIT, "// an empty", tf32, "forward"),
    Mutant("tf32: rows of x not swizzled", "conv_tensor.cu", "+ lane_x ^ k * 4)", "+ lane_x + k * 4)", tf32, "forward"),
    Mutant("tf32: ragged slice", "conv_tensor.cu", "there = c0 + chunk * 4 < C;", "there = true;", tf32, "forward"),
    Mutant("tf32: left border", "conv_tensor.cu", "from_v >= 0 && ", "", tf32, "forward"),
    Mutant("tf32: filters beyond O", "conv_tensor.cu", "there && o0 + row + i * LINES < O", "there", tf32, "out-of-bounds"),
    Mutant("tf32: pixels beyond the last", "conv_tensor.cu", "if (p >= P) continue;", "", tf32, "out-of-bounds"),
    Mutant("tf32: fragments of w exchanged", "conv_tensor.cu", "fb[j][0] = four[0];", "fb[j][0] = four[2];", tf32, "forward"),
    Mutant("tf32: float2 across the end of a row", "conv_tensor.cu", "if (O % 2 == 0)", "if (O % 2 == 0 || o + 1 < O)", tf32, "misaligned"),
    Mutant("tf32: cut, not rounded", "tf32.cuh", ROUND, "bits", tf32_is_rounded, "forward"),
    Mutant("tf32: a NaN rounded to zero", "tf32.cuh", ROUND, "bits + 0x1000u", tf32_keeps_nan, "forward"),
    Mutant("tf32x3: the rest is the whole", "tf32.cuh", "whole - __uint_as_float(bits)", "whole", tf32x3, "forward"),
    Mutant("tf32x3: one small product", "conv_tensor.cu", "mma_tf32(part, rest_a, fb[j]);", "", tf32x3, "forward"),
    Mutant("tf32x3: a part added twice", "conv_tensor.cu", "float part[4] = {};", "float part[4] = {sum[i][j][0]};", tf32x3, "forward"),
    Mutant("tf32x3: no relu", "conv_tensor.cu", "relu && v <= 0", "false", tf32x3, "forward"),
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
