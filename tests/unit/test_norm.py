"""Batch norm: every room agrees with the written-out chain rule; running averages by hand; digits kept far from 0."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nn import BatchNorm, ReLU, reference

SHAPES = st.one_of(
    st.tuples(st.integers(0, 6), st.integers(1, 4)),
    st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4)),
)


@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, of_batch=st.booleans())
def test_agrees_with_the_chain_rule(ops, arrays, seed, shape, of_batch):
    rng = np.random.default_rng(seed)
    x, dy, gamma, beta = arrays(rng, *shape), arrays(rng, *shape), arrays(rng, shape[-1]), arrays(rng, shape[-1])
    mean, variance = ops.batch_statistics(x)
    arrays.agree((mean, variance), reference.batch_statistics(x))
    if not of_batch:
        mean, variance = arrays(rng, shape[-1]), arrays.of(rng, rng.uniform(0.5, 2, shape[-1]))
    arrays.agree(ops.batch_norm(x, gamma, beta, mean, variance, 0.1), reference.batch_norm(x, gamma, beta, mean, variance, 0.1))
    given = dy, x, gamma, mean, variance, 0.1, of_batch
    arrays.agree(ops.batch_norm_backward(*given), reference.batch_norm_backward(*given))


@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, of_batch=st.booleans())
def test_with_a_relu_agrees_with_the_chain_rule(ops, arrays, seed, shape, of_batch):
    rng = np.random.default_rng(seed)
    x, dy, gamma, beta = arrays(rng, *shape), arrays(rng, *shape), arrays(rng, shape[-1]), arrays(rng, shape[-1])
    mean, variance = ops.batch_statistics(x) if of_batch else (arrays(rng, shape[-1]), arrays.of(rng, rng.uniform(0.5, 2, shape[-1])))
    line = x, gamma, beta, mean, variance, 0.1
    assume(np.abs(reference.batch_norm(*line)).min(initial=1) > 1e-4)  # float32 knows on which side of the kink it is
    arrays.agree(ops.batch_norm(*line, relu=True), reference.batch_norm(*line, relu=True))
    given = dy, x, gamma, mean, variance, 0.1, of_batch
    arrays.agree(ops.batch_norm_backward(*given, beta=beta), reference.batch_norm_backward(*given, beta=beta))


@given(seed=st.integers(0, 2**32 - 1), shape=SHAPES, of_batch=st.booleans())
def test_a_relu_that_rides_along_is_a_relu_that_follows(ops, arrays, seed, shape, of_batch):
    """To the last bit, at the kink too: a channel of γ = 0 and β = 0 is 0 everywhere, and hands nothing back."""
    rng = np.random.default_rng(seed)
    x, dy = arrays(rng, *shape), arrays(rng, *shape)
    gamma, beta = rng.normal(size=(2, shape[-1])).astype(arrays.dtype)
    gamma[0] = beta[0] = 0
    mean, variance = ops.batch_statistics(x)
    y = ops.batch_norm(x, gamma, beta, mean, variance, 0.1)
    assert np.array_equal(ops.batch_norm(x, gamma, beta, mean, variance, 0.1, relu=True), ops.relu(y))
    given = x, gamma, mean, variance, 0.1, of_batch
    through = ops.batch_norm_backward(ops.relu_backward(dy, ops.relu(y)), *given)
    for ours, theirs in zip(ops.batch_norm_backward(dy, *given, beta=beta), through, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 3), (0, 3)])
def test_the_layer_with_a_relu_is_the_layer_and_a_relu(training, shape, rng):
    whole, norm, relu = BatchNorm(3, relu=True).train(training), BatchNorm(3).train(training), ReLU()
    for member, twin in zip(whole.buffers().values(), norm.buffers().values(), strict=True):
        member.value[...] = twin.value[...] = rng.uniform(0.5, 2, 3)
    x, dy = rng.normal(size=(2, *shape)).astype(np.float32)
    assert np.array_equal(whole.forward(x), relu.forward(norm.forward(x)))
    assert np.array_equal(whole.backward(dy), norm.backward(relu.backward(dy)))
    assert all(np.array_equal(p.grad, norm.parameters()[name].grad) for name, p in whole.parameters().items())
    assert all(np.array_equal(value, norm.state()[name]) for name, value in whole.state().items())


def test_the_line_of_evaluation_by_hand():
    layer = BatchNorm(1, epsilon=3).astype(np.float64)
    layer.gamma.value[...], layer.beta.value[...], layer.mean.value[...], layer.variance.value[...] = 4, 10, 0.5, 13
    assert [float(v[0]) for v in layer.line()] == [1, 9.5]  # 4 / √(13 + 3), 10 - 1 · 0.5


def test_training_and_evaluation_by_hand():
    layer = BatchNorm(1, momentum=0.25, epsilon=3).astype(np.float64)
    x = np.array([[1.0], [3]])  # μ = 2, σ² = 1, unbiased 2
    layer.gamma.value[...], layer.beta.value[...] = 4, 10
    np.testing.assert_allclose(layer.forward(x), [[8], [12]])  # 4 (x - 2) / √(1 + 3) + 10
    np.testing.assert_allclose([layer.mean.value, layer.variance.value], [[0.25 * 2], [0.75 * 1 + 0.25 * 2]])
    layer.variance.value[...] = 13
    np.testing.assert_allclose(layer.evaluate().forward(x), [[10.5], [12.5]])  # 4 (x - 0.5) / √(13 + 3) + 10
    np.testing.assert_allclose([layer.mean.value, layer.variance.value], [[0.5], [13]])  # evaluation leaves them


@pytest.mark.parametrize("shape", [(50, 3), (4, 5, 6, 3)])
def test_the_output_of_training_has_mean_0_and_variance_1(shape, rng):
    y = BatchNorm(3).forward((5 + 3 * rng.normal(size=shape)).astype(np.float32)).reshape(-1, 3)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(0), 1, atol=1e-4)


def test_running_averages_converge_to_the_statistics(rng):
    layer, x = BatchNorm(2), rng.normal([3, -1], [0.5, 2], (40, 2)).astype(np.float32)
    for _ in range(150):
        layer.forward(x)
    np.testing.assert_allclose(layer.mean.value, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.variance.value, x.var(0, ddof=1), rtol=1e-5)


def test_a_variance_far_from_0_keeps_its_digits(ops, rng):
    x = (1e3 + rng.normal(size=(64, 32, 2))).astype(np.float32).reshape(64, 4, 8, 2)
    _, variance = ops.batch_statistics(x)
    np.testing.assert_allclose(variance, x.astype(np.float64).var((0, 1, 2)), rtol=1e-4)  # E[x²] - E[x]² would lose it all


def test_an_empty_batch_leaves_the_running_averages(rng):
    layer = BatchNorm(3)
    assert layer.forward(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert layer.mean.value.tolist() == [0, 0, 0] and layer.variance.value.tolist() == [1, 1, 1]


def test_a_batch_of_one_number_a_channel_is_finite():
    layer = BatchNorm(2)
    assert not layer.forward(np.array([[3, 5]], np.float32)).any()
    assert not layer.backward(np.array([[1, 2]], np.float32)).any()
    assert np.isfinite(layer.variance.value).all()


def test_a_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"BatchNorm expects \(N, 3\) or \(N, H, W, 3\), got \(2, 4\)"):
        BatchNorm(3).forward(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"BatchNorm expects \(N, 3\) or \(N, H, W, 3\), got \(2, 4, 3\)"):
        BatchNorm(3).forward(np.zeros((2, 4, 3), np.float32))
    with pytest.raises(TypeError, match=r"BatchNorm works in float32 here, got float64"):
        BatchNorm(3).forward(np.zeros((2, 3)))
