"""Max pooling's kernels agree with the loops to the last bit, on every rung and in every mode; ties, NaN and leftovers go by the rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import Device, Mutant, hunt

from nn import reference
from nn.gpu import launch, pool
from nn.gpu.rungs import prefer

RUNGS = ["element", "vector"]
SHAPES = [  # N, H, W, C, S
    (2, 5, 7, 4, 2),  # a row and a column left over
    (1, 9, 6, 8, 3),
    (3, 4, 4, 5, 2),  # no quartets of channels
    (2, 3, 3, 132, 1),  # more than one block
    (1, 1, 1, 1, 1),
    (1, 2, 2, 4, 3),  # no window at all
    (1, 15, 16, 4, 15),  # the largest window whose winner is one byte
    (1, 18, 17, 4, 17),  # winners of two bytes
    (0, 4, 4, 4, 2),
]


def numbers(N, H, W, C, S, dtype=np.float32):
    """x, with many ties among its numbers (the first channel is largest at the end of each window), and dy."""
    rng = np.random.default_rng([N, H, W, C, S])
    x = rng.integers(-3, 3, (N, H, W, C)).astype(dtype)
    x[:, S - 1 :: S, S - 1 :: S, 0] = 9
    return x, rng.normal(size=(N, H // S, W // S, C)).astype(dtype)


def check(device, rung, shape, dtype=np.float32):
    """Assert that y, the winners and dx are those of the loops."""
    (x, dy), size = numbers(*shape, dtype), shape[-1]
    with prefer(pool=rung):
        y, winner = device(pool.maxpool2d, x, size)
        dx = device(pool.maxpool2d_backward, dy, winner, size, x.shape)
        alone, none = device(pool.maxpool2d, x, size, winners=False)
    right, right_winner = reference.maxpool2d(x, size)
    assert winner.dtype == np.min_scalar_type(size * size) and none is None
    assert y.dtype == alone.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(y, right)
    np.testing.assert_array_equal(alone, y, strict=True)
    np.testing.assert_array_equal(winner, right_winner)
    np.testing.assert_array_equal(dx, reference.maxpool2d_backward(dy, right_winner, size, x.shape))
    assert y.shape == right.shape and dx.shape == x.shape


@pytest.fixture(params=RUNGS)
def rung(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_loops(device, rung, shape):
    check(device, rung, shape)


@given(N=st.integers(0, 3), H=st.integers(1, 9), W=st.integers(1, 9), C=st.integers(1, 9), S=st.integers(1, 4), double=st.booleans())
@settings(max_examples=25)
def test_any_shape(N, H, W, C, S, double):
    for rung in RUNGS:
        check(Device("forward"), rung, (N, H, W, C, S), np.float64 if double else np.float32)


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_in_double_precision(device, rung, shape):
    check(device, rung, shape, np.float64)


@pytest.mark.parametrize("C", [3, 4])
def test_views_serve_as_well(rung, C):
    x, dy = map(Device("forward").sent, numbers(2, 6, 6, C, 2))
    with prefer(pool=rung):
        y, winner = pool.maxpool2d(x, 2)
        turned, turned_winner = pool.maxpool2d(x.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3), 2)
        np.testing.assert_array_equal(turned.get(), y.get())
        np.testing.assert_array_equal(turned_winner.get(), winner.get())
        dx = pool.maxpool2d_backward(dy, winner, 2, x.shape)
        views = (array.transpose(3, 1, 2, 0).copy().transpose(3, 1, 2, 0) for array in (dy, winner))
        np.testing.assert_array_equal(pool.maxpool2d_backward(*views, 2, x.shape).get(), dx.get())


def nans_are_seen(device, rung):
    """A NaN at each place of a window of four, alone and with another: y is NaN and the first NaN the winner, as for NumPy."""
    x = np.zeros((1, 2, 2, 16), np.float32)
    for channel in range(16):
        x[0, :, :, channel].flat[[place for place in range(4) if channel >> place & 1]] = np.nan
    with prefer(pool=rung):
        y, winner = device(pool.maxpool2d, x, 2)
    np.testing.assert_array_equal(np.isnan(y).ravel(), np.arange(16) > 0)
    np.testing.assert_array_equal(winner, reference.maxpool2d(x, 2)[1])


def test_nans_are_seen(device, rung):
    nans_are_seen(device, rung)


def test_a_window_without_any_finite_number(rung):
    with prefer(pool=rung):
        y, winner = Device("forward")(pool.maxpool2d, np.full((1, 2, 2, 4), -np.inf, np.float32), 2)
    assert (y == -np.inf).all() and not winner.any()


def test_memory_that_does_not_start_at_16_bytes_is_read_number_by_number():
    x = np.random.default_rng(0).normal(size=(1, 4, 6, 4)).astype(np.float32)

    def shifted(x):
        longer = launch.empty(x, (x.size + 1,))
        longer[1:] = x.reshape(-1)
        return pool.maxpool2d(longer[1:].reshape(x.shape), 2)[0]

    np.testing.assert_array_equal(Device("checked")(shifted, x), reference.maxpool2d(x, 2)[0])


def test_the_rung_follows_channels_and_window():
    assert pool.able(64, 2)[-1] == "vector" and pool.able(64, 15)[-1] == "vector"
    assert pool.able(63, 2) == pool.able(64, 16) == ["element"]


def test_a_window_too_large_is_named():
    x = Device("forward").sent(np.zeros((1, 4, 4, 1), np.float32))
    with pytest.raises(ValueError, match="a window of 255 or less, got 256"):
        pool.maxpool2d(x, 256)


def right(rung, shape):
    return lambda device: check(device, rung, shape)


def seen(rung):
    return lambda device: nans_are_seen(device, rung)


element, vector, wide = right("element", SHAPES[0]), right("vector", SHAPES[0]), right("element", SHAPES[7])
FILE = "pool.cu"
BEATS = "v > best || (v != v && best == best)"
INSIDE = "if (i < I && j < J) {\n        const int from = ((n * I + i) * J + j) * "  # then C or Q
WINDOW = "(const float4*)x + ((n * H + i * S) * W"
MUTANTS = [
    Mutant("the last of equals wins", FILE, BEATS, BEATS.replace(">", ">="), element, "forward"),
    Mutant("the last NaN wins", FILE, BEATS, "v > best || v != v", seen("element"), "forward"),
    Mutant("a NaN passed over", FILE, BEATS, "v > best", seen("vector"), "forward"),
    Mutant("no bound", FILE, "if (k >= n) return;", "", element, "out-of-bounds"),
    Mutant("leftover rows read on", FILE, f"{INSIDE}C", f"{INSIDE}C".replace("i < I && j < J", "true"), element, "out-of-bounds"),
    Mutant("leftover columns read on", FILE, f"{INSIDE}Q", f"{INSIDE}Q".replace(" && j < J", ""), vector, "forward"),
    Mutant("winners cut to a byte", FILE, "wide[out] = best_at;", "wide[out] = (unsigned char)best_at;", wide, "forward"),
    Mutant("written through const", FILE, "got = dy[from];", "got = dy[from], ((float*)dy)[from] = 0;", element, "const"),
    Mutant("channels exchanged", FILE, "at_y << 8 | at_z << 16", "at_z << 8 | at_y << 16", vector, "forward"),
    Mutant("a neighbour's winner", FILE, "won >> 24 == here", "(won >> 16 & 255) == here", vector, "forward"),
    Mutant("one channel off", FILE, WINDOW, WINDOW.replace("x", "(x + 1)"), vector, "misaligned"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
