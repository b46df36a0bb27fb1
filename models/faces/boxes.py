"""Boxes of the four face parts that CFPD finds, made from landmarks."""

import numpy as np

from models.faces.landmarks import MOUTH, NOSE, tight_box

PART_BOXES = {
    "left eye and brow": np.r_[17:22, 36:42],
    "right eye and brow": np.r_[22:27, 42:48],
    "nose": NOSE,
    "mouth": MOUTH,
}


def part_boxes(points: np.ndarray) -> np.ndarray:
    """Boxes (x0, y0, x1, y1 + 2) of left eye, right eye (brows included), nose, mouth: (..., 68, 2) -> (..., 4, 4), in pixels.

    The 2 px below each part come from the authors' code (section 2.1, Figure 1); they belong to the 112-px frame.
    """
    boxes = np.stack([tight_box(points[..., part, :]) for part in PART_BOXES.values()], axis=-2)
    return boxes + np.array([0, 0, 0, 2], boxes.dtype)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (x0, y0, x1, y1): (..., 4) and (..., 4) -> (...), 0 where both are empty."""
    overlap = _area(np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1))
    union = _area(a) + _area(b) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def _area(box: np.ndarray) -> np.ndarray:
    width, height = np.moveaxis(np.maximum(box[..., 2:] - box[..., :2], 0), -1, 0)
    return width * height
