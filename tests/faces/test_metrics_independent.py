"""Every measure of Tables 2, 5, 6 and 7 again, to 1e-9, in plain Python; errors at the limit and missed faces included."""

from bisect import bisect_left, bisect_right
from itertools import pairwise
from math import hypot, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces import boxes, metrics

LIMIT = 0.08
seeds = st.integers(0, 2**32 - 1)
some_errors = st.lists(
    st.one_of(st.floats(0, 0.3), st.sampled_from([0.0, LIMIT, np.nextafter(LIMIT, 0), np.nextafter(LIMIT, 1), nan])), min_size=1
)


def close(actual, expected):
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-9)


def mean_error(predicted, true, groups):
    """A face's mean distance over the distance of the means of two groups of its points."""
    (x0, y0), (x1, y1) = ([sum(true[k][i] for k in group) / len(group) for i in (0, 1)] for group in groups)
    distances = [hypot(px - tx, py - ty) for (px, py), (tx, ty) in zip(predicted, true, strict=True)]
    return sum(distances) / len(distances) / hypot(x1 - x0, y1 - y0)


@given(seeds, st.integers(1, 6))
@pytest.mark.parametrize(
    "by, groups", [("interocular", ([36], [45])), ("interpupil", (range(36, 42), range(42, 48)))], ids=["interocular", "interpupil"]
)
def test_mean_error(by, groups, seed, count):
    rng = np.random.default_rng(seed)
    true = rng.normal(56, 20, (count, 68, 2))
    predicted = true + rng.normal(0, 3, true.shape)
    predicted[rng.random(count) < 0.2] = nan
    for actual, p, t in zip(metrics.errors(predicted, true, by), predicted.tolist(), true.tolist(), strict=True):
        if isnan(p[0][0]):
            assert isnan(actual)
        else:
            close(actual, mean_error(p, t, groups))


def staircase(errors, limit):
    """Area under the cumulative error curve: rectangles from one error to the next. A missed face never enters the curve."""
    found = sorted(e for e in errors if e < limit)
    edges = [0.0, *found, limit]
    area = 0.0
    for k, (left, right) in enumerate(pairwise(edges)):
        area += (right - left) * k / len(errors)  # k faces have an error of `left` or less
    return area / limit


@given(some_errors, st.floats(0.01, 0.3))
def test_area_by_rectangles(errors, limit):
    close(metrics.auc(np.array(errors), limit), staircase(errors, limit))
    close(metrics.auc(np.array(errors)), staircase(errors, LIMIT))


@given(some_errors)
def test_area_on_the_grid_that_others_use(errors):
    """Trapezoids 0.0001 wide: a curve that only rises is off by half a step at most for the whole of its rise, 0.0625 % of the limit."""
    step, cells = 1e-4, 800
    found = sorted(e for e in errors if not isnan(e))
    heights = [bisect_right(found, k * step) / len(errors) for k in range(cells + 1)]
    grid = sum((low + high) / 2 * step for low, high in pairwise(heights)) / LIMIT
    close(metrics.auc_on_grid(np.array(errors)), grid)
    assert abs(metrics.auc(np.array(errors)) - grid) <= step / 2 / LIMIT * heights[-1] + 1e-9


@given(some_errors, st.floats(0.01, 0.3))
def test_failures_and_the_curve(errors, limit):
    found = sorted(e for e in errors if not isnan(e))
    for at in (limit, LIMIT):
        close(metrics.failure_rate(np.array(errors), at), 1 - bisect_left(found, at) / len(errors))
    grid = sorted([0.0, limit, LIMIT, *found])
    np.testing.assert_allclose(
        metrics.ced(np.array(errors), np.array(grid)), [bisect_right(found, at) / len(errors) for at in grid], rtol=1e-9
    )


def test_an_error_of_exactly_the_limit_and_a_missed_face():
    """One success of four: at the limit and beyond it a face has failed, and so has one that was not found."""
    errors = np.array([LIMIT, np.nextafter(LIMIT, 0), 0.5, nan])
    assert metrics.failure_rate(errors) == 0.75
    assert metrics.ced(errors, np.array([LIMIT])) == [0.5]  # the curve is closed above: at most, not less than
    assert metrics.auc(errors) == pytest.approx(0, abs=1e-15)


def random_boxes(rng, count):
    corner, size = rng.uniform(20, 60, (count, 4, 2)), rng.uniform(0, 40, (count, 4, 2))
    return np.concatenate([corner, corner + size], axis=2)


@given(seeds, st.integers(1, 6))
def test_squared_error_of_boxes(seed, count):
    rng = np.random.default_rng(seed)
    predicted, true = random_boxes(rng, count), random_boxes(rng, count)
    total = 0.0
    for p, t in zip(predicted.tolist(), true.tolist(), strict=True):
        total += sum((p[part][k] - t[part][k]) ** 2 for part in range(4) for k in range(4)) / 16  # Eq. (3)
    close(metrics.box_mse(predicted, true), total / count)
    predicted[0] = nan
    assert isnan(metrics.box_mse(predicted, true))


@given(seeds, st.integers(1, 6))
def test_overlap_of_boxes(seed, count):
    rng = np.random.default_rng(seed)
    predicted, true = random_boxes(rng, count), random_boxes(rng, count)
    predicted[0, 0] = true[0, 0]
    predicted[0, 1, 2:] = predicted[0, 1, :2]  # empty
    for actual, p, t in zip(
        boxes.iou(predicted, true).ravel(), predicted.reshape(-1, 4).tolist(), true.reshape(-1, 4).tolist(), strict=True
    ):
        width, height = min(p[2], t[2]) - max(p[0], t[0]), min(p[3], t[3]) - max(p[1], t[1])
        shared = width * height if width > 0 and height > 0 else 0.0
        both = (p[2] - p[0]) * (p[3] - p[1]) + (t[2] - t[0]) * (t[3] - t[1]) - shared
        close(actual, shared / both if both > 0 else 0.0)


def test_summary_of_many_faces():
    rng = np.random.default_rng(5)
    true = rng.normal(56, 20, (200, 68, 2))
    predicted = true + rng.normal(size=true.shape) * rng.uniform(0, 4, (200, 1, 1))
    corners = [mean_error(p, t, ([36], [45])) for p, t in zip(predicted.tolist(), true.tolist(), strict=True)]
    pupils = [mean_error(p, t, (range(36, 42), range(42, 48))) for p, t in zip(predicted.tolist(), true.tolist(), strict=True)]
    expected = [
        200,
        *(100 * sum(e) / 200 for e in (corners, pupils)),
        100 * staircase(corners, LIMIT),
        sum(e >= LIMIT for e in corners) / 2,
    ]
    close(list(metrics.summary(predicted, true).values()), expected)
