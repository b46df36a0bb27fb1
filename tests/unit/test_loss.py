"""The two losses: every room agrees with the sums; values by hand; the empty batch; the point that is exactly right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import LandmarkError, MeanSquaredError, reference

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, shape=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_squared_error_agrees_with_the_sum(ops, arrays, seed, shape):
    rng = np.random.default_rng(seed)
    y, target = arrays(rng, *shape), arrays(rng, *shape)
    arrays.agree(ops.squared_error(y, target), reference.squared_error(y, target))
    arrays.agree(ops.squared_error_backward(y, target), reference.squared_error_backward(y, target))


@given(seed=SEEDS, N=st.integers(0, 4), L=st.integers(0, 4))
def test_landmark_error_agrees_with_the_sum(ops, arrays, seed, N, L):
    rng = np.random.default_rng(seed)
    points, target, distance = arrays(rng, N, L, 2), arrays(rng, N, L, 2), arrays.of(rng, rng.uniform(0.5, 2, N))
    arrays.agree(ops.landmark_error(points, target, distance), reference.landmark_error(points, target, distance))
    arrays.agree(ops.landmark_error_backward(points, target, distance), reference.landmark_error_backward(points, target, distance))


def test_squared_error_by_hand():
    loss = MeanSquaredError()
    assert loss.forward(np.array([[1.0, 2]]), np.array([[0.0, 4]])) == 2.5
    assert loss.backward().tolist() == [[1, -2]]


def test_landmark_error_by_hand():
    loss = LandmarkError()
    points, target = np.array([[[3.0, 4], [1, 1]]]), np.array([[[0.0, 0], [1, 1]]])
    assert loss.forward(points, target, np.array([10.0])) == 0.25  # (5 + 0) / 2 / 10
    np.testing.assert_allclose(loss.backward(), [[[0.03, 0.04], [0, 0]]])  # a point exactly right is not pushed


def test_the_loss_of_an_empty_batch_is_0():
    empty = np.zeros((0, 68, 2))
    squared, landmark = MeanSquaredError(), LandmarkError()
    assert squared.forward(empty, empty) == 0 and squared.backward().shape == empty.shape
    assert landmark.forward(empty, empty, np.zeros(0)) == 0 and landmark.backward().shape == empty.shape


def test_a_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"MeanSquaredError expects \(2, 3\), got \(3, 2\)"):
        MeanSquaredError().forward(np.zeros((2, 3)), np.zeros((3, 2)))
    points = np.zeros((2, 5, 2))
    with pytest.raises(ValueError, match=r"LandmarkError expects \(N, L, 2\), got \(2, 10\)"):
        LandmarkError().forward(points.reshape(2, 10), points, np.ones(2))
    with pytest.raises(ValueError, match=r"LandmarkError expects \(2, 5, 2\), got \(2, 4, 2\)"):
        LandmarkError().forward(points, points[:, :4], np.ones(2))
    with pytest.raises(ValueError, match=r"LandmarkError expects \(2\), got \(3,\)"):
        LandmarkError().forward(points, points, np.ones(3))
    for distance in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=rf"LandmarkError expects positive distances, got {distance}: are both eyes"):
            LandmarkError().forward(points, points, np.array([1, distance]))
