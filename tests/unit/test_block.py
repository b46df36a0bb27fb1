"""The convolution block: convolution, batch norm and ReLU in training; in evaluation the same, folded into one convolution."""

import numpy as np
import pytest

from nn import BatchNorm, Conv2D, ConvBlock, ReLU, Sequential

OPTIONS = [  # channels in and out, Conv2D's options, an input
    (2, 3, {}, (2, 4, 5, 2)),
    (2, 3, {"size": (2, 3), "stride": 2, "padding": 1}, (3, 5, 4, 2)),
    (2, 3, {}, (1, 1, 1, 2)),
    (2, 3, {}, (0, 4, 5, 2)),
    (64, 64, {}, (2, 9, 10, 64)),  # Winograd's convolution
]
EVERY = pytest.mark.parametrize(("inputs", "outputs", "options", "shape"), OPTIONS)


def twins(inputs, outputs, options, rng, dtype):
    """A block and its three layers one by one, with the same uneven numbers in them."""
    block = ConvBlock(inputs, outputs, rng=rng, **options)
    chain = Sequential(conv=Conv2D(inputs, outputs, bias=False, rng=rng, **options), norm=BatchNorm(outputs), relu=ReLU())
    for member in block.norm.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, outputs)
    chain.load_state(block.state())
    return block.astype(dtype), chain.astype(dtype)


def run(layer, x, dy):
    return layer.forward(x), layer.backward(dy), *(p.grad for p in layer.parameters().values()), *layer.state().values()


def drawn(block, shape, rng, dtype):
    x = rng.normal(size=shape).astype(dtype)
    return x, rng.normal(size=block.forward(x).shape).astype(dtype)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_is_the_three_layers_to_the_last_bit(inputs, outputs, options, shape, dtype, rng):
    """Outputs, gradients, and the running averages that move."""
    block, chain = twins(inputs, outputs, options, rng, dtype)
    x, dy = drawn(chain, shape, rng, dtype)
    chain.load_state(block.state())
    before = block.norm.mean.value.copy()
    for ours, theirs in zip(run(block, x, dy), run(chain, x, dy), strict=True):
        assert ours.dtype == dtype and np.array_equal(ours, theirs)
    assert (block.norm.mean.value != before).all() == bool(x.size)


@EVERY
def test_with_running_statistics_it_is_the_three_layers_to_the_last_bit(inputs, outputs, options, shape, rng):
    """train(False): outputs and gradients; the running averages stay."""
    block, chain = (twin.train(False) for twin in twins(inputs, outputs, options, rng, np.float32))
    x, dy = drawn(block, shape, rng, np.float32)
    before = {name: value.copy() for name, value in block.state().items()}
    for ours, theirs in zip(run(block, x, dy), run(chain, x, dy), strict=True):
        assert np.array_equal(ours, theirs)
    assert all(np.array_equal(value, before[name]) for name, value in block.state().items())


@EVERY
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_evaluation_folds_the_three_layers_into_one_to_rounding(inputs, outputs, options, shape, dtype, tolerance, rng):
    block, chain = (twin.evaluate() for twin in twins(inputs, outputs, options, rng, dtype))
    x, dy = drawn(block, shape, rng, dtype)
    ours, theirs = block.forward(x), chain.forward(x)
    assert ours.dtype == dtype and ours.shape == theirs.shape
    assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)
    with pytest.raises(RuntimeError, match=r"ConvBlock.backward has no forward to go with: evaluate\(\) keeps nothing for it"):
        block.backward(dy)


def test_another_dtype_is_seen_by_the_next_evaluation(rng):
    """The numbers may be the same: a slope of 1/4 is exact in both."""
    block = ConvBlock(2, 3, rng=rng).evaluate()
    block.norm.epsilon, block.norm.variance.value[...] = 3, 13
    x = np.ones((1, 4, 4, 2), np.float32)
    y = block.forward(x)
    again = block.astype(np.float64).forward(x.astype(np.float64))
    assert again.dtype == np.float64
    np.testing.assert_allclose(again, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["conv.weight", "norm.gamma", "norm.beta", "norm.mean", "norm.variance"])
def test_a_change_of_any_array_is_seen_by_the_next_evaluation(name, rng):
    """The folded filters are kept from call to call, in Winograd's form too."""
    block, _ = twins(32, 32, {}, rng, np.float32)
    x = rng.normal(size=(1, 9, 9, 32)).astype(np.float32)
    before = block.evaluate().forward(x)
    assert np.array_equal(before, block.forward(x))
    block.state()[name][...] *= 1.5  # in place
    after = block.forward(x)
    assert np.linalg.norm(after - before) > 1e-3 * np.linalg.norm(before)
    np.testing.assert_allclose(after, block.train(False).forward(x), rtol=1e-4, atol=1e-4)


def test_evaluation_by_hand(rng):
    block = ConvBlock(1, 1, 1, rng=rng).astype(np.float64).evaluate()
    block.norm.epsilon = 3
    values = {"conv.weight": 2, "norm.gamma": 4, "norm.beta": 10, "norm.mean": 0.5, "norm.variance": 13}
    block.load_state({name: np.full_like(block.state()[name], value) for name, value in values.items()})
    y = block.forward(np.array([1.0, -20]).reshape(1, 1, 2, 1))
    assert y.ravel().tolist() == [4 * (2 - 0.5) / 4 + 10, 0]  # √(13 + 3) = 4; the second one is -30.5


def test_names():
    block = ConvBlock(2, 3, rng=np.random.default_rng(0))
    assert list(block.parameters()) == ["conv.weight", "norm.gamma", "norm.beta"]
    assert list(block.state()) == ["conv.weight", "norm.gamma", "norm.beta", "norm.mean", "norm.variance"]


def test_the_three_layers_and_the_block_can_load_each_others_state(rng):
    block, chain = twins(2, 3, {}, rng, np.float32)
    for parameter in chain.parameters().values():
        parameter.value += 1
    block.load_state(chain.state())
    x = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)
    assert np.array_equal(block.forward(x), chain.forward(x))


@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_passes_and_moves_nothing(training, rng):
    block = ConvBlock(2, 3, rng=rng).train(training)
    before = {name: value.copy() for name, value in block.state().items()}
    y = block.forward(np.zeros((0, 4, 5, 2), np.float32))
    assert y.shape == (0, 4, 5, 3)
    assert block.backward(y).shape == (0, 4, 5, 2)
    assert all(np.array_equal(value, before[name]) for name, value in block.state().items())
    assert not any(parameter.grad.any() for parameter in block.parameters().values())


@pytest.mark.parametrize("training", [True, False])
def test_a_wrong_input_or_upstream_is_named(training, rng):
    block = ConvBlock(2, 3, rng=rng).train(training)
    with pytest.raises(ValueError, match=r"Conv2D expects \(N, H, W, 2\), got \(1, 4, 4, 3\)"):
        block.forward(np.zeros((1, 4, 4, 3), np.float32))
    with pytest.raises(TypeError, match="Conv2D works in float32 here, got float64"):
        block.forward(np.zeros((1, 4, 4, 2)))
    block.forward(np.zeros((1, 4, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r"ConvBlock.backward expects \(1, 4, 4, 3\), got \(1, 4, 4, 2\)"):
        block.backward(np.zeros((1, 4, 4, 2), np.float32))
