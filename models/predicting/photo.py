"""One photo: where its faces are, whichever way up it lies, and its outputs."""

import sys

import numpy as np

from models.faces import opencv as cv2
from models.faces.landmarks import tight_box
from models.faces.opencv import read_photo
from models.predicting import styles, window
from models.predicting.boxes import Boxes
from models.predicting.finder import NO_FACE, Face, Finder
from models.predicting.job import Job
from models.predicting.sources import Source
from nn import InputError

SMALLEST = 24  # px: the cascade sees no smaller faces
SURE = 0.04  # doubt (finder.py) below which a photo needs no turning: on upright faces it is 0.01 to 0.024, upside down 0.048 and more
TURNS = {0: "", 2: "180°", 1: "90° to the left", 3: "90° to the right"}  # quarter turns to the left, in the order of trying


def photo(job: Job, source: Source) -> int:
    """A photo in, its outputs out: how many faces. Raises InputError where it cannot be read or shows none."""
    picture = read_photo(source.path)  # turned as its camera wrote
    faces, turn = faces_of(job.finder, job.boxes, source, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    if turn:
        print(f"{source}: a face was found with the photo turned by {TURNS[turn]}; the answers are in the photo as it is", file=sys.stderr)
    styles.draw(picture, faces, job.styles)
    job.writer.photo(source, picture, faces)
    job.writer.line(source, faces)
    if job.windowed["photo"]:
        window.show(picture, job.keys, wait=True)
    return len(faces)


def faces_of(finder: Finder, boxes: Boxes, source: Source, gray: np.ndarray) -> tuple[list[Face], int]:
    """The faces of a photo, uint8 (H, W), largest first, and by how many quarter turns it had to be turned for the detector."""
    if boxes.given:
        where, kind = boxes.marked(source, gray)
        return finder.faces(gray, [1], finder.begin(gray, where, kind), list(where)), 0
    height, width = gray.shape
    if min(height, width) < SMALLEST:
        raise InputError(
            f"{source}: {width} x {height} pixels are too few to find a face in; enlarge it, or mark it with --box x0,y0,x1,y1"
        )
    seen, shown = [], 0
    for turn in TURNS:
        turned = np.ascontiguousarray(np.rot90(gray, turn))
        where, kind = boxes.detect(turned)
        if not len(where):
            continue
        points = finder.begin(turned, where, kind)
        doubts, shown = finder.doubt(turned, points), shown + len(where)
        if (kept := doubts < NO_FACE).any():
            faces = finder.faces(turned, list(range(1, kept.sum() + 1)), points[kept], list(where[kept]))
            seen.append((doubts.min(), turn, [turn_back(face, turn, gray.shape) for face in faces]))
        if doubts.min() < SURE:
            break
    if not seen:
        why = f" (of the {shown} places that it took for one the model recognised none)" if shown else ""
        raise InputError(f"{source}: the detector found no face, however the photo was turned{why}; mark it with --box x0,y0,x1,y1")
    _, turn, faces = min(seen)
    return faces, turn


def turn_back(face: Face, turn: int, shape: tuple[int, ...]) -> Face:
    """A face of the turned photo as it lies in the photo of `shape` (H, W)."""
    landmarks = None if face.landmarks is None else points_back(face.landmarks, turn, shape)
    parts = None if face.parts is None else tight_box(points_back(face.parts.reshape(4, 2, 2), turn, shape))
    box = None if face.box is None else tight_box(points_back(face.box.reshape(2, 2), turn, shape))
    return Face(face.number, box, landmarks, parts)


def points_back(points: np.ndarray, turn: int, shape: tuple[int, ...]) -> np.ndarray:
    """Points (..., 2) of np.rot90(photo, turn) in the pixels of the photo of `shape` (H, W)."""
    height, width = shape
    x, y = np.moveaxis(points, -1, 0)
    back = ((x, y), (width - 1 - y, x), (width - 1 - x, height - 1 - y), (y, height - 1 - x))[turn]
    return np.stack(back, axis=-1)
