"""A gradient of the wrong shape or dtype is refused by name, by every layer: NumPy would broadcast it into a wrong answer."""

import numpy as np
import pytest

import nn

LAYERS = {
    "Conv2D": (lambda rng: nn.Conv2D(2, 3, rng=rng), (2, 4, 4, 2)),
    "MaxPool2D": (lambda rng: nn.MaxPool2D(2), (2, 4, 4, 2)),
    "Dense": (lambda rng: nn.Dense(3, 2, rng=rng), (4, 3)),
    "Flatten": (lambda rng: nn.Flatten(), (2, 3, 2)),
    "ReLU": (lambda rng: nn.ReLU(), (4, 3)),
    "Sigmoid": (lambda rng: nn.Sigmoid(), (4, 3)),
    "Tanh": (lambda rng: nn.Tanh(), (4, 3)),
    "BatchNorm": (lambda rng: nn.BatchNorm(3), (4, 3)),
    "Dropout": (lambda rng: nn.Dropout(0.5, rng=rng), (4, 3)),
    "LSTM": (lambda rng: nn.LSTM(3, 2, rng=rng), (2, 4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_wrong_upstream_is_refused(name, rng):
    make, shape = LAYERS[name]
    layer, x = make(rng), rng.normal(size=shape).astype(np.float32)
    y = layer.forward(x)
    y = y[0] if isinstance(y, tuple) else y
    with pytest.raises(ValueError, match=rf"{name}\.backward expects \({y.shape[0]}, "):
        layer.backward(y[:1])
    layer.forward(x)
    with pytest.raises(TypeError, match=rf"{name}\.backward works in float32 here, got float64"):
        layer.backward(y.astype(np.float64))


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.Dropout(0.3, rng=np.random.default_rng(0)), nn.BatchNorm(2)])
def test_whole_numbers_are_refused(layer):
    with pytest.raises(TypeError, match=r"float"):
        layer.forward(np.ones((2, 2), np.int64))


def test_losses_refuse_a_target_of_another_dtype(rng):
    y = rng.normal(size=(2, 3, 2)).astype(np.float32)
    with pytest.raises(TypeError, match="MeanSquaredError works in float32 here, got float64"):
        nn.MeanSquaredError().forward(y, y.astype(np.float64))
    with pytest.raises(TypeError, match="LandmarkError works in float32 here, got float64"):
        nn.LandmarkError().forward(y, y, np.ones(2))


def test_layers_in_a_list_are_part_of_the_model(rng):
    class Pair(nn.Layer):
        def __init__(self):
            self.both = [nn.Dense(2, 2, rng=rng), nn.Dense(2, 1, rng=rng)]

    assert list(Pair().parameters()) == ["both.0.weight", "both.0.bias", "both.1.weight", "both.1.bias"]


def test_an_optimiser_state_of_another_shape_is_refused(rng):
    adam = nn.Adam(nn.Dense(3, 2, rng=rng).parameters(), 0.1)
    state = adam.state() | {"m.bias": np.zeros(1, np.float32)}
    with pytest.raises(ValueError, match="not that of Adam on this model"):
        adam.load_state(state)


def test_a_parameter_laid_out_by_columns_is_trained(rng):
    parameter = nn.Parameter(np.asfortranarray(rng.normal(size=(3, 2)).astype(np.float32)))
    before = parameter.value.copy()
    parameter.grad[...] = 1
    nn.Adam({"w": parameter}, 0.1).step()
    np.testing.assert_allclose(parameter.value, before - 0.1, rtol=1e-5)


def test_a_part_needs_a_step(rng):
    with pytest.raises(ValueError, match="one step or more for each part"):
        nn.SeededLSTM(2, 3, 4, (2, 0), rng=rng)
