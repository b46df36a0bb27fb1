"""The numerics guard: a planted NaN or infinity is caught in its step and named where it was planted; all stands as before the step."""

import copy

import numpy as np
import pytest

from models.settings import settings_for
from models.tasks import BoxTask, LandmarkTask, SineTask
from nn import SGD, Adam
from nn.layer import generators
from nn.numerics import Guard

TASKS = {"sine": SineTask, "cfpd": BoxTask, "corefan": LandmarkTask}
UNREAD = {  # layers whose dx nobody reads: it leads back to the batch
    "sine": ["Sine", "lstm"],
    "cfpd": ["Sequential", "conv1", "conv1.conv"],
    "corefan": ["Corefan", "cnn", "cnn.conv1", "cnn.conv1.conv"],
}


@pytest.fixture(scope="module")
def faces():
    """Four drawn faces to train on, two to validate."""
    from models.faces.synthetic import drawn_faces

    return drawn_faces(6, seed=0)


@pytest.fixture(params=["sine", "cfpd", "corefan"])
def model(request):
    return request.param


@pytest.fixture
def dtype(model):
    """Both are met, if not in every model: that takes time."""
    return {"sine": "float64", "cfpd": "float64", "corefan": "float32"}[model]


@pytest.fixture
def begun(faces):
    """begun(model, dtype, *changes): the guard of a tiny training after one step, and its next batch."""

    def begin(model, dtype="float32", *changes, **options):
        settings = settings_for(model, "tiny", "", None, ["net.units=4", "net.width=2", "batch=4", 'set="original"', *changes])
        task = TASKS[model](settings, *(() if model == "sine" else (faces[:4], faces[4:])))
        task.model.astype(dtype).train()
        batch = tuple(array.astype(dtype) for array in next(iter(task.batches(0))))
        guard = Guard(task, Adam(task.model.parameters(), 0.001), **options)
        guard.step(batch, 1)
        return guard, batch

    return begin


def state(guard):
    """Copies of all that a step changes."""
    arrays = {**guard.task.model.state(), **guard.optimizer.state()}
    states = {name: copy.deepcopy(rng.bit_generator.state) for name, rng in generators(guard.task.model).items()}
    return {name: array.copy() for name, array in arrays.items()}, states, list(guard.norms)


def caught(guard, batch):
    """What the guard says of a step, which must leave everything as it was, to the last bit."""
    arrays, *rest = state(guard)
    with pytest.raises(FloatingPointError) as error:
        guard.step(batch, 3)
    after, *others = state(guard)
    assert rest == others and arrays.keys() == after.keys()
    for name in arrays:
        np.testing.assert_array_equal(after[name], arrays[name], err_msg=name, strict=True)
    assert not any(parameter.grad.any() for parameter in guard.task.model.parameters().values())
    text = str(error.value)
    assert text.startswith("epoch 3, step 2: ") and text.endswith("; weights stand as after step 1") and "\n" not in text
    return text.removeprefix("epoch 3, step 2: ").removesuffix("; weights stand as after step 1")


def plant(monkeypatch, owner, name, value, unwrap=lambda made: made):
    """The owner's function gives one wrong number, the last of its first array."""
    right = getattr(owner, name)

    def wrong(*arguments, **options):
        made = right(*arguments, **options)
        array = unwrap(made[0] if isinstance(made, tuple) else made)
        if not isinstance(array, np.ndarray):
            return value  # a loss
        array.reshape(-1)[-1] = value
        return made

    monkeypatch.setattr(owner, name, wrong)


# ---- where it is planted ----


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_a_bad_batch_is_named(model, dtype, which, value, begun):
    guard, batch = begun(model, dtype)
    name = (("x", "target") if model == "sine" else ("images", "points"))[which]
    array, place = batch[which], [1, 2, 0, 0][: batch[which].ndim]
    array[tuple(place)] = value
    number = "1 NaN" if np.isnan(value) else "1 infinite number"
    assert (
        caught(guard, batch) == f"the batch's {name} {array.shape} has {number} (first at {place}); mend or leave out what it was read from"
    )


def test_a_bad_weight_is_named(model, dtype, begun):
    guard, batch = begun(model, dtype)
    for name, buffer in list(guard.task.model.buffers().items())[:: 1 if model == "sine" else 4]:
        flat = buffer.value.reshape(-1)
        flat[-1], was = np.nan, flat[-1]
        if name.rpartition(".")[2] in ("mean", "variance"):  # of batch norm: no training step reads them
            guard.step(batch, 3)
            guard.optimizer.steps = 1
        else:
            place = [int(k) - 1 for k in buffer.value.shape]
            assert caught(guard, batch).startswith(f"{name} {buffer.value.shape} has 1 NaN (first at {place}) before the step; begin anew")
        flat[-1] = was


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_layer_that_gives_a_bad_number_is_named(model, dtype, method, begun, monkeypatch):
    """Every layer of each model in turn, and the loss: forward's y, backward's dx; a NaN and an infinity by turns."""
    guard, batch = begun(model, dtype, "net.dropout=0.3")
    layers = guard.layers()
    assert len(layers) == {"sine": 4, "cfpd": 30, "corefan": 40}[model]
    for k, (name, layer) in enumerate(layers.items()):
        value = np.inf if k % 2 else np.nan
        with monkeypatch.context() as patch:
            plant(patch, layer, method, value)
            if method == "backward" and name in UNREAD[model]:
                guard.step(batch, 3)
                guard.optimizer.steps = 1
                continue
            found = caught(guard, batch)
        made = "the loss" if name == "loss" and method == "forward" else "" if method == "forward" else "d"
        assert found.startswith(f"{name}, {method}: {made}"), (name, found)
        number = "1 NaN" if np.isnan(value) else "1 infinite number"
        assert f" has {number}" in found and ", what goes in has none, its largest: " in found
        assert found.endswith("; lower the rate, --set optim.lr=..., or clip, --set optim.clip=1")


def test_a_gradient_alone(model, dtype, begun, monkeypatch):
    """dx and the loss are right, one number of one parameter's gradient is not."""
    guard, batch = begun(model, dtype)
    for name, parameter in list(guard.task.model.parameters().items())[:: 1 if model == "sine" else 5]:
        layer, _, own = name.rpartition(".")
        add = parameter.add_grad

        def spoiled(gradient, add=add):
            gradient = gradient.copy()
            gradient.reshape(-1)[-1] = np.nan
            add(gradient)

        with monkeypatch.context() as patch:
            patch.setattr(parameter, "add_grad", spoiled)
            assert caught(guard, batch).startswith(f"{layer}, backward: {own}'s gradient {parameter.value.shape} has 1 NaN (first at ")


def test_a_gradient_made_outside_of_its_layer(begun, monkeypatch):
    """Feeding back its windows, COREFAN itself makes the gradients of its LSTM."""
    guard, batch = begun("corefan", "float64", 'net.feed="window"')
    parameter = guard.task.model.lstm.weight
    add = parameter.add_grad
    monkeypatch.setattr(parameter, "add_grad", lambda gradient: add(gradient * np.inf))
    assert caught(guard, batch).startswith("the gradient of lstm.weight (16, 14) has ")


def test_gradients_whose_squares_are_too_large(begun, monkeypatch):
    """Finite each, but Adam's squares of them would not be: the weight would never move again."""
    guard, batch = begun("sine")
    add = guard.task.model.readout.bias.add_grad
    monkeypatch.setattr(guard.task.model.readout.bias, "add_grad", lambda gradient: add(np.full_like(gradient, 3e25)))
    found = caught(guard, batch)
    assert found.startswith("the gradients' norm is inf, their squares are too large to add; their largest: lstm.weight ")
    assert "readout.bias 3e+25" in found


def test_a_loss_of_the_task_s_own_making(begun, monkeypatch):
    guard, batch = begun("sine")
    learn = guard.task.learn
    monkeypatch.setattr(guard.task, "learn", lambda *arrays: 0 * learn(*arrays) + np.nan)
    assert caught(guard, batch).startswith("the loss is nan, though what every layer takes and gives is finite")


def test_what_goes_wrong_once_only(begun, monkeypatch):
    guard, batch = begun("sine")
    learn, losses = guard.task.learn, iter([np.inf])
    monkeypatch.setattr(guard.task, "learn", lambda *arrays: next(losses, learn(*arrays)))
    assert caught(guard, batch).startswith("the loss was inf, the gradients' norm ")


def test_the_step_after_a_caught_one_is_as_if_nothing_had_been(begun, monkeypatch):
    """With dropout and batch norm: on the good batch it does what an undisturbed training does, bit for bit."""
    (disturbed, batch), (quiet, _) = (begun("corefan", "float32", "net.dropout=0.4") for _ in range(2))
    with monkeypatch.context() as patch:
        plant(patch, disturbed.task.model.fc2, "forward", np.nan)
        caught(disturbed, batch)
    assert disturbed.step(batch, 3) == quiet.step(batch, 3)
    (arrays, *rest), (others, *other) = state(disturbed), state(quiet)
    assert rest == other
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name], err_msg=name)


def test_a_harmless_infinity_passes(begun, monkeypatch):
    """-inf before fc1's ReLU becomes 0, and nothing else feels it."""
    guard, batch = begun("cfpd", "float32", "net.dropout=0.0")
    plant(monkeypatch, guard.task.model.fc1.dense, "forward", -np.inf)
    guard.step(batch, 3)


def test_diverging_says_one_line(begun, capfd):
    """NumPy's warnings, errors in these tests, stay silent on every thread; large weights are shown."""
    guard, batch = begun("corefan")
    guard.task.model.cnn.conv1.norm.gamma.value *= 100
    guard.task.model.cnn.conv2.conv.weight.value *= 3e37
    found = caught(guard, batch)
    assert found.startswith("cnn.conv2.conv, forward: y (4, 32, 32, 2) has ")
    assert "its largest: x " in found and "e+37; lower the rate" in found
    assert capfd.readouterr() == ("", "")


def test_validation(begun):
    """Where the errors are not finite, the layer is named too."""
    guard, _ = begun("corefan")
    assert guard.validate(5).keys() == {"nme_interocular_percent"}
    guard.task.model.window.weight.value[0, 0] = np.inf
    with pytest.raises(
        FloatingPointError, match=r"^epoch 5, validation: window, forward: y \(96, 10\) has .*; the last checkpoint is whole$"
    ):
        guard.validate(5)


# ---- its figures ----


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_and_ratio(kind, dtype, begun):
    """Against plain float64 on copies of gradients and weights; taking the row begins a new epoch."""
    guard, batch = begun("sine", dtype)
    guard.row()
    guard.optimizer = kind(guard.task.model.parameters(), 0.01)
    flat = lambda arrays: np.concatenate([array.ravel().astype(np.float64) for array in arrays])  # noqa: E731
    parameters, norms = guard.task.model.parameters().values(), []
    for _ in range(3):
        before = flat(parameter.value for parameter in parameters)
        guard.step(batch, 1)
        norms.append(np.linalg.norm(flat(parameter.grad for parameter in parameters)))
        after = flat(parameter.value for parameter in parameters)
    expected = {
        "gradient_norm": np.mean(norms),
        "gradient_norm_max": max(norms),
        "update_ratio": np.linalg.norm(after - before) / np.linalg.norm(after),
    }
    assert guard.row() == pytest.approx(expected, rel=1e-4 if dtype == "float32" else 1e-10)
    guard.step(batch, 2)
    assert guard.row()["gradient_norm"] < min(norms) * 1.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("most", [0.05, 1e6])
def test_clipping_against_pytorch(most, dtype, begun):
    """What is left of the gradients after the step, and the norm before it."""
    torch = pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")
    (plain, batch), (clipping, _) = begun("corefan", dtype), begun("corefan", dtype)
    clipping.clip = most
    for guard in (plain, clipping):
        guard.step(batch, 1)
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value)) for parameter in plain.task.model.parameters().values()]
    for tensor, parameter in zip(theirs, plain.task.model.parameters().values(), strict=True):
        tensor.grad = torch.tensor(parameter.grad)
    norm = torch.nn.utils.clip_grad_norm_(theirs, most)
    assert plain.norms == clipping.norms and clipping.norms[-1] == pytest.approx(float(norm), rel=1e-5)
    for tensor, parameter in zip(theirs, clipping.task.model.parameters().values(), strict=True):
        assert parameter.grad.dtype == dtype
        np.testing.assert_allclose(parameter.grad, tensor.grad, rtol=1e-4, atol=1e-6)
