"""What all layers share: one backward a forward, grads that add up, names, modes, state, dtypes."""

import numpy as np
import pytest

import nn

LAYERS = {  # name: (layer, input shapes, output shapes)
    "Conv2D": (lambda rng: nn.Conv2D(2, 3, rng=rng), [(2, 4, 5, 2)], [(2, 4, 5, 3)]),
    "MaxPool2D": (lambda rng: nn.MaxPool2D(2), [(2, 4, 5, 2)], [(2, 2, 2, 2)]),
    "Dense": (lambda rng: nn.Dense(3, 2, rng=rng), [(4, 3)], [(4, 2)]),
    "Flatten": (lambda rng: nn.Flatten(), [(2, 3, 2, 2)], [(2, 12)]),
    "ReLU": (lambda rng: nn.ReLU(), [(3, 4)], [(3, 4)]),
    "Sigmoid": (lambda rng: nn.Sigmoid(), [(3, 4)], [(3, 4)]),
    "Tanh": (lambda rng: nn.Tanh(), [(3, 4)], [(3, 4)]),
    "Dropout": (lambda rng: nn.Dropout(0.5, rng=rng), [(3, 4)], [(3, 4)]),
    "BatchNorm": (lambda rng: nn.BatchNorm(2), [(2, 3, 3, 2)], [(2, 3, 3, 2)]),
    "ConvBlock": (lambda rng: nn.ConvBlock(2, 3, rng=rng), [(2, 4, 5, 2)], [(2, 4, 5, 3)]),
    "LSTM": (lambda rng: nn.LSTM(3, 2, rng=rng), [(2, 4, 3), (2, 2), (2, 2)], [(2, 4, 2), (2, 2)]),
    "SeededLSTM": (lambda rng: nn.SeededLSTM(3, 2, 4, (2, 1), rng=rng), [(2, 2, 3), (2, 4)], [(2, 3, 2)]),
}
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)


def made(name, rng, dtype=np.float32):
    """The layer, its inputs, and an upstream gradient for each output."""
    layer, inputs, outputs = LAYERS[name]
    return layer(rng).astype(dtype), *([rng.normal(size=shape).astype(dtype) for shape in shapes] for shapes in (inputs, outputs))


def arrays_of(values):
    return values if isinstance(values, tuple) else (values,)


@EVERY_LAYER
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(name, dtype, rng):
    layer, inputs, upstream = made(name, rng, dtype)
    outputs, gradients = arrays_of(layer.forward(*inputs)), arrays_of(layer.backward(*upstream))
    assert [(y.shape, y.dtype) for y in outputs] == [(u.shape, dtype) for u in upstream]
    assert [(g.shape, g.dtype) for g in gradients] == [(x.shape, dtype) for x in inputs]
    assert all(p.grad.dtype == p.value.dtype == dtype and p.grad.shape == p.value.shape for p in layer.parameters().values())


@EVERY_LAYER
def test_a_second_backward_without_a_forward_names_the_layer(name, rng):
    layer, inputs, upstream = made(name, rng)
    with pytest.raises(RuntimeError, match=f"{name}.backward has no forward to go with: call forward first, once for each backward"):
        layer.backward(*upstream)
    layer.forward(*inputs)
    layer.backward(*upstream)
    with pytest.raises(RuntimeError, match=f"{name}.backward has no forward to go with"):
        layer.backward(*upstream)


@EVERY_LAYER
def test_evaluation_keeps_nothing_for_backward_and_says_so(name, rng):
    layer, inputs, upstream = made(name, rng)
    for kept in layer.train(False), layer.train():
        kept.forward(*inputs)
        kept.backward(*upstream)
    layer.evaluate().forward(*inputs)
    with pytest.raises(
        RuntimeError, match=rf"{name}.backward has no forward to go with: evaluate\(\) keeps nothing for it, train\(False\) does"
    ):
        layer.backward(*upstream)


@EVERY_LAYER
def test_evaluation_and_running_statistics_give_the_same(name, rng):
    """evaluate() and train(False) differ in what they keep alone, and a folded block in rounding."""
    layer, inputs, _ = made(name, rng, np.float64)
    evaluated, unfolded = arrays_of(layer.evaluate().forward(*inputs)), arrays_of(layer.train(False).forward(*inputs))
    for ours, theirs in zip(evaluated, unfolded, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", [nn.MeanSquaredError, nn.LandmarkError])
def test_a_second_backward_of_a_loss_names_it(loss):
    constants = [np.ones((2, 3, 2)), np.ones(2)][: 1 if loss is nn.MeanSquaredError else 2]
    layer = loss()
    layer.forward(np.zeros((2, 3, 2)), *constants)
    layer.backward()
    with pytest.raises(RuntimeError, match=f"{loss.__name__}.backward has no forward"):
        layer.backward()


@EVERY_LAYER
def test_inputs_and_upstream_are_not_changed(name, rng):
    layer, inputs, upstream = made(name, rng)
    for array in inputs + upstream:
        array.flags.writeable = False  # writing into it would raise
    layer.forward(*inputs)
    layer.backward(*upstream)


@EVERY_LAYER
def test_grads_add_up_until_they_are_cleared(name, rng):
    layer, inputs, upstream = made(name, rng, np.float64)
    layer.forward(*inputs)
    layer.backward(*upstream)
    once = {key: p.grad.copy() for key, p in layer.parameters().items()}
    layer.forward(*inputs)
    layer.backward(*upstream)
    for key, parameter in layer.parameters().items():
        assert once[key].any()
        np.testing.assert_allclose(parameter.grad, 2 * once[key], rtol=1e-12)
    layer.zero_grad()
    assert not any(p.grad.any() for p in layer.parameters().values())


@EVERY_LAYER
def test_two_runs_agree_to_the_last_bit(name):
    def run():
        layer, inputs, upstream = made(name, np.random.default_rng(5))
        return [*arrays_of(layer.forward(*inputs)), *arrays_of(layer.backward(*upstream)), *(p.grad for p in layer.parameters().values())]

    assert all(np.array_equal(first, second) for first, second in zip(run(), run(), strict=True))


def test_the_first_gradient_is_taken_and_later_ones_are_added_to_it():
    parameter, first, second = nn.Parameter(np.zeros(3)), np.array([1.0, 2, 3]), np.array([10.0, 20, 30])
    parameter.add_grad(first)
    assert parameter.grad is first
    parameter.add_grad(second)
    assert parameter.grad is first and first.tolist() == [11, 22, 33]
    assert second.tolist() == [10, 20, 30]


def test_a_gradient_is_zeros_before_the_first_and_after_zero_grad():
    parameter = nn.Parameter(np.ones((2, 3), np.float32))
    for _ in range(2):
        assert parameter.grad.shape == (2, 3) and parameter.grad.dtype == np.float32 and not parameter.grad.any()
        parameter.add_grad(np.ones((2, 3), np.float32))
        assert parameter.grad.all()
        parameter.zero_grad()


def test_zero_grad_leaves_the_array_that_was_the_gradient():
    parameter, taken = nn.Parameter(np.zeros(2)), np.array([1.0, 2])
    parameter.add_grad(taken)
    parameter.zero_grad()
    parameter.add_grad(np.array([5.0, 5]))
    assert taken.tolist() == [1, 2] and parameter.grad.tolist() == [5, 5]


def test_a_gradient_that_was_read_or_set_is_added_to():
    parameter = nn.Parameter(np.zeros(2))
    parameter.grad[...] = 1
    parameter.add_grad(np.array([1.0, 2]))
    assert parameter.grad.tolist() == [2, 3]
    parameter.grad = np.array([7.0, 7])
    parameter.add_grad(np.array([1.0, 2]))
    assert parameter.grad.tolist() == [8, 9]


def model(rng, width=3):
    return nn.Sequential(conv=nn.Conv2D(1, width, rng=rng), block=nn.Sequential(nn.BatchNorm(width), nn.Dropout(0.5, rng=rng)))


def test_names_follow_the_attributes(rng):
    assert list(model(rng).buffers()) == ["conv.weight", "conv.bias", "block.0.gamma", "block.0.beta", "block.0.mean", "block.0.variance"]
    assert list(model(rng).parameters()) == ["conv.weight", "conv.bias", "block.0.gamma", "block.0.beta"]
    assert [name for name, _ in model(rng).layers()] == ["", "conv", "block", "block.0", "block.1"]
    assert list(nn.Dense(2, 2, rng=rng).parameters()) == ["weight", "bias"]


def test_sequential_runs_in_order_and_back():
    class Step(nn.Layer):
        def __init__(self, factor, offset):
            self.factor, self.offset = factor, offset

        def forward(self, x):
            return self.factor * x + self.offset

        def backward(self, dy):
            return self.factor * (dy + self.offset)  # not its derivative: the order shows

    chain = nn.Sequential(Step(2, 1), Step(10, 3))
    assert chain.forward(1) == 33
    assert chain.backward(1) == 2 * (10 * (1 + 3) + 1)


def test_train_and_evaluate_reach_every_layer(rng):
    whole = model(rng)
    assert all(layer.training for _, layer in whole.layers())
    assert whole.evaluate() is whole
    assert not any(layer.training for _, layer in whole.layers())
    assert all(layer.training for _, layer in whole.train().layers())


def test_astype_converts_everything_and_clears_the_grads(rng):
    whole = model(rng)
    whole.parameters()["conv.bias"].grad[...] = 1
    assert whole.astype(np.float64) is whole
    assert all(array.dtype == np.float64 for array in whole.state().values())
    assert all(p.grad.dtype == np.float64 and not p.grad.any() for p in whole.parameters().values())


def test_a_saved_state_comes_back(rng):
    first, second = model(rng), model(rng)
    first.block.evaluate()
    first.forward(rng.normal(size=(2, 4, 4, 1)).astype(np.float32))
    saved = {name: array.copy() for name, array in first.state().items()}
    kept = second.conv.weight.value
    second.load_state(saved)
    assert second.conv.weight.value is kept  # copied into place: an optimiser holds on to it
    assert all(np.array_equal(array, saved[name]) for name, array in second.state().items())
    saved["conv.weight"][...] = 0
    assert second.conv.weight.value.any()


def test_a_state_of_another_model_is_refused_and_nothing_is_changed(rng):
    whole = model(rng)
    before = {name: array.copy() for name, array in whole.state().items()}
    good = {name: array + 1 for name, array in before.items()}
    missing = {name: array for name, array in good.items() if name != "block.0.mean"}
    with pytest.raises(ValueError, match=r"the saved arrays are not this model's: 'block.0.mean' is only in the model"):
        whole.load_state(missing)
    with pytest.raises(ValueError, match="the saved arrays are not this model's: 'more' is only in the file"):
        whole.load_state({**good, "more": np.zeros(1)})
    with pytest.raises(ValueError, match=r"the saved 'block.0.gamma' is \(4,\), the model's \(3,\): built with another width\?"):
        whole.load_state({**good, "block.0.gamma": np.zeros(4)})
    assert all(np.array_equal(array, before[name]) for name, array in whole.state().items())


def test_a_layer_without_its_passes_says_so():
    class Half(nn.Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Half\.forward"):
        Half().forward(0)
    with pytest.raises(NotImplementedError, match=r"Half\.backward"):
        Half().backward(0)


def test_a_gradient_of_another_shape_is_named():
    parameter = nn.Parameter(np.zeros((2, 3), np.float32))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"a parameter of shape \(2, 3\) got a gradient of shape \(3,\)"):
            parameter.add_grad(np.ones(3, np.float32))
        parameter.add_grad(np.ones((2, 3), np.float32))
    assert (parameter.grad == 2).all()
