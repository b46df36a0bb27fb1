"""Convolution: every room agrees with the loops, it is linear, and its two backwards are its adjoints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import Conv2D, reference

SEEDS = st.integers(0, 2**32 - 1)
SIDES, CHANNELS, FILTERS, STEPS = st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)
ZEROS = st.tuples(st.integers(0, 3), st.integers(0, 3))


def draw(seed, arrays, N, sides, C, O, filters, padding):
    rng = np.random.default_rng(seed)
    R, S = (min(size, side + sum(zeros)) for size, side, zeros in zip(filters, sides, padding, strict=True))
    return arrays(rng, N, *sides, C), arrays(rng, O, R, S, C), arrays(rng, O), rng


shapes = given(
    seed=SEEDS,
    N=st.integers(0, 6),
    sides=st.tuples(SIDES, SIDES),
    C=CHANNELS,
    O=CHANNELS,
    filters=st.tuples(FILTERS, FILTERS),
    stride=st.tuples(STEPS, STEPS),
    padding=st.tuples(ZEROS, ZEROS),
)


@shapes
def test_agrees_with_the_loops(ops, arrays, seed, N, sides, C, O, filters, stride, padding):
    x, w, b, rng = draw(seed, arrays, N, sides, C, O, filters, padding)
    y = ops.conv2d(x, w, b, stride, padding)
    arrays.agree(y, reference.conv2d(x, w, b, stride, padding))
    arrays.agree(ops.conv2d(x, w, None, stride, padding), reference.conv2d(x, w, None, stride, padding))
    dy = arrays(rng, *y.shape)
    arrays.agree(ops.conv2d_backward(dy, x, w, stride, padding), reference.conv2d_backward(dy, x, w, stride, padding))


@given(seed=SEEDS, N=st.integers(0, 2), sides=st.tuples(SIDES, SIDES), C=CHANNELS, O=CHANNELS, padding=st.tuples(ZEROS, ZEROS))
def test_relu_and_no_bias_agree_with_the_loops(ops, arrays, seed, N, sides, C, O, padding):
    x, w, b, rng = draw(seed, arrays, N, sides, C, O, (3, 3), padding)
    y = ops.conv2d(x, w, b, (1, 1), padding, relu=True)
    arrays.agree(y, reference.conv2d(x, w, b, (1, 1), padding, relu=True))
    dy = arrays(rng, *y.shape)
    ours, theirs = (room.conv2d_backward(dy, x, w, (1, 1), padding, bias=False) for room in (ops, reference))
    arrays.agree(ours[:2], theirs[:2])
    assert ours[2] is None and theirs[2] is None


@shapes
def test_is_linear_and_its_backwards_are_its_adjoints(ops, seed, N, sides, C, O, filters, stride, padding):
    x, w, _, rng = draw(seed, lambda rng, *shape: rng.normal(size=shape), N, sides, C, O, filters, padding)
    x2, w2 = rng.normal(size=x.shape), rng.normal(size=w.shape)
    y = ops.conv2d(x, w, None, stride, padding)
    np.testing.assert_allclose(
        ops.conv2d(3 * x + x2, w, None, stride, padding), 3 * y + ops.conv2d(x2, w, None, stride, padding), atol=1e-10
    )
    np.testing.assert_allclose(
        ops.conv2d(x, 3 * w + w2, None, stride, padding), 3 * y + ops.conv2d(x, w2, None, stride, padding), atol=1e-10
    )
    dy = rng.normal(size=y.shape)
    dx, dw, _ = ops.conv2d_backward(dy, x, w, stride, padding)
    np.testing.assert_allclose([(dx * x).sum(), (dw * w).sum()], (dy * y).sum(), atol=1e-9)  # ⟨Aᵀdy, x⟩ = ⟨dy, Ax⟩


def test_wide_ones_are_linear_too_and_their_backwards_adjoints(ops, rng):
    """64 channels: other rungs than few channels take, each pass its own."""
    x, w, padding = rng.normal(size=(2, 9, 7, 64)), rng.normal(size=(64, 3, 3, 64)), ((1, 0), (2, 1))
    y = ops.conv2d(x, w, None, (1, 1), padding)
    dy = rng.normal(size=y.shape)
    dx, dw, _ = ops.conv2d_backward(dy, x, w, (1, 1), padding)
    np.testing.assert_allclose([(dx * x).sum(), (dw * w).sum()], (dy * y).sum(), rtol=1e-11)
    np.testing.assert_allclose(ops.conv2d(3 * x, w - w[::-1], None, (1, 1), padding), 3 * (y - y[..., ::-1]), atol=1e-10)


def test_a_3x3_filter_by_hand(ops):
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    w = np.zeros((1, 3, 3, 1))
    w[0, 1, 2] = 1  # reads the pixel to the right: a correlation, as every network library has it
    y = ops.conv2d(x, w, np.array([10.0]), (1, 1), ((1, 1), (1, 1)))
    assert y[0, :, :, 0].tolist() == [[11, 12, 10], [14, 15, 10], [17, 18, 10]]


@given(side=st.integers(1, 9), size=st.integers(1, 5), stride=st.integers(1, 3))
def test_same_keeps_the_size_over_the_stride(side, size, stride):
    layer = Conv2D(1, 1, size, stride=stride, rng=np.random.default_rng(0))
    y = layer.forward(np.zeros((1, side, side, 1), np.float32))
    assert y.shape == (1, -(-side // stride), -(-side // stride), 1)


def test_same_puts_the_odd_zero_at_the_bottom_and_right(rng):
    layer = Conv2D(1, 1, 2, rng=rng)
    layer.weight.value[...] = 0
    layer.weight.value[0, 0, 0] = 1  # the window's first pixel
    x = rng.normal(size=(1, 3, 4, 1)).astype(np.float32)
    np.testing.assert_array_equal(layer.forward(x), x)


def test_without_a_bias_there_is_no_such_parameter(rng):
    layer = Conv2D(2, 3, bias=False, rng=rng)
    assert list(layer.parameters()) == ["weight"]
    assert not layer.forward(np.zeros((1, 4, 4, 2), np.float32)).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": "valid"}, "Conv2D expects padding \"same\", a number or .*, got 'valid'"),
        ({"size": 0}, "Conv2D expects filter sides and strides of 1 or more, got size"),
        ({"stride": 0}, "Conv2D expects filter sides and strides of 1 or more, got size"),
    ],
)
def test_a_wrong_option_is_named(options, words, rng):
    with pytest.raises(ValueError, match=words):
        Conv2D(2, 3, rng=rng, **options)


def test_a_wrong_input_is_named(rng):
    layer = Conv2D(2, 3, 3, padding=0, rng=rng)
    with pytest.raises(ValueError, match=r"Conv2D expects \(N, H, W, 2\), got \(1, 4, 4, 3\)"):
        layer.forward(np.zeros((1, 4, 4, 3), np.float32))
    with pytest.raises(ValueError, match=r"Conv2D expects a map of at least its filter's \(3, 3\).*got \(1, 2, 4, 2\)"):
        layer.forward(np.zeros((1, 2, 4, 2), np.float32))
    with pytest.raises(TypeError, match=r"Conv2D works in float32 here, got float64"):
        layer.forward(np.zeros((1, 4, 4, 2)))
