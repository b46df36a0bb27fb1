"""The variance that weights start with."""

import numpy as np
import pytest

from nn.initializers import glorot_uniform, he_normal, ones, zeros


@pytest.mark.parametrize(("shape", "fan_in"), [((300, 200), 200), ((64, 3, 5, 40), 600)])
def test_he_normal(shape, fan_in, rng):
    w = he_normal(shape, rng)
    assert w.shape == shape and w.dtype == np.float32
    assert w.var() == pytest.approx(2 / fan_in, rel=0.03)
    assert abs(w.mean()) < 3 * np.sqrt(2 / fan_in / w.size)


@pytest.mark.parametrize(("shape", "fans"), [((300, 200), 500), ((64, 3, 5, 40), 600 + 960)])
def test_glorot_uniform(shape, fans, rng):
    w = glorot_uniform(shape, rng)
    assert w.shape == shape and w.dtype == np.float32
    assert w.var() == pytest.approx(2 / fans, rel=0.03)
    assert 0.99 < np.abs(w).max() / np.sqrt(6 / fans) <= 1


def test_variance_passes_through_relu_layers(rng):
    x = rng.normal(size=(200, 400))
    for _ in range(10):
        x = np.maximum(x @ he_normal((400, 400), rng).T, 0)
    assert 0.5 < np.mean(x**2) < 2


@pytest.mark.parametrize("draw", [he_normal, glorot_uniform])
def test_a_seed_draws_the_same(draw):
    first, second = (draw((4, 5), np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, second)


def test_constants():
    assert zeros(2, 3).tolist() == [[0] * 3] * 2 and ones(2).tolist() == [1, 1]
    assert zeros(2).dtype == ones(2).dtype == np.float32
