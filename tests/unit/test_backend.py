"""Dispatch by the arrays of a call, and moves between devices."""

import importlib.util

import numpy as np
import pytest

import nn
from nn.backend import device_of, ops, to_device, to_numpy
from nn.emulator import cupy

emulated = cupy.asarray(np.arange(3.0))
needs_compiler = pytest.mark.usefixtures("compiler")


def gpu_array():
    """Stands for a CuPy array: dispatch looks at the name of its module only."""
    return type("ndarray", (), {"__module__": "cupy"})()


def test_numpy_arrays_go_to_the_cpu():
    assert ops(np.zeros(2), None, np.zeros(3)) is nn.cpu


@pytest.mark.parametrize("array", [gpu_array(), emulated], ids=["CuPy", "emulated"])
def test_gpu_arrays_go_to_the_gpu_room_played_or_not(array):
    assert ops(array, None) is nn.gpu


def test_a_view_of_a_subclass_is_numpy():
    assert device_of(np.zeros(2).view(np.recarray)) == "cpu"


@pytest.mark.parametrize(("other", "kinds"), [(gpu_array(), "NumPy and CuPy"), (emulated, "NumPy and emulated")], ids=["CuPy", "emulated"])
def test_mixed_arrays_are_refused_with_the_line_that_mends_it(other, kinds):
    with pytest.raises(TypeError, match=rf"one call got {kinds} arrays; move them to one side with layer.asarray\(...\)"):
        ops(np.zeros(2), other)


def test_a_list_is_refused():
    with pytest.raises(TypeError, match=r"expected a NumPy or CuPy array, got list; wrap it with np.asarray\(...\)"):
        ops([1, 2])


@needs_compiler
def test_there_and_back():
    x = np.arange(6.0).reshape(2, 3)
    there = to_device(x, "emulated")
    assert device_of(there) == "emulated" and to_device(there, "emulated") is there
    there += 1
    np.testing.assert_array_equal(to_numpy(there), x + 1)
    assert type(to_numpy(there)) is np.ndarray and to_device(x, "cpu") is x and to_numpy(x) is x
    assert x[0, 0] == 0  # a copy went


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="not run: CuPy is installed here")
def test_without_cupy_the_remedy_is_named():
    with pytest.raises(nn.InputError, match=r"CuPy.*pip install.*cuda12"):
        to_device(np.zeros(2), "cuda")


@needs_compiler
def test_a_model_moves_whole_and_its_state_comes_back_as_numpy(rng):
    model = nn.Sequential(nn.Dense(3, 2, rng=rng), nn.BatchNorm(2))
    before = {name: value.copy() for name, value in model.state().items()}
    assert model.to("emulated") is model
    assert {device_of(member.value) for member in model.buffers().values()} == {"emulated"}
    assert all(device_of(parameter.grad) == "emulated" for parameter in model.parameters().values())
    assert device_of(model.asarray(np.zeros(2))) == "emulated"
    for name, value in model.state().items():
        assert type(value) is np.ndarray and np.array_equal(value, before[name])
    model.load_state({name: value + 1 for name, value in before.items()})
    for name, member in model.buffers().items():
        assert device_of(member.value) == "emulated" and np.array_equal(to_numpy(member.value), before[name] + 1)


@needs_compiler
def test_an_optimisers_state_moves_with_its_parameters(rng):
    layer = nn.Dense(3, 2, rng=rng).to("emulated")
    optimizer = nn.Adam(layer.parameters(), 0.1)
    state = {name: np.asarray(value + 1) for name, value in optimizer.state().items()}
    assert all(type(value) is np.ndarray for value in state.values())
    optimizer.load_state(state)
    assert optimizer.steps == 1 and {device_of(array) for array in optimizer.kept.values()} == {"emulated"}
    assert all(np.array_equal(value, optimizer.state()[name]) for name, value in state.items())
