"""Steps of the optimisers agree with the algorithms, number by number, and are taken in place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import EXACT, MODES, Device, Mutant, close, hunt

from nn import reference
from nn.gpu import optim

SHAPES = [(1,), (255,), (3, 5, 7, 11), (257, 4)]  # a block not full, several
SGD = 0.3, 0.9  # lr, momentum
ADAM = 0.3, 0.9, 0.99, 0.01  # lr, β₁, β₂, ε


def sgd(room, value, grad, velocity, steps):
    """The arrays after so many steps of SGD."""
    for _ in range(steps):
        room.sgd_step(value, grad, velocity, *SGD)
    return value, velocity


def adam(room, value, grad, m, v, steps):
    """The arrays after so many steps of Adam."""
    for step in range(1, steps + 1):
        room.adam_step(value, grad, m, v, step, *ADAM)
    return value, m, v


ALGORITHMS = [sgd, adam]


def arrays(algorithm, shape, dtype=np.float32):
    """Values, gradients, and what the optimiser keeps of earlier steps: averages of squares are not negative."""
    rng = np.random.default_rng(len(shape))
    count = 3 if algorithm is sgd else 4
    given = rng.normal(size=(count, *shape)).astype(dtype)
    given[3:] **= 2
    return tuple(given)


def check(device, algorithm, shape, dtype=np.float32, bar=EXACT, steps=3):
    given = arrays(algorithm, shape, dtype)
    expected = algorithm(reference, *(value.astype(np.float64) for value in given), steps)
    for ours, theirs in zip(device(algorithm, optim, *given, steps), expected, strict=True):
        close(ours, theirs, bar)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_steps_in_place(device, algorithm):
    for shape in SHAPES:
        check(device, algorithm, shape)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_double_precision(algorithm):
    check(Device("forward"), algorithm, (3, 5, 7), np.float64, 1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=15)
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=4), steps=st.integers(1, 4))
def test_any_shape(algorithm, shape, steps):
    check(Device("shuffled"), algorithm, tuple(shape), steps=steps)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_bits_in_every_mode_and_again(algorithm):
    given = arrays(algorithm, (257, 4))
    first = Device("forward")(algorithm, optim, *given, 2)
    for mode in MODES:
        for ours, before in zip(Device(mode)(algorithm, optim, *given, 2), first, strict=True):
            np.testing.assert_array_equal(ours, before)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gradients_in_any_layout(device, algorithm):
    given = arrays(algorithm, (6, 5))
    expected = algorithm(reference, *(value.astype(np.float64) for value in given), 2)
    turned = given[0], np.ascontiguousarray(given[1].T), *given[2:]
    actual = device(lambda value, grad, *rest: algorithm(optim, value, grad.T, *rest), *turned, 2)
    for ours, theirs in zip(actual, expected, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_values_in_another_layout_are_refused(device, algorithm):
    given = arrays(algorithm, (6, 5))
    for place in (0, *range(2, len(given))):

        def turned(*arguments, place=place):
            arguments = [value.T if k == place else value for k, value in enumerate(arguments)]
            return algorithm(optim, *arguments)

        with pytest.raises(TypeError, match="row-major order"):
            device(turned, *(value.T if k == place else value for k, value in enumerate(given)), 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_to_change(device, algorithm):
    assert device(algorithm, optim, *arrays(algorithm, (0, 3)), 1)[0].shape == (0, 3)


def sgd_is_right(device):
    check(device, sgd, (257, 4))


def adam_is_right(device):
    check(device, adam, (257, 4))


VELOCITY = "momentum * velocity[k] + grad[k]"
MUTANTS = [
    Mutant("sgd: no bound", "optim.cu", "if (k >= n) return;\n\n    const float v", "const float v", sgd_is_right, "out-of-bounds"),
    Mutant("sgd: momentum on the gradient too", "optim.cu", VELOCITY, "momentum * (velocity[k] + grad[k])", sgd_is_right, "forward"),
    Mutant("sgd: velocity not kept", "optim.cu", "velocity[k] = v;", "", sgd_is_right, "forward"),
    Mutant("sgd: blocks write the same numbers", "optim.cu", "value[k] -= lr * v", "value[threadIdx.x] -= lr * v", sgd_is_right, "race"),
    Mutant("adam: β₁ for β₂", "optim.cu", "beta2 * v[k]", "beta1 * v[k]", adam_is_right, "forward"),
    Mutant("adam: gradients not squared", "optim.cu", "rest2 * g * g", "rest2 * g", adam_is_right, "forward"),
    Mutant("adam: ε inside the root", "optim.cu", "sqrtf(second) + shift", "sqrtf(second + shift)", adam_is_right, "forward"),
    Mutant("adam: m not kept", "optim.cu", "m[k] = first;", "", adam_is_right, "forward"),
    Mutant("adam: gradient cleared", "optim.cu", "m[k] = first;", "m[k] = first; ((float*)grad)[k] = 0;", adam_is_right, "const"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
