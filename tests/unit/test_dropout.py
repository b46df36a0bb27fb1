"""Dropout: the mask's statistics, its reuse in backward, its randomness."""

import numpy as np
import pytest

from nn import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_mean_stays_and_the_rate_is_dropped(rate, rng):
    y = Dropout(rate, rng=rng).forward(np.ones((100, 1000)))
    assert abs(y.mean() - 1) < 0.02
    assert abs((y == 0).mean() - rate) < 0.01
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)])


def test_backward_uses_the_mask_of_its_forward(rng):
    layer = Dropout(0.5, rng=rng)
    x = rng.uniform(1, 2, (20, 30))
    y = layer.forward(x)
    np.testing.assert_allclose(layer.backward(x), y)  # the same linear function


def test_each_forward_draws_anew_and_a_seed_draws_the_same():
    first, again = (Dropout(0.5, rng=np.random.default_rng(3)) for _ in range(2))
    x = np.ones((8, 8))
    one, two = first.forward(x), first.forward(x)
    assert not np.array_equal(one, two)
    assert np.array_equal(again.forward(x), one) and np.array_equal(again.forward(x), two)


def test_float32_and_float64_draw_the_same_mask():
    x = np.ones((8, 8))
    small, large = (Dropout(0.5, rng=np.random.default_rng(3)).forward(x.astype(dtype)) for dtype in (np.float32, np.float64))
    assert small.dtype == np.float32 and np.array_equal(small, large)


def test_out_of_training_it_passes_all_on_and_draws_nothing(rng):
    layer = Dropout(0.5, rng=rng).train(False)
    before = rng.bit_generator.state
    x = np.arange(6.0)
    assert np.array_equal(layer.forward(x), x)
    assert np.array_equal(layer.backward(x), x)
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_a_wrong_rate_is_named(rate, rng):
    with pytest.raises(ValueError, match=rf"Dropout expects a rate in \[0, 1\), got {rate}"):
        Dropout(rate, rng=rng)
