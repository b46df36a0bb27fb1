"""Debug mode: the operation that makes the first NaN or infinity is named, on the CPU and on an emulated GPU; watching leaves no trace."""

from functools import wraps
from itertools import count

import numpy as np
import pytest

from models.settings import settings_for
from models.tasks import BoxTask, SineTask
from nn import Adam, Dense, Layer, cpu, gpu, reference, to_numpy
from nn.numerics import Guard
from nn.watch import NotFinite, said, watching


def begun(device="cpu", **options):
    """A tiny sine after one step, and its next batch."""
    task = SineTask(settings_for("sine", "tiny", "", None, ["net.units=4", "batch=4"]))
    task.model.to(device).train()
    batch = next(iter(task.batches(0)))
    guard = Guard(task, Adam(task.model.parameters(), 0.001), **options)
    guard.step(batch, 1)
    return guard, batch


@pytest.fixture
def boxes():
    """A tiny CFPD in debug mode, and a batch of noise."""
    from models.faces.synthetic import drawn_faces

    faces = drawn_faces(4, seed=0)
    settings = settings_for("cfpd", "tiny", "", None, ["net.width=2", "batch=4", "net.dropout=0.0"])
    task = BoxTask(settings, faces, faces)
    task.model.train()
    return Guard(task, Adam(task.model.parameters(), 0.001), debug=True), next(iter(task.batches(0)))


def spoiled(room, name, value, call=0, result=0):
    """The room's operation, of whose results one has a wrong last number at that call, or with None at each."""
    right, calls = getattr(room, name), count()

    @wraps(right)
    def wrong(*arguments, **options):
        made = right(*arguments, **options)
        if call in (None, next(calls)):
            (made[result] if isinstance(made, tuple) else made).reshape(-1)[-1] = value
        return made

    return wrong


def caught(guard, batch):
    with pytest.raises(FloatingPointError) as error:
        guard.step(batch, 3)
    return str(error.value)


# ---- what is said of an array ----


def test_what_is_said():
    array = np.zeros((2, 3))
    assert said(array) == ""
    array[1, 0] = np.nan
    assert said(array) == "1 NaN (first at [1, 0])"
    array[0, 2], array[1, 1] = np.inf, -np.inf
    assert said(array) == "2 infinite numbers and 1 NaN (first at [0, 2])"
    assert said(array.astype(np.float16)[:1]) == "1 infinite number (first at [0, 2])"
    assert said(float("nan")) == "1 NaN" and said(np.float32("inf")) == "1 infinite number"
    assert said(np.zeros((0, 3))) == said(0.0) == said(np.ones(3, int)) == said(None) == said(7) == ""


# ---- the operation ----


PLANTED = [  # operation, its call in a step, its result; the layer that calls it
    ("conv2d", 2, 0, "conv3.conv, forward"),
    ("batch_statistics", 1, 1, "conv2.norm, forward"),
    ("batch_norm", 6, 0, "fc1.norm, forward"),
    ("maxpool2d", 0, 0, "pool1, forward"),
    ("dense", 1, 0, "fc2, forward"),
    ("squared_error_backward", 0, 0, "loss, backward"),
    ("relu_backward", 0, 0, "fc1.relu, backward"),
    ("dense_backward", 1, 1, "fc1.dense, backward"),
    ("maxpool2d_backward", 2, 0, "pool1, backward"),
    ("batch_norm_backward", 3, 2, "conv4.norm, backward"),
    ("conv2d_backward", 5, 1, "conv1.conv, backward"),
]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_operation_is_named(boxes, value, monkeypatch):
    guard, batch = boxes
    number = "1 NaN" if np.isnan(value) else "1 infinite number"
    for name, call, result, layer in PLANTED:
        with monkeypatch.context() as patch:
            patch.setattr(cpu, name, spoiled(cpu, name, value, call, result))
            found = caught(guard, batch)
        assert found.startswith(f"epoch 3, step 1: {layer}, nn.cpu.{name}: result {result + 1} (")
        assert f") has {number} (first at [" in found and ", has none, its largest: " in found
        assert found.endswith("; weights stand as after step 0")


def test_an_infinity_that_would_vanish(boxes, monkeypatch):
    """-inf before a ReLU: the step alone would pass (test_numerics has that), debug mode names it."""
    guard, batch = boxes
    monkeypatch.setattr(cpu, "dense", spoiled(cpu, "dense", -np.inf))
    assert "fc1.dense, forward, nn.cpu.dense: result 1 (4, 4) has 1 infinite number (first at [3, 3])" in caught(guard, batch)


def test_what_came_about_between_two_operations(boxes, monkeypatch):
    """Where a layer's own arithmetic is to blame, and not what an operation gave."""
    guard, batch = boxes
    forward = guard.task.model.conv2.norm.forward
    wrong = np.array([np.nan, 1], np.float32)
    monkeypatch.setattr(guard.task.model.conv2.norm, "forward", lambda x: cpu.dense(forward(x)[0, 0], wrong * np.eye(2, dtype="f"), wrong))
    found = caught(guard, batch)
    assert "conv2.norm, forward, nn.cpu.dense: its input w (2, 2) has " in found
    assert ", which came about before it, between two operations; " in found


class Rectified(Layer):
    """y = max(W x + b, 0): an operation of its own, after a layer."""

    def __init__(self):
        self.inner = Dense(2, 2, rng=np.random.default_rng(0))

    def forward(self, x):
        return cpu.relu(self.inner.forward(x))

    def backward(self, dy):
        raise NotImplementedError


def test_an_operation_after_a_layer_is_not_that_layer_s(monkeypatch):
    monkeypatch.setattr(cpu, "relu", spoiled(cpu, "relu", np.nan))
    layer = Rectified()
    with pytest.raises(NotFinite, match=r"^outer, forward, nn\.cpu\.relu: result 1 "), watching(dict(layer.layers("outer")), cpu):
        layer.forward(np.ones((1, 2), np.float32))


def test_a_step_of_the_optimiser():
    """Adam's average of squares overflows where the gradients' norm does not: the weights are touched, and that is said."""
    guard, batch = begun(debug=True)
    guard.optimizer.kept["m.readout.weight"][0, 1] = 3e38
    guard.optimizer.lr = 1e8
    found = caught(guard, batch)
    assert found.startswith("epoch 3, step 2: nn.cpu.adam_step: value (1, 4) has 1 infinite number (first at [0, 1])")
    assert found.endswith("; the weights are spoiled, the last checkpoint is whole")


def test_weights_that_are_bad_before_the_step():
    guard, batch = begun(debug=True)
    guard.task.model.lstm.bias.value[3] = np.nan
    assert caught(guard, batch).startswith("epoch 3, step 2: lstm.bias (16,) has 1 NaN (first at [3]) before the step; begin anew")


# ---- it leaves no trace ----


def test_watching_changes_nothing():
    """Neither the numbers, nor what layers and rooms are afterwards."""
    room, losses = {name: getattr(cpu, name) for name in cpu.__all__}, []
    for debug in (False, True):
        guard, batch = begun(debug=debug)
        losses.append([guard.step(batch, 1) for _ in range(3)])
        assert not any(name in vars(layer) for layer in guard.layers().values() for name in ("forward", "backward"))
    assert losses[0] == losses[1]
    layer = Dense(1, 1, rng=np.random.default_rng(0))
    layer.forward = mine = lambda x: x / 0
    with pytest.raises(NotFinite), watching({"mine": layer}, cpu), np.errstate(all="ignore"):
        layer.forward(np.ones(1))
    assert vars(layer)["forward"] is mine and {name: getattr(cpu, name) for name in cpu.__all__} == room


@pytest.mark.parametrize("room", [cpu, reference], ids=["cpu", "reference"])
def test_any_room(room, monkeypatch):
    monkeypatch.setattr(room, "tanh", spoiled(room, "tanh", np.nan))
    with pytest.raises(NotFinite, match=rf"^{room.__name__}\.tanh: result 1 \(3,\) has 1 NaN \(first at \[2\]\)"), watching({}, room):
        room.tanh(np.ones(3))


# ---- on a GPU ----


@pytest.mark.usefixtures("compiler")
def test_on_an_emulated_gpu(monkeypatch):
    """A layer, an operation, and clipping: what is left has the norm that was asked for."""
    guard, batch = begun("emulated", clip=1e-3)
    norm = np.linalg.norm(np.concatenate([to_numpy(p.grad).ravel() for p in guard.task.model.parameters().values()]))
    assert norm == pytest.approx(1e-3, rel=1e-5) and guard.norms[0] > 1e-2
    assert guard.row()["update_ratio"] > 0
    for debug, expected in ((False, "h (4, 25, 4)"), (True, "nn.gpu.lstm: result 1 (4, 25, 4)")):
        guard.debug = debug
        before = guard.task.model.state()
        with monkeypatch.context() as patch:
            patch.setattr(gpu, "lstm", spoiled(gpu, "lstm", np.nan, call=None))
            found = caught(guard, batch)
        assert found.startswith(f"epoch 3, step 2: lstm, forward{', ' if debug else ': '}{expected} has 1 NaN (first at [3, 24, 3])")
        for name, array in guard.task.model.state().items():
            np.testing.assert_array_equal(array, before[name])
