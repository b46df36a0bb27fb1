"""Every layer's backward pass against central differences: every input, every weight, both modes, ragged and empty shapes."""

import numpy as np
import pytest

import nn
from nn import gradcheck

TOLERANCE = 1e-7


def assert_right(report):
    assert report.ok(TOLERANCE), f"\n{report}"


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (2, 4, 5, 2)),
        ({"size": 1}, (2, 3, 3, 2)),
        ({"size": (2, 3), "stride": (2, 1), "padding": ((1, 0), (2, 3))}, (2, 5, 4, 2)),
        ({"size": 5}, (1, 2, 3, 2)),  # the filter is larger than the map
        ({"stride": 2}, (2, 5, 6, 2)),
        ({"size": 2, "stride": 3, "padding": 0}, (1, 7, 6, 2)),  # rows and columns that no window reads
        ({"padding": 3}, (1, 2, 2, 2)),  # windows that see zeros only
        ({"bias": False}, (1, 1, 1, 2)),
        ({}, (0, 4, 5, 2)),
    ],
)
def test_conv(options, shape, rng):
    assert_right(gradcheck.check(nn.Conv2D(2, 3, rng=rng, **options), rng.normal(size=shape), rng=rng, exhaustive=200))


@pytest.mark.parametrize(("size", "shape"), [(2, (2, 6, 4, 3)), (2, (1, 5, 7, 2)), (3, (1, 7, 8, 1)), (1, (2, 3, 1, 2)), (2, (0, 4, 4, 2))])
def test_maxpool(size, shape, rng, spread):
    assert_right(gradcheck.check(nn.MaxPool2D(size), spread(rng, *shape), rng=rng))


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (0, 3)])
def test_dense(shape, rng):
    assert_right(gradcheck.check(nn.Dense(3, 5, rng=rng), rng.normal(size=shape), rng=rng))


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (3, 4), (0, 2, 2)])
def test_flatten(shape, rng):
    assert_right(gradcheck.check(nn.Flatten(), rng.normal(size=shape), rng=rng))


@pytest.mark.parametrize("layer", [nn.ReLU, nn.Sigmoid, nn.Tanh])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2), (0, 4)])
def test_activation(layer, shape, rng, spread):
    assert_right(gradcheck.check(layer(), 5 * spread(rng, *shape), rng=rng))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 5, 3), (1, 2, 1, 3), (0, 3)])
def test_batch_norm(training, shape, relu, rng):
    layer = nn.BatchNorm(3, epsilon=1e-2, relu=relu).train(training)
    for member in layer.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, 3)
    assert_right(gradcheck.check(layer, rng.normal(size=shape), rng=rng))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("options", "shape"), [({}, (2, 4, 3, 2)), ({"size": 2, "stride": 2, "padding": 1}, (1, 3, 5, 2)), ({}, (0, 4, 3, 2))]
)
def test_conv_block(options, shape, training, rng):
    layer = nn.ConvBlock(2, 3, rng=rng, **options).train(training)
    for member in layer.norm.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, 3)
    assert_right(gradcheck.check(layer, rng.normal(size=shape), rng=rng, exhaustive=200))


@pytest.mark.parametrize("training", [True, False])
def test_dropout(training, rng):
    assert_right(gradcheck.check(nn.Dropout(0.4, rng=rng).train(training), rng.normal(size=(4, 5)), rng=rng))


@pytest.mark.parametrize(("N", "T", "D", "U"), [(2, 4, 3, 2), (1, 1, 1, 1), (3, 2, 1, 4), (0, 3, 2, 2)])
def test_lstm_with_states(N, T, D, U, rng):
    x, h0, c0 = rng.normal(size=(N, T, D)), rng.normal(size=(N, U)), rng.normal(size=(N, U))
    assert_right(gradcheck.check(nn.LSTM(D, U, rng=rng), x, h0, c0, rng=rng, exhaustive=200))


def test_lstm_from_zero_states(rng):
    assert_right(gradcheck.check(nn.LSTM(3, 2, rng=rng), rng.normal(size=(2, 4, 3)), rng=rng))


class Hidden(nn.Layer):
    """The hidden states alone: the gradient of the last cell is left out."""

    def __init__(self, lstm):
        self.lstm = lstm

    def forward(self, x):
        return self.lstm.forward(x)[0]

    def backward(self, dh):
        return self.lstm.backward(dh)[0]


def test_lstm_without_a_gradient_of_the_last_cell(rng):
    assert_right(gradcheck.check(Hidden(nn.LSTM(3, 2, rng=rng)), rng.normal(size=(2, 4, 3)), rng=rng))


@pytest.mark.parametrize("injection", ["every", "first"])
@pytest.mark.parametrize(("N", "steps"), [(2, (2, 1, 3)), (1, (1,)), (2, (3,)), (0, (2, 1))])
def test_seeded_lstm(injection, N, steps, rng):
    layer = nn.SeededLSTM(3, 2, 4, steps, injection=injection, rng=rng)
    seeds, features = rng.normal(size=(N, len(steps), 3)), rng.normal(size=(N, 4))
    assert_right(gradcheck.check(layer, seeds, features, rng=rng))


def test_squared_error(rng):
    assert_right(gradcheck.check(nn.MeanSquaredError(), rng.normal(size=(3, 4)), constants=(rng.normal(size=(3, 4)),), rng=rng))


def test_landmark_error(rng):
    constants = rng.normal(size=(3, 4, 2)), rng.uniform(0.5, 2, 3)
    assert_right(gradcheck.check(nn.LandmarkError(), rng.normal(size=(3, 4, 2)), constants=constants, rng=rng))


@pytest.mark.parametrize("training", [True, False])
def test_a_whole_model(training, rng):
    model = nn.Sequential(
        conv=nn.Conv2D(1, 3, rng=rng),
        norm=nn.BatchNorm(3),
        relu=nn.ReLU(),
        pool=nn.MaxPool2D(2),
        flatten=nn.Flatten(),
        drop=nn.Dropout(0.3, rng=rng),
        dense=nn.Dense(12, 2, rng=rng),
    )
    assert_right(gradcheck.check(model.train(training), rng.normal(size=(3, 5, 4, 1)), rng=rng))


def test_the_layer_and_the_inputs_stay_as_they_were(rng):
    layer = nn.Sequential(norm=nn.BatchNorm(3), drop=nn.Dropout(0.5, rng=np.random.default_rng(1)))
    x = rng.normal(size=(5, 3)).astype(np.float32)
    before, kept, generator = {k: v.copy() for k, v in layer.state().items()}, x.copy(), layer.drop.rng.bit_generator.state
    gradcheck.check(layer, x, rng=rng)
    assert all(np.array_equal(v, before[k]) and v.dtype == np.float32 for k, v in layer.state().items())
    assert np.array_equal(x, kept)
    assert layer.drop.rng.bit_generator.state == generator
    assert not layer.norm.gamma.grad.any()
