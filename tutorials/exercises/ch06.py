"""Exercises of chapter 6: faces in 68 points."""

import numpy as np

from models.faces.geometry import eye_angle as library_angle
from models.faces.geometry import frame as library_frame
from models.faces.landmarks import MIRROR
from models.faces.metrics import errors
from tutorials.exercise import exercise


def _face(rng, count=None):
    """Random points that lie somewhat like a face: (68, 2), or (count, 68, 2)."""
    shape = (68, 2) if count is None else (count, 68, 2)
    points = rng.uniform(40, 80, shape)
    points[..., 36:42, 0] -= 30
    points[..., 42:48, 0] += 30
    return points


@exercise(
    "6.1",
    "The angle of the eyes",
    grade="one line",
    hints=["The left eye is the mean of points 36 to 41, the right eye of 42 to 47.", "np.arctan2(y, x) of right minus left"],
    gives="angle",
)
def eye_angle(points):
    """The angle of the line from the left to the right eye centre, positive when the right eye is lower (y points down).

    points (68, 2) -> radians
    """
    x, y = points[42:48].mean(0) - points[36:42].mean(0)
    return np.arctan2(y, x)


@eye_angle.case
def _(rng):
    return _face(rng)


@eye_angle.case
def _(rng):
    return _face(rng) @ np.array([[0.6, 0.8], [-0.8, 0.6]])


@eye_angle.truth
def _(points):
    return float(library_angle(points))


@eye_angle.wrong("x and y are exchanged in the arctangent")
def _(points):
    x, y = points[42:48].mean(0) - points[36:42].mean(0)
    return np.arctan2(x, y)


@eye_angle.wrong("the sign is turned: in pictures y points down, and the lower right eye is positive")
def _(points):
    return -eye_angle.solution(points)


@eye_angle.wrong("it is in degrees")
def _(points):
    return np.degrees(eye_angle.solution(points))


@exercise(
    "6.2",
    "Mirror a face",
    grade="a few lines",
    hints=["x -> size - 1 - x, for pixels and points alike.", "Then the points are renamed: points[names]."],
    gives=("image", "points"),
)
def mirror(image, points, names):
    """The picture and its landmarks as the mirror shows them; the new landmark k is what was landmark names[k].

    image (size, size), points (68, 2), names (68,) -> image (size, size), points (68, 2)
    """
    turned = np.stack([image.shape[1] - 1 - points[:, 0], points[:, 1]], axis=1)
    return image[:, ::-1], turned[names]


@mirror.case
def _(rng):
    return rng.normal(size=(112, 112)), _face(rng), MIRROR


@mirror.truth
def _(image, points, names):
    """Number by number."""
    new = np.array([[111 - points[names[k], 0], points[names[k], 1]] for k in range(68)])
    return np.fliplr(image), new


@mirror.wrong("the points keep their names: the left eye is called the right one")
def _(image, points, names):
    turned = np.stack([image.shape[1] - 1 - points[:, 0], points[:, 1]], axis=1)
    return image[:, ::-1], turned


@mirror.wrong("it is one pixel off: the last pixel's centre is at size - 1")
def _(image, points, names):
    turned = np.stack([image.shape[1] - points[:, 0], points[:, 1]], axis=1)
    return image[:, ::-1], turned[names]


@exercise(
    "6.3",
    "The inter-ocular error",
    grade="a few lines",
    hints=["np.linalg.norm(..., axis=-1) gives (N, 68) distances.", "The divisor is the distance of the *true* points 36 and 45."],
    gives="error",
)
def interocular(predicted, true):
    """Mean distance of the points over the distance of the true outer eye corners, for each face.

    predicted, true (N, 68, 2) -> (N,)
    """
    distance = np.linalg.norm(true[:, 45] - true[:, 36], axis=-1)
    return np.linalg.norm(predicted - true, axis=-1).mean(-1) / distance


@interocular.case
def _(rng):
    true = _face(rng, 3)
    return true + rng.normal(size=true.shape), true


@interocular.truth
def _(predicted, true):
    return errors(predicted, true)


@interocular.wrong("it divides by the predicted face's own eyes: a wrong answer could make itself look better")
def _(predicted, true):
    distance = np.linalg.norm(predicted[:, 45] - predicted[:, 36], axis=-1)
    return np.linalg.norm(predicted - true, axis=-1).mean(-1) / distance


@interocular.wrong("these are the inner corners, 39 and 42; the outer ones are 36 and 45")
def _(predicted, true):
    distance = np.linalg.norm(true[:, 42] - true[:, 39], axis=-1)
    return np.linalg.norm(predicted - true, axis=-1).mean(-1) / distance


@interocular.wrong("it is the root of the mean square, not the mean distance")
def _(predicted, true):
    distance = np.linalg.norm(true[:, 45] - true[:, 36], axis=-1)
    return np.sqrt(((predicted - true) ** 2).sum(-1).mean(-1)) / distance


@exercise(
    "6.4",
    "Turn about a point",
    grade="a few lines",
    hints=["Move the point to the origin, turn, move it back.", "The move that acts first stands on the right."],
    gives="matrix",
)
def turn_about(theta, x, y):
    """The matrix (3, 3) that turns by theta, with equation 1's rotation, and leaves the point (x, y) where it is.

    theta in radians, x and y in pixels
    """
    cos, sin = np.cos(theta), np.sin(theta)
    there = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    back = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    return there @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) @ back


@turn_about.case
def _(rng):
    return 0.4, 30.0, 50.0


@turn_about.truth
def _(theta, x, y):
    """(q - p) is the turned (q₀ - p): the last column is p - R p."""
    cos, sin = np.cos(theta), np.sin(theta)
    return np.array([[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y], [0, 0, 1]])


@turn_about.wrong("the order is reversed: the move that acts first stands on the right")
def _(theta, x, y):
    return turn_about.solution(theta, -x, -y)


@turn_about.wrong("it turns the other way: equation 1 has sin θ above the diagonal")
def _(theta, x, y):
    return turn_about.solution(-theta, x, y)


@exercise(
    "6.5",
    "The frame",
    grade="real",
    hints=["Turn by the eyes' angle, measure the turned box, then scale.", "translate(c, c) @ scale @ turn @ translate(-mean)"],
    gives="matrix",
)
def upright_frame(points, size):
    """The matrix from the photo to the frame of a normalised face: eyes level, the mean landmark at the frame's centre (size - 1) / 2,
    the longer side of the box around the turned points size / 2.

    points (68, 2), size a whole number -> (3, 3)
    """
    x, y = points[42:48].mean(0) - points[36:42].mean(0)
    theta, (mx, my), c = np.arctan2(y, x), points.mean(0), (size - 1) / 2
    turn = np.array([[np.cos(theta), np.sin(theta), 0], [-np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    turned = points @ turn[:2, :2].T
    s = size / 2 / np.ptp(turned, axis=0).max()
    to_centre = np.array([[1, 0, c], [0, 1, c], [0, 0, 1]])
    from_mean = np.array([[1, 0, -mx], [0, 1, -my], [0, 0, 1]])
    return to_centre @ np.diag([s, s, 1]) @ turn @ from_mean


@upright_frame.case
def _(rng):
    turn = np.array([[0.9, 0.4], [-0.4, 0.9]])
    return _face(rng) @ turn, 112


@upright_frame.truth
def _(points, size):
    return library_frame(points, size, upright=True)


@upright_frame.wrong("the box is measured before the turn; the frame holds the turned face")
def _(points, size):
    right = upright_frame.solution(points, size)
    x, y = points[42:48].mean(0) - points[36:42].mean(0)
    theta = np.arctan2(y, x)
    turned = points @ np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    ratio, c = np.ptp(turned, axis=0).max() / np.ptp(points, axis=0).max(), (size - 1) / 2
    return np.array([[ratio, 0, c - ratio * c], [0, ratio, c - ratio * c], [0, 0, 1]]) @ right


@upright_frame.wrong("the face is not turned: the eyes are not level")
def _(points, size):
    return library_frame(points, size)


@upright_frame.wrong("the centre of the frame is (size - 1) / 2, since pixel centres are whole numbers")
def _(points, size):
    return np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]) @ upright_frame.solution(points, size)
