"""Max pooling: every room agrees with the loops, ties and leftover rows go by the written rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import MaxPool2D, reference


@given(
    seed=st.integers(0, 2**32 - 1),
    N=st.integers(0, 3),
    H=st.integers(1, 9),
    W=st.integers(1, 9),
    C=st.integers(1, 4),
    size=st.integers(1, 4),
    ties=st.booleans(),
)
def test_agrees_with_the_loops(ops, arrays, seed, N, H, W, C, size, ties):
    rng = np.random.default_rng(seed)
    x = arrays.of(rng, rng.integers(0, 3, (N, H, W, C))) if ties else arrays(rng, N, H, W, C)
    y, winner = ops.maxpool2d(x, size)
    expected, expected_winner = reference.maxpool2d(x, size)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winner, expected_winner)
    assert y.dtype == x.dtype and winner.dtype.kind == "u"
    dy = arrays(rng, *y.shape)
    arrays.agree(ops.maxpool2d_backward(dy, winner, size, x.shape), reference.maxpool2d_backward(dy, winner, size, x.shape))


@given(seed=st.integers(0, 2**32 - 1), N=st.integers(0, 2), H=st.integers(1, 6), W=st.integers(1, 6), size=st.integers(1, 3))
def test_without_winners_y_is_the_same(ops, arrays, seed, N, H, W, size):
    x = arrays(np.random.default_rng(seed), N, H, W, 2)
    for room in (ops, reference):
        y, none = room.maxpool2d(x, size, winners=False)
        assert none is None and np.array_equal(y, room.maxpool2d(x, size)[0])


def test_a_tie_goes_to_the_first_in_row_major_order(ops):
    _, winner = ops.maxpool2d(np.array([[0.0, 1, 0], [1, 1, 0], [0, 0, 0]])[None, :, :, None], 3)
    assert winner.item() == 1


def test_a_large_window_names_its_last_element(ops):
    x = np.zeros((1, 20, 20, 1))
    x[0, 19, 19] = 1
    y, winner = ops.maxpool2d(x, 20)
    assert winner.item() == 399 and y.item() == 1


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_nan_is_seen(ops, at):
    x = np.arange(4.0)
    x[at] = np.nan
    y, _ = ops.maxpool2d(x.reshape(1, 2, 2, 1), 2)
    assert np.isnan(y.item())


def test_leftover_rows_and_columns_belong_to_no_window(rng):
    layer = MaxPool2D(2)
    x = rng.normal(size=(1, 5, 3, 2))
    x[:, 4:] = x[:, :, 2:] = 100
    y = layer.forward(x)
    dx = layer.backward(np.ones_like(y))
    assert y.shape == (1, 2, 1, 2) and y.max() < 100
    assert dx.sum() == y.size and not dx[:, 4:].any() and not dx[:, :, 2:].any()


def test_a_wrong_input_or_window_is_named():
    with pytest.raises(ValueError, match=r"MaxPool2D expects \(N, H, W, C\), got \(4, 4\)"):
        MaxPool2D(2).forward(np.ones((4, 4)))
    with pytest.raises(TypeError, match=r"MaxPool2D expects floating-point numbers, got uint8: convert with x.astype\('float32'\)"):
        MaxPool2D(2).forward(np.ones((1, 4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match="MaxPool2D expects a window of 1 or more, got 0"):
        MaxPool2D(0)
