"""ReLU, sigmoid, tanh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import ReLU, Sigmoid, reference

SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES)
def test_agrees_with_the_equation(ops, arrays, name, seed, shape):
    rng = np.random.default_rng(seed)
    x, dy = arrays(rng, *shape), arrays(rng, *shape)
    y = getattr(ops, name)(x)
    arrays.agree(y, getattr(reference, name)(x))
    y.flags.writeable = False
    arrays.agree(getattr(ops, f"{name}_backward")(dy, y), getattr(reference, f"{name}_backward")(dy, y))


@given(seed=st.integers(0, 2**64 - 1), shape=SHAPES, rate=st.floats(0, 0.9))
def test_dropout_agrees_with_the_equation(ops, arrays, seed, shape, rate):
    x = arrays(np.random.default_rng(seed), *shape)
    arrays.agree(ops.dropout(x, seed, rate), reference.dropout(x, seed, rate))


def test_the_slope_of_relu_at_0_is_0():
    layer = ReLU()
    assert layer.forward(np.array([-1.0, 0, 2])).tolist() == [0, 0, 2]
    assert layer.backward(np.ones(3)).tolist() == [0, 0, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_far_out_neither_overflows_nor_leaves_its_range(dtype):
    y = Sigmoid().forward(np.array([-1e4, -50, 0, 50, 1e4], dtype))
    assert y[0] == 0 and y[2] == 0.5 and y[4] == 1
    assert ((y >= 0) & (y <= 1)).all()


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_a_nan_is_seen(ops, name):
    assert np.isnan(getattr(ops, name)(np.array([np.nan, 1.0]))).tolist() == [True, False]
