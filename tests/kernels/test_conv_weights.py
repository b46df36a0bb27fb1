"""The weight gradient of a convolution: every rung agrees with the loops and with einsum, in every mode, on ragged shapes."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import EXACT, MODES, TF32, Device, Mutant, close, hunt

from nn import reference
from nn.gpu import conv_weights, launch, rungs

SAME = ((1, 1), (1, 1))
BARS = {"direct": EXACT, "tile": EXACT, "igemm": EXACT, "tf32": TF32, "tf32x3": EXACT}


class Case(NamedTuple):
    """Sizes of a convolution."""

    N: int
    H: int
    W: int
    C: int
    O: int
    R: int = 3
    S: int = 3
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = SAME

    def arrays(self, dtype=np.float32, seed=0):
        """dy (N, I, J, O) and x (N, H, W, C)."""
        rng = np.random.default_rng(seed)
        (top, bottom), (left, right) = self.padding
        I, J = (self.H + top + bottom - self.R) // self.stride[0] + 1, (self.W + left + right - self.S) // self.stride[1] + 1
        return (rng.normal(size=shape).astype(dtype) for shape in [(self.N, I, J, self.O), (self.N, self.H, self.W, self.C)])


def einsum(case, dy, x):
    """dw in float64: for each tap one sum over all pixels, of dy and of the part of x that they see there."""
    (_, I, J, _), (down, right) = dy.shape, case.stride
    frame = np.pad(x.astype(np.float64), ((0, 0), *case.padding, (0, 0)))
    dw = np.zeros((case.O, case.R, case.S, case.C))
    for r in range(case.R):
        for s in range(case.S):
            seen = frame[:, r : r + I * down : down, s : s + J * right : right][:, :I, :J]
            dw[:, r, s] = np.einsum("nijo,nijc->oc", dy.astype(np.float64), seen)
    return dw


def vector(case):
    """Whether four channels are one load."""
    return case.C % 4 == case.O % 4 == 0


def gradient(device, rung, case, dy, x):
    """dw on a rung, which must be able to do it."""
    with rungs.prefer(conv=rung):
        assert rung in conv_weights.able(device.sent(x), (case.O, case.R, case.S, case.C), vector(case))
        return device(conv_weights.weight_gradient, dy, x, (case.O, case.R, case.S, case.C), case.stride, case.padding)


ANY = [
    Case(1, 1, 1, 1, 1),  # one pixel, one channel
    Case(1, 7, 5, 3, 2),
    Case(2, 5, 6, 1, 65),  # a layer that reads grey images; one row more than a tile
    Case(1, 6, 5, 15, 1),  # 135 columns: seven more than a tile
    Case(2, 9, 7, 2, 3, 4, 5, (2, 3), ((2, 0), (1, 3))),
    Case(0, 4, 4, 3, 5),  # no pixels: zeros
]
FOURS = [  # C and O divide by 4
    Case(1, 1, 1, 4, 4),
    Case(1, 5, 7, 4, 68),
    Case(2, 5, 3, 16, 8),
    Case(1, 9, 8, 12, 4, 2, 5, (2, 1), ((1, 0), (0, 3))),
    Case(0, 4, 4, 8, 4),
]
CASES = [(rung, case) for rung in ("direct", "tile", "igemm") for case in ANY] + [
    (rung, case) for rung in ("igemm", "tf32", "tf32x3") for case in FOURS
]


@pytest.mark.parametrize("rung", BARS)
def test_agrees_with_the_loops(device, rung):
    for _, case in filter(lambda pair: pair[0] == rung, CASES):
        dy, x = case.arrays()
        w = np.zeros((case.O, case.R, case.S, case.C))
        expected = reference.conv2d_backward(dy, x, w, case.stride, case.padding)[1] if dy.size * x.size < 2000 else einsum(case, dy, x)
        close(gradient(device, rung, case, dy, x), expected, BARS[rung])


LONG = Case(2, 18, 17, 4, 8)  # 612 pixels: two shares, of two segments each, and the last of each ends amid a step


@pytest.mark.parametrize("rung", BARS)
def test_many_pixels_are_shared_out(device, rung):
    dy, x = LONG.arrays()
    close(gradient(device, rung, LONG, dy, x), einsum(LONG, dy, x), BARS[rung])


@pytest.mark.parametrize("rung", ["tile", "igemm", "tf32x3"])
def test_many_shares(device, rung, monkeypatch):
    monkeypatch.setattr("nn.gpu.gemm.LEAST", 40)
    case = Case(3, 10, 11, 4, 4)
    dy, x = case.arrays()
    close(gradient(device, rung, case, dy, x), einsum(case, dy, x))


@pytest.mark.parametrize("rung", ["igemm", "tf32x3"])
def test_the_ring_of_places_is_used_again(device, rung, monkeypatch):
    monkeypatch.setattr("nn.gpu.gemm.ENOUGH", 1)
    dy, x = LONG.arrays()  # in one share: three segments, and the ring holds two
    close(gradient(device, rung, LONG, dy, x), einsum(LONG, dy, x))


@pytest.mark.parametrize("rung", BARS)
@given(data=st.data())
@settings(max_examples=12)
def test_random_shapes(rung, data):
    four = 4 if rung.startswith("tf32") or (rung == "igemm" and data.draw(st.booleans())) else 1
    R, S, top, bottom, left, right = (data.draw(st.integers(low, high)) for low, high in [(1, 4), (1, 4), (0, 2), (0, 2), (0, 2), (0, 2)])
    H, W = (data.draw(st.integers(max(1, taps - room), 9)) for taps, room in [(R, top + bottom), (S, left + right)])
    N, C, O = (data.draw(st.integers(low, high)) * step for low, high, step in [(0, 3, 1), (1, 20 // four, four), (1, 72 // four, four)])
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    case = Case(N, H, W, C, O, R, S, stride, ((top, bottom), (left, right)))
    dy, x = case.arrays(seed=data.draw(st.integers(0, 2**32 - 1)))
    close(gradient(Device("forward"), rung, case, dy, x), einsum(case, dy, x), BARS[rung])


@pytest.mark.parametrize("rung", ["direct", "tile", "igemm"])
def test_double_precision(rung):
    for case in (ANY[1], FOURS[3], LONG):
        dy, x = case.arrays(np.float64)
        close(gradient(Device("forward"), rung, case, dy, x), einsum(case, dy, x), 1e-13)


@pytest.mark.parametrize("rung", BARS)
def test_the_same_bits_in_every_order(rung):
    dy, x = LONG.arrays()
    first = gradient(Device("forward"), rung, LONG, dy, x)
    for mode in (*MODES, "forward"):
        np.testing.assert_array_equal(gradient(Device(mode), rung, LONG, dy, x), first)


def rounds(device):
    """TF32 rounded to nearest errs half as much as TF32 cut off: 3e-4 over both factors, and not 6e-4."""
    case = Case(2, 9, 8, 8, 16)
    dy, x = case.arrays()
    close(gradient(device, "tf32", case, dy, x), einsum(case, dy, x), 4e-4)


def test_tf32_is_rounded_to_nearest(device):
    rounds(device)


def offered(case, dtype=np.float32):
    return conv_weights.able(Device("forward").sent(np.zeros((1, 1, 1, case.C), dtype)), (case.O, case.R, case.S, case.C), vector(case))


def test_memory_that_does_not_start_at_16_bytes_is_read_number_by_number():
    case = Case(1, 4, 5, 4, 8)
    dy, x = case.arrays()

    def shifted(dy, x):
        longer = launch.empty(x, (x.size + 1,))
        longer[1:] = x.reshape(-1)
        return conv_weights.weight_gradient(dy, longer[1:].reshape(x.shape), (8, 3, 3, 4), (1, 1), SAME)

    close(Device("checked")(shifted, dy, x), einsum(case, dy, x))


def test_which_rungs_are_offered(monkeypatch):
    assert offered(Case(1, 1, 1, 4, 8)) == ["direct", "tile", "igemm", "tf32x3"]
    assert offered(Case(1, 1, 1, 4, 8), np.float64) == ["direct", "tile", "igemm"]
    assert offered(Case(1, 1, 1, 4, 6)) == offered(Case(1, 1, 1, 6, 4)) == ["direct", "tile", "igemm"]
    assert offered(Case(1, 1, 1, 4, 8, 6, 6)) == ["direct", "tile"]  # 36 taps: more than a mask has bits
    with rungs.prefer(conv="tf32"):
        assert "tf32" in offered(Case(1, 1, 1, 4, 8))
    monkeypatch.setattr(conv_weights, "capability", lambda _: 75)
    assert offered(Case(1, 1, 1, 4, 8)) == ["direct", "tile", "igemm"]


def test_a_large_filter_finds_a_rung():
    case = Case(1, 9, 8, 4, 4, 6, 6, padding=((3, 2), (3, 2)))
    dy, x = case.arrays()
    got = Device("forward")(conv_weights.weight_gradient, dy, x, (4, 6, 6, 4), case.stride, case.padding)
    close(got, einsum(case, dy, x))


def right(rung, case):
    """The check that a planted bug must fail."""

    def check(device):
        dy, x = case.arrays()
        close(gradient(device, rung, case, dy, x), einsum(case, dy, x), BARS[rung])

    return check


def planted(file, subject, *bugs):
    """Mutants of a file that the subject must find: (name, old, new, found by)."""
    return [Mutant(name, file, old, new, subject, found_by) for name, old, new, found_by in bugs]


ODD = Case(2, 9, 7, 5, 3, 4, 5, (2, 3), ((2, 0), (1, 3)))
WIDE = Case(1, 9, 8, 4, 12)
FFMA, MMA = "conv_weights.cu", "conv_weights_mma.cu"
PLACES, TF32_HEADER = "conv_weights.cuh", "tf32.cuh"
BARRIER = "__syncthreads();     // "
MUTANTS = [
    *planted(
        FFMA,
        right("direct", ODD),
        ("direct: the left border open", "w < 0 || w >= W", "w >= W", "forward"),
        ("direct: the upper border open", "h < 0 || h >= H", "h >= H", "out-of-bounds"),
    ),
    *planted(
        FFMA,
        right("tile", ODD),
        ("tile: the stride forgotten", "p % J * stride_j + s", "p % J + s", "forward"),
        ("tile: pixels beyond the last", "p < last && o0 + fast < O", "o0 + fast < O", "out-of-bounds"),
        ("tile: overwritten while read", f"{BARRIER}all have", "// all have", "race"),
    ),
    *planted(
        FFMA,
        right("igemm", ODD),
        ("igemm: places read too early", f"{BARRIER}the places", "// the places", "uninitialised"),
    ),
    *planted(
        FFMA,
        right("igemm", LONG),
        ("igemm: places never looked up", "describe(ring, start, from + SEGMENT, first, last, shape);", "", "uninitialised"),
        ("igemm: the same places again", "describe(ring, start, from + SEGMENT,", "describe(ring, start, from,", "race"),
        ("igemm: the frame ignored", "place.inside & tap ?", "place.inside ?", "forward"),
        ("igemm: no barrier in the loop", f"{BARRIER}the next tiles", "// the next tiles", "uninitialised"),
    ),
    *planted(
        FFMA,
        right("igemm", Case(1, 3, 5, 4, 12)),
        ("igemm: the short step not cut", "may_be_short && start + dp", "false && start + dp", "out-of-bounds"),
    ),
    *planted(
        MMA,
        right("tf32x3", LONG),
        ("mma: a share reaches into the next", "min(first + share,", "min(first + share + 8,", "forward"),
        ("mma: copies not waited for", "cp_async_wait<0>", "cp_async_wait<1>", "forward"),
        ("mma: copied into the buffer in use", "copy(buffers + BUFFER - now", "copy(buffers + now", "early copies"),
        ("mma: no barrier in the loop", f"{BARRIER}everybody's", "// everybody's", "race"),
    ),
    *planted(
        MMA,
        right("tf32x3", WIDE),
        ("mma: a row of no whole 16 bytes", "#define D_PITCH (ROWS + 8)", "#define D_PITCH (ROWS + 6)", "misaligned"),
        ("mma: pixels k and k + 4 exchanged", "(k0 + 2 * e) * D_PITCH", "(k0 + 4 - 2 * e) * D_PITCH", "forward"),
        ("mma: columns beyond the last stored", "if (o < O && column < Q)", "if (o < O)", "out-of-bounds"),
        ("mma: the rest of x left out", "mma_tf32(product, d, x_rest);", "", "forward"),
    ),
    *planted(TF32_HEADER, rounds, ("mma: cut off where it should round", " * 1.00033845f", "", "forward")),
    *planted(
        PLACES,
        right("tf32x3", LONG),
        ("places: the lower border open", " && h + r < f.H", "", "forward"),
        ("places: pixels of the next share", "p >= first && p < last", "p >= first", "out-of-bounds"),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
