"""Errors by landmark, part and head pose: against loops, with made-up errors that tell where they belong."""

from math import hypot

import numpy as np
import pytest

from models.faces.head import Camera
from models.faces.landmarks import PARTS
from models.faces.pose import mean_shape
from models.paper import breakdown


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    """The mean face turned by degrees, far away, in pixels."""
    return 0.5 * Camera(*np.radians([yaw, pitch, roll])).project(mean_shape()) + 56


@pytest.fixture
def true(rng):
    return np.stack([turned(*rng.normal(0, 15, 3)) for _ in range(5)])


def test_by_landmark_agrees_with_loops(rng, true):
    predicted = true + rng.normal(0, 3, true.shape)
    predicted[1] = np.nan
    result = breakdown.by_landmark(predicted, true)
    assert result.shape == (68,)
    for k in range(68):
        errors = []
        for n in (0, 2, 3, 4):
            (x0, y0), (x1, y1) = true[n, 36], true[n, 45]
            errors.append(100 * hypot(*(predicted[n, k] - true[n, k])) / hypot(x1 - x0, y1 - y0))
        assert result[k] == pytest.approx(sum(errors) / 4)


def test_by_part(true):
    """Each part is off by as many hundredths of the eye distance as its place in the list says."""
    predicted = true.copy()
    unit = np.linalg.norm(true[:, 45] - true[:, 36], axis=1)
    for place, indices in enumerate(PARTS.values(), 1):
        predicted[:, indices, 1] += place * unit[:, None] / 100
    assert breakdown.by_part(predicted, true) == pytest.approx({"chin": 1, "eyebrows": 2, "eyes": 3, "nose": 4, "mouth": 5})


def test_missed_faces_are_counted_and_left_out(rng, true):
    predicted = true + rng.normal(0, 3, true.shape)
    kept = breakdown.by_landmark(predicted[[0, 3]], true[[0, 3]])
    predicted[[1, 2, 4]] = np.nan
    assert breakdown.missed(predicted) == 3
    np.testing.assert_array_equal(breakdown.by_landmark(predicted, true), kept)
    assert sum(count for _, count, _ in breakdown.by_pose(predicted, true)["yaw"]) == 2
    predicted[:] = np.nan
    with pytest.raises(ValueError, match="a mean over no faces is undefined: give at least one that was found"):
        breakdown.by_part(predicted, true)
    assert [row[1:] for row in breakdown.by_pose(predicted, true)["roll"]] == 4 * [(0, None)]


def test_by_pose():
    """Faces turned to either side; each is off by a percentage of its own, and a mean shows who fell into a bin."""
    angles = [(-5, 12, 0), (9, -25, 31), (-15, 0, 0), (29, 0, -9), (-31, 0, 0), (45, 3, 12)]
    true = np.stack([turned(*angle) for angle in angles])
    percent = np.array([1, 2, 4, 8, 16, 32])
    unit = np.linalg.norm(true[:, 45] - true[:, 36], axis=1)
    predicted = true.copy()
    predicted[..., 0] += (percent * unit / 100)[:, None]
    bins = ("below 10°", "10° to 20°", "20° to 30°", "30° and more")
    expected = {
        "yaw": [(2, 1.5), (1, 4), (1, 8), (2, 24)],
        "pitch": [(4, 15), (1, 1), (1, 2), (0, None)],
        "roll": [(4, 29 / 4), (1, 32), (0, None), (1, 2)],
    }
    found = breakdown.by_pose(predicted, true)
    assert list(found) == ["yaw", "pitch", "roll"]
    for angle, rows in expected.items():
        assert [name for name, _, _ in found[angle]] == list(bins)
        assert [count for _, count, _ in found[angle]] == [count for count, _ in rows]
        assert [error for _, _, error in found[angle]] == [None if error is None else pytest.approx(error) for _, error in rows]
