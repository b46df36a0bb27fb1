"""Dropout: the mask's statistics, its reuse in backward, its randomness."""

import numpy as np
import pytest

from nn import Dropout, cpu


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_mean_stays_and_the_rate_is_dropped(rate, rng):
    y = Dropout(rate, rng=rng).forward(np.ones((100, 1000)))
    assert abs(y.mean() - 1) < 0.02
    assert abs((y == 0).mean() - rate) < 0.01
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)])


def kept(seed, shape=(512, 512)):
    """Which of so many are kept at rate 0.5, as ±1."""
    return np.sign(cpu.dropout(np.ones(shape), seed, 0.5) - 1)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**63 + 12345])
def test_draws_do_not_know_each_other(seed):
    """Masks of neighbouring places, and of seeds that differ in one bit: 2¹⁸ products of ±1 sum to less than five deviations."""
    mask = kept(seed)
    others = [np.roll(mask, step) for step in (1, 2, 31, 512)] + [kept(seed ^ 1 << bit) for bit in (0, 1, 31, 32, 63)]
    for other in others:
        assert abs((mask * other).mean()) < 5 / np.sqrt(mask.size)
    assert abs(mask.mean()) < 5 / np.sqrt(mask.size)
    assert np.abs(mask.mean(0)).max() < 5.5 / np.sqrt(512) and np.abs(mask.mean(1)).max() < 5.5 / np.sqrt(512)


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
