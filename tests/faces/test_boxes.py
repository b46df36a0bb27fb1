"""Part boxes against loops; intersection over union against counted pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.boxes import PART_BOXES, iou, part_boxes

LEFT, RIGHT = [17, 18, 19, 20, 21, 36, 37, 38, 39, 40, 41], [22, 23, 24, 25, 26, 42, 43, 44, 45, 46, 47]
PARTS = [LEFT, RIGHT, list(range(27, 36)), list(range(48, 68))]


@pytest.mark.parametrize("count", [0, 1, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_boxes_agree_with_loops(rng, count, dtype):
    points = rng.normal(50, 20, (count, 68, 2)).astype(dtype)
    boxes = part_boxes(points)
    assert boxes.shape == (count, 4, 4) and boxes.dtype == dtype
    for n in range(count):
        for part, indices in enumerate(PARTS):
            xs, ys = [points[n, k, 0] for k in indices], [points[n, k, 1] for k in indices]
            np.testing.assert_allclose(boxes[n, part], [min(xs), min(ys), max(xs), max(ys) + 2], rtol=1e-6)


def test_one_face_alone_and_the_names(face):
    np.testing.assert_array_equal(part_boxes(face), part_boxes(face[None])[0])
    left, right, nose, mouth = part_boxes(face)
    assert list(PART_BOXES) == ["left eye and brow", "right eye and brow", "nose", "mouth"]
    assert left[2] < 0 < right[0] and nose[1] < mouth[1]
    np.testing.assert_allclose(mouth, [-28, 51.5, 28, 81.5], atol=3)


corners = st.tuples(*[st.integers(0, 12)] * 4)


@given(corners, corners)
def test_iou_counts_pixels(a, b):
    """Boxes with whole corners cover whole cells of a grid: count them."""

    def cells(box):
        grid = np.zeros((12, 12), bool)
        grid[box[1] : box[3], box[0] : box[2]] = True
        return grid

    union = (cells(a) | cells(b)).sum()
    expected = (cells(a) & cells(b)).sum() / union if union else 0
    assert iou(np.array(a, float), np.array(b, float)) == pytest.approx(expected)
    assert iou(np.array(b, float), np.array(a, float)) == pytest.approx(expected)


def test_iou_of_many_pairs(rng):
    a, b = rng.uniform(0, 10, (2, 3, 1, 4)), rng.uniform(0, 10, (5, 4))
    table = iou(a, b)
    assert table.shape == (2, 3, 5)
    assert table[1, 2, 3] == iou(a[1, 2, 0], b[3])
