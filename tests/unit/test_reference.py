"""The rooms are exchangeable: the same names, the same signatures; and the reference computes in float64."""

import inspect

import numpy as np
import pytest

from nn import reference


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_the_names_are_the_same(ops):
    assert ops.__all__ == reference.__all__


@pytest.mark.parametrize("name", reference.__all__)
def test_the_signatures_are_the_same(ops, name):
    assert parameters(getattr(ops, name)) == parameters(getattr(reference, name))


def test_the_reference_computes_in_float64():
    x = np.full((1, 2, 2, 1), 1 + 1e-7, np.float32)
    y = reference.conv2d(x, np.ones((1, 2, 2, 1), np.float32), None, stride=(1, 1))
    assert y.dtype == np.float64
    assert y.item() == 4 * np.float64(x[0, 0, 0, 0])
