"""Windows of parts and back: Figure 7."""

from itertools import pairwise

import numpy as np
import pytest

from models.faces.landmarks import PARTS
from models.faces.sequences import READOUTS, readout_matrix, steps, windows


def read(kind, written):
    """Landmarks (N, 68, 2) from windows (N, T, 2 K)."""
    return readout_matrix(kind) @ written.reshape(len(written), -1, 2)


def test_steps():
    assert steps() == steps("newest") == (13, 6, 8, 5, 16)
    assert steps("point") == (17, 10, 12, 9, 20)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_agree_with_loops(rng, count, dtype):
    points = rng.normal(size=(count, 68, 2)).astype(dtype)
    written = windows(points)
    assert written.shape == (count, 48, 10) and written.dtype == dtype
    for n in range(count):
        step = 0
        for part in PARTS.values():
            for start in range(len(part) - 4):
                for j in range(5):
                    assert written[n, step, 2 * j] == points[n, part[start + j], 0]
                    assert written[n, step, 2 * j + 1] == points[n, part[start + j], 1]
                step += 1
        assert step == 48


def test_consecutive_windows_share_four_points(rng):
    written = windows(rng.normal(size=(2, 68, 2)))
    starts = np.cumsum((0, *steps()))
    for first, last in pairwise(starts):
        np.testing.assert_array_equal(written[:, first : last - 1, 2:], written[:, first + 1 : last, :-2])


@pytest.mark.parametrize("kind", READOUTS)
def test_what_is_written_is_read_back(rng, kind):
    points = rng.normal(size=(4, 68, 2))
    np.testing.assert_allclose(read(kind, windows(points, kind)), points, atol=1e-14)


@pytest.mark.parametrize("kind", READOUTS)
def test_the_matrix_is_made_of_means(kind):
    matrix = readout_matrix(kind)
    assert matrix.dtype == np.float64 and matrix.shape == (68, sum(steps(kind)) * (1 if kind == "point" else 5))
    np.testing.assert_allclose(matrix.sum(1), 1)
    assert (matrix >= 0).all()


def test_the_mean_takes_every_window_that_covers_a_landmark(rng):
    written = rng.normal(size=(2, 48, 10))  # windows that disagree
    seen = {k: [] for k in range(68)}
    step = 0
    for part in PARTS.values():
        for start in range(len(part) - 4):
            for j in range(5):
                seen[part[start + j]].append(written[:, step, 2 * j : 2 * j + 2])
            step += 1
    expected = np.stack([np.mean(seen[k], axis=0) for k in range(68)], axis=1)
    np.testing.assert_allclose(read("mean", written), expected)


def test_the_newest_point_is_read_once(rng):
    written = rng.normal(size=(2, 48, 10))
    landmarks = read("newest", written)
    step = 0
    for part in PARTS.values():
        np.testing.assert_array_equal(landmarks[:, part[:5]], written[:, step].reshape(2, 5, 2))
        for k in part[5:]:
            step += 1
            np.testing.assert_array_equal(landmarks[:, k], written[:, step, -2:])
        step += 1


def test_one_point_a_step_follows_the_parts(rng):
    written = rng.normal(size=(2, 68, 2))
    np.testing.assert_array_equal(read("point", written)[:, np.concatenate(list(PARTS.values()))], written)


@pytest.mark.parametrize("call", [steps, readout_matrix, lambda kind: windows(np.zeros((1, 68, 2)), kind)])
def test_an_unknown_readout_is_named(call):
    with pytest.raises(ValueError, match="readout 'median' is unknown: choose one of mean, newest, point"):
        call("median")
