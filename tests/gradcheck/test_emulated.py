"""The kernels' gradients, played by the emulator in float64: the same judge and the same bar as for the NumPy code."""

import numpy as np
import pytest

from models.gradients import LAYER_BAR, cases
from nn import gradcheck, to_device
from nn.gpu import launch
from nn.gpu.rungs import LADDERS, prefer

pytestmark = pytest.mark.usefixtures("compiler")

CASES = {name: (layer, inputs, constants, bar) for name, layer, inputs, constants, bar in cases(np.random.default_rng(0))}
RUNGS = [(family, rung) for family, ladder in LADDERS.items() for rung in ladder[:-1] if not rung.startswith("tf32")]  # those for float64
SUBJECTS = {"conv": "Conv2D 3x3 same", "gemm": "Dense", "lstm": "SeededLSTM every", "reduce": "BatchNorm training", "pool": "MaxPool2D"}


def report(name, **options):
    layer, inputs, constants, bar = CASES[name]
    layer.to("emulated")
    inputs, constants = (tuple(to_device(array, "emulated") for array in arrays) for arrays in (inputs, constants))
    step = 1e-5 if bar == LAYER_BAR else 1e-6
    return gradcheck.check(layer, *inputs, rng=np.random.default_rng(1), constants=constants, step=step, **options)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("model")])
def test_layers(name):
    found = report(name)
    assert found.ok(LAYER_BAR), found


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("model")])
def test_whole_models(name):
    found = report(name, directions=1, exhaustive=0)  # one direction a tensor: `faceseed gradcheck --device emulated` tries more
    assert found.ok(CASES[name][3]), found


def test_a_wrong_kernel_is_caught(monkeypatch):
    read = launch.source
    monkeypatch.setattr(launch, "source", lambda file: read(file).replace("dy[k] * (1 - y[k] * y[k])", "dy[k] * (1 - y[k])"))
    launch.kernel.cache_clear()
    try:
        assert not report("Tanh").ok(0.01)
    finally:
        launch.kernel.cache_clear()


@pytest.mark.parametrize(("family", "rung"), RUNGS)
def test_every_rung(family, rung):
    with prefer(**{family: rung}):
        found = report(SUBJECTS[family])
    assert found.ok(LAYER_BAR), found
