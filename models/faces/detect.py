"""Where the faces are, when nobody has marked the landmarks: from a detector's box to the network's frame."""

import csv
from collections.abc import Iterator
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.faces import opencv as cv2
from models.faces.geometry import scaling, translation
from nn.errors import InputError, shown
from nn.files import MIB, read_text

# What a box says about the landmarks, in units of its longer side: how far the mean landmark lies below the box's centre, and how
# long the longer side of the landmarks' tight box is. Medians over the faces of the training fold of 300-W (256-px crops):
#   haar   1,627 of 1,719 faces: the cascade's box with the best IoU with the tight box, where that is above 0.3
#   300w   1,719 faces: the official detector boxes of boxes.csv
#   tight  1,719 faces: the tight box itself, whose longer side is 1 by definition
# Across, the medians are 0.005 and less; a mirrored face makes them 0, and so they stand.
BELOW_AND_SIZE = {"haar": (0.117, 0.871), "300w": (-0.036, 1.007), "tight": (-0.037, 1.0)}

COLUMNS = ("image", "x0", "y0", "x1", "y1")  # and fold, photo, which may be missing
CSV_BYTES = 16 * MIB
FAR, NARROW = 1e5, 1e-3  # px: how far from its photo's corner a box may lie, and how narrow it may be
NEAR = f"at most {FAR:,.0f} px off"


class BoxRow(NamedTuple):
    """A line of boxes.csv."""

    box: np.ndarray  # x0, y0, x1, y1; nan where the detector found nothing
    fold: str  # train, val or empty
    photo: str  # whose crop it is, or empty


def read_boxes(path: str | Path) -> dict[str, BoxRow]:
    """Lines of a boxes.csv (image,x0,y0,x1,y1 and perhaps fold,photo) by image name; four nan where there is no box.

    Raises InputError where the file is something else.
    """
    boxes = {}
    text = read_text(path, CSV_BYTES, "a boxes.csv")
    try:
        for image, x0, y0, x1, y1, fold, photo in _rows(text):
            box = np.array([x0, y0, x1, y1], np.float64)
            if not np.isnan(box).all() and not are_boxes(box):
                raise ValueError(f"{x0},{y0},{x1},{y1} for {image!r} where x0 < x1 and y0 < y1, or four nan, should be, {NEAR}")
            boxes[image] = BoxRow(box, fold, photo)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{shown(path)}: expected lines of {','.join(COLUMNS)}, found {error}; mend or remove the file") from error
    return boxes


def are_boxes(boxes: np.ndarray) -> np.ndarray:
    """Whether x0, y0, x1, y1 enclose something, not too far from the photo's corner: (..., 4) -> bool (...)."""
    return (np.abs(boxes) <= FAR).all(-1) & (boxes[..., :2] + NARROW <= boxes[..., 2:]).all(-1)


def _rows(text: str) -> Iterator[list[str]]:
    reader = csv.reader(StringIO(text, newline=""))
    head = next(reader, [])
    if missing := set(COLUMNS) - set(head):
        raise ValueError(f"no column {', '.join(sorted(missing))}")
    places = [head.index(column) if column in head else None for column in (*COLUMNS, "fold", "photo")]
    for row in filter(None, reader):
        if len(row) <= max(place for place in places if place is not None):
            raise ValueError(f"a short line {reader.line_num}")
        yield ["" if place is None else row[place] for place in places]


def haar(gray: np.ndarray) -> np.ndarray:
    """Face boxes by OpenCV's frontal-face cascade, largest first: uint8 (H, W) -> (K, 4) x0, y0, x1, y1 in pixels, K = 0 for none.

    Finds faces from 1/20 of the photo's shorter side upwards, at least 24 px. Viola and Jones (2001), Haar features by Lienhart.
    """
    smallest = max(24, min(gray.shape) // 20)
    found = _cascade().detectMultiScale(gray, scaleFactor=1.1, minNeighbors=3, minSize=(smallest, smallest))
    found = np.array(found, np.float64).reshape(-1, 4)  # (K, 4) x, y, width, height
    found = found[np.argsort(-found[:, 2], kind="stable")]
    corner, size = found[:, :2], found[:, 2:]
    return np.concatenate([corner, corner + size], axis=1) - 0.5  # edges of pixels, not their centres


@lru_cache
def _cascade() -> Any:
    try:
        cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
    except AttributeError:  # OpenCV 5, or a system package without its data
        cascade = None
    if cascade is None or cascade.empty():
        raise InputError("OpenCV came without its frontal-face cascade: run `pip install 'opencv-python-headless<5'`")
    return cascade


def box_frame(box: np.ndarray, size: int = 112, kind: str = "haar") -> np.ndarray:
    """Matrix from the image to the network's frame for a detector's box: (..., 4) -> (..., 3, 3).

    Stands in for `geometry.frame` where there are no landmarks: the guessed mean landmark goes to the frame's centre, the guessed
    face fills half of it. `kind` is the detector: "haar", "300w" (the official boxes) or "tight". Raises ValueError on another, and
    InputError on a box without a size.
    """
    if kind not in BELOW_AND_SIZE:
        raise ValueError(f"kind of box {kind!r} is unknown: choose one of {', '.join(BELOW_AND_SIZE)}")
    below, face = BELOW_AND_SIZE[kind]
    box = np.asarray(box, np.float64)
    if not are_boxes(box).all():
        raise InputError(
            f"box {np.round(box, 2).tolist()}: expected x0 < x1 and y0 < y1, {NEAR}; give the left, upper, right and lower edge"
        )
    x0, y0, x1, y1 = np.moveaxis(box, -1, 0)
    side = np.maximum(x1 - x0, y1 - y0)
    scale = size / 2 / (face * side)
    centre = (size - 1) / 2
    return translation(centre, centre) @ scaling(scale, scale) @ translation(-(x0 + x1) / 2, -((y0 + y1) / 2 + below * side))
