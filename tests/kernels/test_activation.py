"""The element-by-element kernels agree with the equations in every mode."""

import numpy as np
import pytest
from kernels.harness import Mutant, close, hunt

from nn import reference
from nn.gpu import activation

PAIRS = ["relu", "sigmoid", "tanh"]
SIZES = [1, 255, 1000]  # one thread, a block that is not full, four blocks


def values(size):
    """Normal numbers with both kinds of zero and a few large ones among them."""
    x = np.random.default_rng(size).normal(size=size).astype(np.float32)
    x[::7], x[3::11] = 0, -40
    return x


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAIRS)
def test_forward_and_backward(device, name, size):
    x = values(size)
    y = device(getattr(activation, name), x)
    close(y, getattr(reference, name)(x))
    dx = device(getattr(activation, f"{name}_backward"), x, y)
    close(dx, getattr(reference, f"{name}_backward")(x, y))


def relu_is_right(device):
    test_forward_and_backward(device, "relu", 1000)


def sigmoid_is_right(device):
    test_forward_and_backward(device, "sigmoid", 1000)


MUTANTS = [
    Mutant("no bound", "activation.cu", "if (k >= n) return;", "", relu_is_right, "out-of-bounds"),
    Mutant("slope at negative outputs", "activation.cu", "y[k] > 0 ? dy[k] : 0", "y[k] >= 0 ? dy[k] : 0", relu_is_right, "forward"),
    Mutant(
        "written through const",
        "activation.cu",
        "dx[k] = dy[k] * y[k] * (1 - y[k]);",
        "((float*)dy)[k] = 1; dx[k] = dy[k] * y[k] * (1 - y[k]);",
        sigmoid_is_right,
        "const",
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
