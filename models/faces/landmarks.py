"""The 68 landmarks of 300-W (iBUG order, 0-based): groups of indices, the mirror table, distances.

    chin 0-16 · eyebrows 17-21, 22-26 · nose bridge 27-30, nostrils 31-35 · eyes 36-41, 42-47 · lips outside 48-59, inside 60-67

Left and right are those of the picture. Arrays of landmarks are (..., 68, 2) as (x, y) in pixels, pixel centres at integers.
"""

import numpy as np

COUNT = 68

CHIN = np.arange(0, 17)
BROWS = np.arange(17, 27)
NOSE = np.arange(27, 36)
EYES = np.arange(36, 48)
MOUTH = np.arange(48, 68)
LEFT_EYE = np.arange(36, 42)
RIGHT_EYE = np.arange(42, 48)
OUTER_CORNERS = (36, 45)

# The order in which COREFAN draws the parts (section 3.3 of the paper).
PARTS = {"chin": CHIN, "eyebrows": BROWS, "eyes": EYES, "nose": NOSE, "mouth": MOUTH}

# In a mirrored picture landmark k is what was landmark MIRROR[k].
MIRROR = np.r_[16:-1:-1, 26:16:-1, 27:31, 35:30:-1, 45:41:-1, 47, 46, 39:35:-1, 41, 40, 54:47:-1, 59:54:-1, 64:59:-1, 67:64:-1]

# Lines of a drawing: (indices, closed?).
POLYLINES = (
    (CHIN, False),
    (np.arange(17, 22), False),
    (np.arange(22, 27), False),
    (np.arange(27, 31), False),
    (np.arange(31, 36), False),
    (LEFT_EYE, True),
    (RIGHT_EYE, True),
    (np.arange(48, 60), True),
    (np.arange(60, 68), True),
)


def eye_centres(points: np.ndarray) -> np.ndarray:
    """Means of landmarks 36-41 and 42-47, (..., 68, 2) -> (..., 2 eyes, 2), in pixels."""
    return np.stack([points[..., LEFT_EYE, :].mean(-2), points[..., RIGHT_EYE, :].mean(-2)], axis=-2)


def pupil_distance(points: np.ndarray) -> np.ndarray:
    """Distance between the two eye centres, (..., 68, 2) -> (...), in pixels: the inter-pupil normaliser of Table 5."""
    left, right = np.moveaxis(eye_centres(points), -2, 0)
    return np.linalg.norm(right - left, axis=-1)


def corner_distance(points: np.ndarray) -> np.ndarray:
    """Distance between the outer eye corners 36 and 45, (..., 68, 2) -> (...), in pixels: the inter-ocular normaliser of Table 5."""
    left, right = OUTER_CORNERS
    return np.linalg.norm(points[..., right, :] - points[..., left, :], axis=-1)


def tight_box(points: np.ndarray) -> np.ndarray:
    """Smallest box (x0, y0, x1, y1) that holds the landmarks, (..., L, 2) -> (..., 4), in pixels."""
    return np.concatenate([points.min(-2), points.max(-2)], axis=-1)


def face_size(points: np.ndarray) -> np.ndarray:
    """Longer side of the tight box, (..., L, 2) -> (...), in pixels."""
    return np.ptp(points, axis=-2).max(-1)
