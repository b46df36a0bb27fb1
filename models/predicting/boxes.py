"""Where the face boxes come from: one box for all pictures, a file of them, or a detector."""

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from models.faces import opencv as cv2
from models.faces.detect import haar, read_boxes
from models.predicting.sources import Source
from nn import InputError

# The shorter side of a picture in which a detector looks, px, at most. The cascade finds faces of 24 px and of 1/20 of it and more; in
# the frames of a video it has less time: 0.15 s for 640 x 480 px as they are, half of that at 360 px.
PHOTO_SIDE, VIDEO_SIDE = 720, 360

# dlib's box, in units of its side: how far the centre of the tight box of the landmarks lies below its own, and the tight box's longer
# side. Medians over 531 faces of the training fold of 300-W that it finds (every third; 256-px crops, IoU above 0.3).
DLIB_BELOW, DLIB_SIDE = 0.106, 0.938


@dataclass
class Boxes:
    """Boxes (K, 4) of a picture's faces as x0, y0, x1, y1, and what they enclose (`faces.detect.box_frame`)."""

    box: np.ndarray | None = None  # x0, y0, x1, y1
    file: Path | None = None
    kind: str = "tight"  # what a given box encloses: "tight" the landmarks, "300w" or "haar" as that detector draws it
    detector: str = "haar"  # or "dlib"

    def __post_init__(self) -> None:
        self.rows = None if self.file is None else read_boxes(self.file)
        if self.detector == "dlib":
            dlib_detector()

    @property
    def given(self) -> bool:
        """Does the user mark the faces?"""
        return self.box is not None or self.rows is not None

    def marked(self, source: Source, gray: np.ndarray) -> tuple[np.ndarray, str]:
        """The box (1, 4) that the user gives for a picture. Raises InputError where there is none, or it lies outside."""
        box, (height, width) = self.row(source), gray.shape
        if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
            raise InputError(f"{source}: the box {box.tolist()} lies outside its {width} x {height} pixels; give x0,y0,x1,y1 on this photo")
        return box[None], self.kind

    def row(self, source: Source) -> np.ndarray:
        """The given box (4,): in a file by the picture's name with or without folders and suffix."""
        if self.box is not None:
            return self.box
        rows, path = self.rows or {}, source.path
        names = ("/".join(name.parts[-k:]) for k in range(len(path.parts), 0, -1) for name in (path.with_suffix(""), path))
        row = next((rows[name] for name in names if name in rows), None)
        if row is None or not np.isfinite(row.box).all():
            raise InputError(f"{source}: {self.file} has no box for it; add a line, or give --box x0,y0,x1,y1")
        return row.box

    def detect(self, gray: np.ndarray, side: int = PHOTO_SIDE) -> tuple[np.ndarray, str]:
        """Faces that the detector finds, largest first; in a large picture it looks at a copy with a shorter side of `side` px."""
        scale = min(1.0, side / min(gray.shape))
        height, width = (max(1, round(scale * side)) for side in gray.shape)
        small = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else gray
        boxes, kind = (haar(small), "haar") if self.detector == "haar" else (dlib(small), "tight")
        return (boxes + 0.5) * np.tile([gray.shape[1] / width, gray.shape[0] / height], 2) - 0.5, kind


def dlib(gray: np.ndarray) -> np.ndarray:
    """Tight boxes of the landmarks (K, 4) by dlib's frontal-face detector (King 2009: HOG and a linear SVM), largest first."""
    found = dlib_detector()(gray, 1)  # in a picture of twice the size: faces from 40 px upwards
    boxes = np.array([(face.left(), face.top(), face.right() + 1, face.bottom() + 1) for face in found], np.float64).reshape(-1, 4) - 0.5
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + DLIB_BELOW * side * [0, 1]
    half = DLIB_SIDE * side / 2
    return np.concatenate([centre - half, centre + half], axis=1)[np.argsort(-side[:, 0], kind="stable")]


@lru_cache
def dlib_detector() -> Any:
    """dlib's detector. Raises InputError where dlib is not installed."""
    try:
        import dlib
    except ImportError as error:
        raise InputError(
            f"--detector dlib: dlib cannot be imported ({error}); run `{Path(sys.executable).name} -m pip install dlib`, or leave it out"
        ) from None
    return dlib.get_frontal_face_detector()
