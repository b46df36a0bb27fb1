"""The moving average of a model's arrays."""

import numpy as np
import pytest

from nn import Average, BatchNorm, Dense, Sequential


@pytest.fixture
def model():
    return Sequential(fc=Dense(3, 2, rng=np.random.default_rng(0)), norm=BatchNorm(2))


def walk(model, rng, steps):
    """Change every array at random; the states on the way."""
    states = []
    for _ in range(steps):
        model.load_state({name: array + rng.standard_normal(array.shape).astype(array.dtype) for name, array in model.state().items()})
        states.append({name: array.copy() for name, array in model.state().items()})
    return states


def test_the_weights_of_the_mean_are_those_of_the_definition(model):
    """θ̄_T = Σ_t w_t θ_t with w_t = (1 - β_t) Π_{s>t} β_s, which add up to 1 with the start's."""
    start = {name: array.copy() for name, array in model.state().items()}
    average, rng, states = Average(model, 0.6), np.random.default_rng(1), []
    for _ in range(40):
        states += walk(model, rng, 1)
        average.step()
    beta = np.minimum(0.6, (1 + np.arange(1, 41)) / (10 + np.arange(1, 41)))
    assert beta[0] == pytest.approx(2 / 11) and beta[-1] == 0.6
    after = np.append(np.cumprod(beta[::-1])[::-1], 1)  # the product of all β from here on
    weights = (1 - beta) * after[1:]
    assert weights.sum() + after[0] == pytest.approx(1)
    for name in start:
        expected = after[0] * start[name] + sum(w * state[name] for w, state in zip(weights, states, strict=True))
        np.testing.assert_allclose(average.mean[name], expected, rtol=1e-4, atol=1e-5)


def test_shown_for_a_while(model):
    average = Average(model, 0.9)
    (own,) = walk(model, np.random.default_rng(2), 1)
    with pytest.raises(KeyError), average.shown():
        for name, array in model.state().items():
            np.testing.assert_array_equal(array, average.mean[name])
            assert (array != own[name]).any()
        raise KeyError
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, own[name])


def test_a_state_goes_on_where_it_was(model):
    one, other, rng = Average(model, 0.9), Average(model, 0.9), np.random.default_rng(3)
    walk(model, rng, 1)
    one.step()
    other.load_state(one.state())
    walk(model, rng, 1)
    one.step()
    other.step()
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, other.state()[name])
    with pytest.raises(ValueError, match="not that of this model"):
        other.load_state({"steps": np.array(1)})


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, float("nan")])
def test_a_beta_that_is_none(model, beta):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Average(model, beta)
