"""The losses and their slopes agree with the equations in every mode."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import EXACT, MODES, Device, Mutant, close, hunt

from nn import reference
from nn.gpu import loss

SHAPES = [(1,), (255, 1), (257, 3), (2, 4100)]  # one block, not full; two blocks
FACES = [(1, 1), (3, 68), (130, 68)]  # (N, L); the last has two blocks


def outputs(shape, dtype=np.float32):
    """Predictions and targets."""
    return tuple(np.random.default_rng(len(shape)).normal(size=(2, *shape)).astype(dtype))


def landmarks(N, L, dtype=np.float32):
    """Points, targets (one point is exactly right) and distances."""
    rng = np.random.default_rng(N)
    points, target = rng.uniform(0, 112, (2, N, L, 2)).astype(dtype)
    if N * L > 1:
        points[N - 1, 0] = target[N - 1, 0]
    return points, target, rng.uniform(30, 60, N).astype(dtype)


def check_squared_error(device, shape, dtype=np.float32, bar=EXACT):
    given = outputs(shape, dtype)
    close(device(loss.squared_error, *given), reference.squared_error(*given), bar)
    close(device(loss.squared_error_backward, *given), reference.squared_error_backward(*given), bar)


def check_landmark_error(device, N, L, dtype=np.float32, bar=EXACT):
    given = landmarks(N, L, dtype)
    close(device(loss.landmark_error, *given), reference.landmark_error(*given), bar)
    close(device(loss.landmark_error_backward, *given), reference.landmark_error_backward(*given), bar)


def test_squared_error(device):
    for shape in SHAPES:
        check_squared_error(device, shape)


def test_landmark_error(device):
    for N, L in FACES:
        check_landmark_error(device, N, L)


def test_in_double_precision():
    check_squared_error(Device("forward"), (2, 4100), np.float64, 1e-12)
    check_landmark_error(Device("forward"), 130, 68, np.float64, 1e-12)


@settings(max_examples=15)
@given(N=st.integers(1, 40), L=st.integers(1, 70))
def test_any_size(N, L):
    check_squared_error(Device("shuffled"), (N, L))
    check_landmark_error(Device("shuffled"), N, L)


def test_the_same_bits_in_every_mode_and_again():
    def all_of(device):
        given, faces = outputs((2, 4100)), landmarks(130, 68)
        return device(loss.squared_error, *given), device(loss.landmark_error, *faces), device(loss.landmark_error_backward, *faces)

    first = all_of(Device("forward"))
    for mode in MODES:
        for ours, before in zip(all_of(Device(mode)), first, strict=True):
            np.testing.assert_array_equal(ours, before)


def test_an_empty_batch_has_no_loss(device):
    nobody = np.ones((0, 68, 2), np.float32)
    np.testing.assert_array_equal(device(loss.squared_error, nobody, nobody), np.float32(0))
    np.testing.assert_array_equal(device(loss.landmark_error, nobody, nobody, np.ones(0, np.float32)), np.float32(0))
    assert device(loss.squared_error_backward, nobody, nobody).shape == nobody.shape
    assert device(loss.landmark_error_backward, nobody, nobody, np.ones(0, np.float32)).shape == nobody.shape


def test_points_in_any_layout(device):
    points, target, distance = landmarks(5, 7)

    def turned(points, target, distance):
        points, target = points.swapaxes(0, 1), target.swapaxes(0, 1)
        return loss.landmark_error_backward(points, target, distance[::-1]), loss.squared_error_backward(points, target)

    distance = distance[[0, 1, 2, 3, 4, 0, 1]]
    dp, dy = device(turned, points, target, distance)
    points, target = points.swapaxes(0, 1), target.swapaxes(0, 1)
    close(dp, reference.landmark_error_backward(points, target, distance[::-1]))
    close(dy, reference.squared_error_backward(points, target))


def outputs_are_right(device):
    check_squared_error(device, (2, 4100))


def landmarks_are_right(device):
    check_landmark_error(device, 130, 68)


PUSH = "length > 0 ? scale / (length * distance[k / L]) : 0"
BLOCK_SUM = "sum = COLUMN_SUM(sum, 1);\n    if (threadIdx.x == 0)\n        sums[blockIdx.y] = sum * scale;\n}\n\n"
OF_OUTPUTS, OF_LANDMARKS = (BLOCK_SUM + f'extern "C" __global__ void {name}' for name in ("squared", "landmark"))
DOWN = "down = points[2 * k + 1] - target[2 * k + 1];\n        sum"
MUTANTS = [
    Mutant("differences not squared", "loss.cu", "sum += d * d;", "sum += d;", outputs_are_right, "forward"),
    Mutant("not divided by n", "loss.cu", OF_OUTPUTS, OF_OUTPUTS.replace(" * scale", ""), outputs_are_right, "forward"),
    Mutant("a sum a thread", "loss.cu", OF_OUTPUTS, OF_OUTPUTS.replace("sum = COLUMN_SUM(sum, 1);", ""), outputs_are_right, "forward"),
    Mutant("all threads write it", "loss.cu", OF_LANDMARKS, OF_LANDMARKS.replace("if (threadIdx.x == 0)", ""), landmarks_are_right, "race"),
    Mutant("slope: no bound", "loss.cu", "if (k >= n) return;\n    dy[k]", "dy[k]", outputs_are_right, "out-of-bounds"),
    Mutant("slope: the other sign", "loss.cu", "(y[k] - target[k])", "(target[k] - y[k])", outputs_are_right, "forward"),
    Mutant("rows and columns mixed", "loss.cu", DOWN, DOWN.replace("target[2 * k + 1]", "target[2 * k]"), landmarks_are_right, "forward"),
    Mutant("distance of another face", "loss.cu", "/ distance[k / L]", "/ distance[k % L]", landmarks_are_right, "forward"),
    Mutant("distance of no face", "loss.cu", PUSH, PUSH.replace("k / L", "k"), landmarks_are_right, "out-of-bounds"),
    Mutant("a point that is right has a slope", "loss.cu", PUSH, PUSH[len("length > 0 ? ") : -len(" : 0")], landmarks_are_right, "forward"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
