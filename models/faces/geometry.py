"""Equations 1 and 2 of the paper: 3 x 3 matrices that move points, and the warp that moves a picture with them.

A point (x, y) is the column (x, y, 1). Image coordinates: x to the right, y down, pixel centres at integers, so the centre of a
frame of S pixels is (S - 1) / 2. Every function takes single numbers or arrays of them, and gives (3, 3) or (..., 3, 3) in float64.
"""

import numpy as np

from models.faces import opencv as cv2
from models.faces.landmarks import eye_centres, face_size

Numbers = float | np.ndarray


def _matrix(*entries: Numbers) -> np.ndarray:
    """Nine entries, row by row, each a number or an array -> (..., 3, 3)."""
    stacked = np.stack(np.broadcast_arrays(*entries), axis=-1, dtype=np.float64)  # (..., 9)
    return stacked.reshape(*stacked.shape[:-1], 3, 3)


def translation(tx: Numbers, ty: Numbers) -> np.ndarray:
    """Equation 1: (x, y) -> (x + tx, y + ty), in pixels."""
    return _matrix(1, 0, tx, 0, 1, ty, 0, 0, 1)  # Eq. (1)


def rotation(theta: Numbers) -> np.ndarray:
    """Equation 1: turns by theta radians so that a line at angle theta comes out level (with y down: counter-clockwise to the eye)."""
    cos, sin = np.cos(theta), np.sin(theta)
    return _matrix(cos, sin, 0, -sin, cos, 0, 0, 0, 1)  # Eq. (1)


def scaling(sx: Numbers, sy: Numbers) -> np.ndarray:
    """Equation 1: (x, y) -> (sx x, sy y)."""
    return _matrix(sx, 0, 0, 0, sy, 0, 0, 0, 1)  # Eq. (1)


def compose(theta: Numbers, sx: Numbers, sy: Numbers, tx: Numbers, ty: Numbers) -> np.ndarray:
    """Equation 2, entry by entry as printed; it equals rotation(theta) @ translation(tx, ty) @ scaling(sx, sy).

    So the scale acts on the points first, then the translation, then the rotation, although the paper's sentence names them in the
    order translation, rotation, scale.
    """
    cos, sin = np.cos(theta), np.sin(theta)
    return _matrix(cos * sx, sin * sy, cos * tx + sin * ty, -sin * sx, cos * sy, -sin * tx + cos * ty, 0, 0, 1)  # Eq. (2)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Moves points: matrix (..., 3, 3), points (..., L, 2) -> (..., L, 2)."""
    return points @ matrix[..., :2, :2].swapaxes(-1, -2) + matrix[..., None, :2, 2]


def eye_angle(points: np.ndarray) -> np.ndarray:
    """Angle of the line from the left to the right eye centre, (..., 68, 2) -> (...), in radians, positive when the right eye is lower."""
    left, right = np.moveaxis(eye_centres(points), -2, 0)
    x, y = np.moveaxis(right - left, -1, 0)
    return np.arctan2(y, x)


def frame(points: np.ndarray, size: int = 112, upright: bool = False) -> np.ndarray:
    """Matrix from the image to the network's frame of size x size pixels, (..., 68, 2) -> (..., 3, 3) (section 2.1).

    The mean landmark goes to the frame's centre and the longer side of the tight box becomes size / 2; `upright` levels the eyes
    as well (the canonical pose), and the box is then that of the turned points.
    """
    turn = rotation(eye_angle(points) if upright else np.zeros(points.shape[:-2]))
    scale = size / 2 / face_size(apply(turn, points))
    x, y = np.moveaxis(points.mean(-2), -1, 0)
    centre = (size - 1) / 2
    return translation(centre, centre) @ scaling(scale, scale) @ turn @ translation(-x, -y)


def warp(image: np.ndarray, matrix: np.ndarray, size: int = 112) -> np.ndarray:
    """Picture moved by `matrix` (3, 3) into a frame of size x size: bilinear, black outside; uint8 (H, W) -> (size, size).

    Where the picture shrinks by a factor of two or more, blocks of pixels are averaged first, since bilinear interpolation looks at
    four pixels only. OpenCV places samples to 1/32 px.
    """
    shrink = int(abs(np.linalg.det(matrix[:2, :2])) ** -0.5 + 1e-9)
    if shrink > 1:
        image, matrix = _average_blocks(image, shrink), matrix @ _from_blocks(shrink)
    return cv2.warpAffine(image, matrix[:2], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def _average_blocks(image: np.ndarray, k: int) -> np.ndarray:
    """Means of k x k blocks, the last ones filled up with black."""
    height, width = image.shape[:2]
    image = cv2.copyMakeBorder(image, 0, -height % k, 0, -width % k, cv2.BORDER_CONSTANT, value=0)
    return cv2.resize(image, (image.shape[1] // k, image.shape[0] // k), interpolation=cv2.INTER_AREA)


def _from_blocks(k: int) -> np.ndarray:
    """Pixel j of the averaged picture is centred on pixel k j + (k - 1) / 2 of the original."""
    return translation((k - 1) / 2, (k - 1) / 2) @ scaling(k, k)
