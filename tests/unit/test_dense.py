"""Dense and Flatten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import Dense, Flatten, reference
from nn.cpu import product


@given(seed=st.integers(0, 2**32 - 1), N=st.integers(0, 5), D=st.integers(1, 6), O=st.integers(1, 6))
def test_agrees_with_the_sums(ops, arrays, seed, N, D, O):
    rng = np.random.default_rng(seed)
    x, w, b, dy = arrays(rng, N, D), arrays(rng, O, D), arrays(rng, O), arrays(rng, N, O)
    arrays.agree(ops.dense(x, w, b), reference.dense(x, w, b))
    arrays.agree(ops.dense_backward(dy, x, w), reference.dense_backward(dy, x, w))


@pytest.mark.parametrize("piece", [1, 7, 50, 1 << 24])
@given(seed=st.integers(0, 2**32 - 1), M=st.integers(0, 30), K=st.integers(1, 9), N=st.integers(1, 30))
def test_a_product_in_any_number_of_pieces(piece, arrays, seed, M, K, N):
    rng = np.random.default_rng(seed)
    a, b = arrays(rng, M, K), arrays(rng, K, N)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product, "PIECE", piece)
        arrays.agree(product.product(a, b), a.astype(np.float64) @ b.astype(np.float64))


def test_by_hand(rng):
    layer = Dense(2, 1, rng=rng).astype(np.float64)
    layer.weight.value[...], layer.bias.value[...] = [[2, 3]], 10
    assert layer.forward(np.array([[1.0, 1], [0, 2]])).tolist() == [[15], [16]]
    assert layer.backward(np.array([[1.0], [10]])).tolist() == [[2, 3], [20, 30]]
    assert layer.weight.grad.tolist() == [[1, 21]] and layer.bias.grad.tolist() == [11]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (0, 3, 4, 5), (2, 1, 1, 1), (3, 4)])
def test_flatten_keeps_the_order_and_comes_back(shape, rng):
    x, layer = rng.normal(size=shape), Flatten()
    y = layer.forward(x)
    assert y.shape == (shape[0], np.prod(shape[1:]))
    assert y.ravel().tolist() == x.ravel().tolist()
    np.testing.assert_array_equal(layer.backward(y), x)


def test_a_wrong_input_is_named(rng):
    layer = Dense(3, 2, rng=rng)
    with pytest.raises(ValueError, match=r"Dense expects \(N, 3\), got \(2, 4\)"):
        layer.forward(np.zeros((2, 4), np.float32))
    with pytest.raises(TypeError, match=r"Dense works in float32 here, got float64"):
        layer.forward(np.zeros((2, 3)))
