"""Where the errors are: by landmark, by part of the face, and by how the head is turned.

Every number is a mean distance in percent of the distance of the outer eye corners (section 3.4). Faces that a detector missed, rows
of nan among the predicted landmarks, are left out; `missed` counts them.
"""

import numpy as np

from models import subsets
from models.faces.landmarks import PARTS, corner_distance
from models.faces.pose import pose

EDGES = (10, 20, 30)  # degrees, between the bins of head pose
BINS = ("below 10°", "10° to 20°", "20° to 30°", "30° and more")

Bin = tuple[str, int, float | None]


def missed(predicted: np.ndarray) -> int:
    """How many faces were not found: predicted landmarks (N, 68, 2) -> their number."""
    return int(subsets.missed(predicted).sum())


def by_landmark(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean error of each landmark over the faces, two (N, 68, 2) -> (68,) percent. Raises ValueError where no face was found."""
    found = ~subsets.missed(predicted)
    if not found.any():
        raise ValueError("a mean over no faces is undefined: give at least one that was found")
    return _distances(predicted[found], true[found]).mean(0)


def by_part(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Mean error of chin, eyebrows, eyes, nose and mouth, percent."""
    errors = by_landmark(predicted, true)
    return {part: float(errors[indices].mean()) for part, indices in PARTS.items()}


def by_pose(predicted: np.ndarray, true: np.ndarray) -> dict[str, list[Bin]]:
    """{"yaw": [(bin, faces, mean error in percent), ...], "pitch": ..., "roll": ...} by the size of the true face's angle.

    A bin holds its lower edge; one without faces has the count 0 and the error None.
    """
    found = ~subsets.missed(predicted)
    errors = _distances(predicted[found], true[found]).mean(1)  # (N,)
    bins = np.digitize(np.degrees(np.abs(pose(true[found]))), EDGES)  # (N, 3)
    table = {}
    for angle, bin_of in zip(("yaw", "pitch", "roll"), bins.T, strict=True):
        groups = [errors[bin_of == k] for k in range(len(BINS))]
        table[angle] = [(name, len(group), float(group.mean()) if len(group) else None) for name, group in zip(BINS, groups, strict=True)]
    return table


def _distances(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    return 100 * np.linalg.norm(predicted - true, axis=-1) / corner_distance(true)[:, None]  # (N, 68)
