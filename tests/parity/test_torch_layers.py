"""Every layer's forward pass and gradients against PyTorch, in float64 to rounding and in float32 as far as its digits go."""

import numpy as np
import pytest

import nn

torch = pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")

TOLERANCE = {np.float64: {"rtol": 1e-10, "atol": 1e-10}, np.float32: {"rtol": 1e-4, "atol": 1e-5}}


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


def leaf(array):
    """A tensor of the same numbers that gathers a gradient."""
    return torch.tensor(array, requires_grad=True)


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def channels_last(x):
    return x.permute(0, 2, 3, 1)


def compare(layer, inputs, function, rng, constants=(), in_norm=None):
    """Run the layer, and PyTorch's function of (inputs, parameters by name); compare outputs and all gradients.

    Number by number, or, where numbers are sums of thousands, by ‖ours - theirs‖ <= in_norm ‖theirs‖.
    """
    dtype = inputs[0].dtype.type
    inner = {name: leaf(p.value) for name, p in layer.parameters().items()}
    outer = [leaf(x) for x in inputs]
    ours, theirs = layer.forward(*inputs, *constants), function(*outer, **inner)
    ours, theirs = (y if isinstance(y, tuple) else (y,) for y in (ours, theirs))
    upstream = () if isinstance(layer, nn.MeanSquaredError | nn.LandmarkError) else [rng.normal(size=y.shape).astype(dtype) for y in ours]
    torch.autograd.backward(theirs, [torch.tensor(u) for u in upstream] or None)
    gradients = layer.backward(*upstream)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)

    pairs = [*zip(ours, theirs, strict=True), *((g, x.grad) for g, x in zip(gradients, outer, strict=True))]
    pairs += [(p.grad, inner[name].grad) for name, p in layer.parameters().items()]
    for mine, reference in pairs:
        reference = reference.detach().numpy()
        if in_norm is None:
            np.testing.assert_allclose(mine, reference, **TOLERANCE[dtype])
        else:
            assert mine.shape == reference.shape
            assert np.linalg.norm(mine - reference) <= in_norm * np.linalg.norm(reference)


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(3, 1, 1), (3, 2, 1), (1, 1, 0), ((2, 3), (2, 1), ((1, 1), (2, 2))), (5, 3, 2)],
)
def test_conv(size, stride, padding, dtype, rng):
    layer = nn.Conv2D(3, 4, size, stride=stride, padding=padding, rng=rng).astype(dtype)
    sides = padding if isinstance(padding, int) else (padding[0][0], padding[1][0])

    def function(x, weight, bias):
        return channels_last(torch.nn.functional.conv2d(channels_first(x), channels_first(weight), bias, stride, sides))

    compare(layer, [rng.normal(size=(3, 9, 8, 3)).astype(dtype)], function, rng)


def test_conv_of_the_same_size(dtype, rng):
    layer = nn.Conv2D(2, 3, (3, 4), bias=False, rng=rng).astype(dtype)

    def function(x, weight):  # PyTorch's own "same" warns at even sizes; its rule is ours: the odd zero last
        padded = torch.nn.functional.pad(channels_first(x), (1, 2, 1, 1))
        return channels_last(torch.nn.functional.conv2d(padded, channels_first(weight)))

    compare(layer, [rng.normal(size=(2, 5, 6, 2)).astype(dtype)], function, rng)


@pytest.mark.parametrize("sides", [(9, 10), (2, 2), (5, 6), (1, 14), (20, 21)])
@pytest.mark.parametrize(("C", "O"), [(64, 64), (65, 96)])
def test_conv_of_many_channels(C, O, sides, dtype, rng):
    """By Winograd's products here."""
    layer = nn.Conv2D(C, O, rng=rng).astype(dtype)

    def function(x, weight, bias):
        return channels_last(torch.nn.functional.conv2d(channels_first(x), channels_first(weight), bias, padding=1))

    tolerance = {np.float64: 1e-13, np.float32: 1e-5}[dtype]
    compare(layer, [rng.normal(size=(2, *sides, C)).astype(dtype)], function, rng, in_norm=tolerance)


@pytest.mark.parametrize(
    ("inputs", "outputs", "options", "shape"),
    [
        (2, 3, {}, (3, 5, 4, 2)),
        (3, 4, {"size": (3, 2), "stride": (2, 1), "padding": 1}, (2, 5, 6, 3)),
        (64, 64, {}, (2, 9, 10, 64)),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_conv_block(inputs, outputs, options, shape, training, dtype, rng):
    layer = nn.ConvBlock(inputs, outputs, rng=rng, **options).astype(dtype).train(training)
    for member in layer.norm.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, outputs)
    running = [torch.tensor(member.value.copy()) for member in (layer.norm.mean, layer.norm.variance)]

    def function(x, **p):
        F = torch.nn.functional
        z = F.conv2d(channels_first(x), channels_first(p["conv.weight"]), stride=layer.conv.stride, padding=1)
        return channels_last(torch.relu(F.batch_norm(z, *running, p["norm.gamma"], p["norm.beta"], training, 0.1, 1e-5)))

    x, tolerance = rng.normal(size=shape).astype(dtype), {np.float64: 1e-13, np.float32: 1e-5}[dtype]
    compare(layer, [x], function, rng, in_norm=tolerance)
    for member, theirs in zip((layer.norm.mean, layer.norm.variance), running, strict=True):
        np.testing.assert_allclose(member.value, theirs, **TOLERANCE[dtype])
    if not training:  # and folded
        theirs = function(torch.tensor(x), **{name: torch.tensor(p.value) for name, p in layer.parameters().items()}).numpy()
        assert np.linalg.norm(layer.evaluate().forward(x) - theirs) <= tolerance * np.linalg.norm(theirs)


@pytest.mark.parametrize("size", [2, 3])
def test_maxpool(size, dtype, rng):
    def function(x):
        return channels_last(torch.nn.functional.max_pool2d(channels_first(x), size))

    compare(nn.MaxPool2D(size), [rng.normal(size=(2, 7, 6, 3)).astype(dtype)], function, rng)


def test_ties_in_a_pool_go_where_pytorch_sends_them(dtype, rng):
    def function(x):
        return channels_last(torch.nn.functional.max_pool2d(channels_first(x), 2))

    compare(nn.MaxPool2D(2), [rng.integers(0, 2, (2, 8, 8, 3)).astype(dtype)], function, rng)


def test_dense(dtype, rng):
    compare(nn.Dense(5, 4, rng=rng).astype(dtype), [rng.normal(size=(6, 5)).astype(dtype)], torch.nn.functional.linear, rng)


@pytest.mark.parametrize(("layer", "function"), [(nn.ReLU, torch.relu), (nn.Sigmoid, torch.sigmoid), (nn.Tanh, torch.tanh)])
def test_activation(layer, function, dtype, rng):
    compare(layer(), [3 * rng.normal(size=(4, 5, 2)).astype(dtype)], function, rng)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4, 4)])
def test_batch_norm(shape, dtype, rng):
    layer = nn.BatchNorm(4).astype(dtype)
    theirs = torch.nn.BatchNorm1d(4).to(torch.tensor(dtype(0)).dtype)
    for member in layer.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, 4)
    with torch.no_grad():
        theirs.running_mean.copy_(torch.tensor(layer.mean.value))
        theirs.running_var.copy_(torch.tensor(layer.variance.value))

    def function(x, gamma, beta):
        running = theirs.running_mean, theirs.running_var
        rows = torch.nn.functional.batch_norm(x.reshape(-1, 4), *running, gamma, beta, layer.training, 0.1, 1e-5)
        return rows.reshape(x.shape)

    for training in (True, False):
        layer.train(training).zero_grad()
        compare(layer, [rng.normal(2, 3, shape).astype(dtype)], function, rng)
        np.testing.assert_allclose(layer.mean.value, theirs.running_mean, **TOLERANCE[dtype])
        np.testing.assert_allclose(layer.variance.value, theirs.running_var, **TOLERANCE[dtype])


def test_lstm(dtype, rng):
    """PyTorch has our gate order i, f, g, o, two weight matrices where we have one, and two biases."""
    D, U, N, T = 3, 4, 2, 5
    layer = nn.LSTM(D, U, rng=rng).astype(dtype)

    def function(x, h0, c0, weight, bias):
        lstm = torch.nn.LSTM(D, U, batch_first=True, dtype=x.dtype)
        weights = {"weight_hh_l0": weight[:, :U], "weight_ih_l0": weight[:, U:], "bias_ih_l0": bias, "bias_hh_l0": torch.zeros_like(bias)}
        h, (_, c) = torch.func.functional_call(lstm, weights, (x, (h0[None], c0[None])))
        return h, c[0]

    compare(layer, [rng.normal(size=shape).astype(dtype) for shape in ((N, T, D), (N, U), (N, U))], function, rng)


@pytest.mark.parametrize("injection", ["every", "first"])
def test_seeded_lstm(injection, dtype, rng):
    """Equation (4), a line a line, differentiated by PyTorch."""
    steps, U = (2, 1, 3), 4
    layer = nn.SeededLSTM(3, U, 5, steps, injection=injection, rng=rng).astype(dtype)
    layer.feature_bias.value[...] = rng.normal(size=(3, U))

    def function(seeds, features, weight, bias, feature_weight, feature_bias):
        h = C = seeds.new_zeros(len(seeds), U)
        hidden = []
        for part, count in enumerate(steps):
            for step in range(count):
                i, f, g, o = (torch.cat([h, seeds[:, part]], 1) @ weight.T + bias).chunk(4, 1)
                C = torch.sigmoid(f) * C + torch.sigmoid(i) * torch.tanh(g)
                steered = features @ feature_weight[part].T + feature_bias[part]
                h = torch.sigmoid(o) * torch.tanh(C + (steered if injection == "every" or step == 0 else 0))
                hidden.append(h)
        return torch.stack(hidden, 1)

    compare(layer, [rng.normal(size=shape).astype(dtype) for shape in ((2, 3, 3), (2, 5))], function, rng)


def test_squared_error(dtype, rng):
    y, target = rng.normal(size=(2, 4, 6)).astype(dtype)
    compare(nn.MeanSquaredError(), [y], lambda y: torch.nn.functional.mse_loss(y, torch.tensor(target)), rng, [target])


def test_landmark_error(dtype, rng):
    points, target = rng.normal(size=(2, 3, 68, 2)).astype(dtype)
    distance = rng.uniform(0.5, 2, 3).astype(dtype)

    def function(points):
        lengths = torch.linalg.vector_norm(points - torch.tensor(target), dim=-1)
        return (lengths.mean(1) / torch.tensor(distance)).mean()

    compare(nn.LandmarkError(), [points], function, rng, [target, distance])


def test_a_whole_network(dtype, rng):
    model = nn.Sequential(
        conv=nn.Conv2D(1, 4, rng=rng),
        norm=nn.BatchNorm(4),
        relu=nn.ReLU(),
        pool=nn.MaxPool2D(2),
        flatten=nn.Flatten(),
        fc=nn.Dense(48, 3, rng=rng),
    ).astype(dtype)

    def function(x, **p):
        F = torch.nn.functional
        z = F.conv2d(channels_first(x), channels_first(p["conv.weight"]), p["conv.bias"], padding=1)
        z = torch.relu(F.batch_norm(z, None, None, p["norm.gamma"], p["norm.beta"], True, 0.1, 1e-5))
        return channels_last(F.max_pool2d(z, 2)).reshape(len(x), -1) @ p["fc.weight"].T + p["fc.bias"]

    compare(model, [rng.normal(size=(5, 8, 6, 1)).astype(dtype)], function, rng)
