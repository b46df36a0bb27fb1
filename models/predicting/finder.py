"""From boxes, or from the answers of the frame before, to landmarks and part boxes; and how to see that an answer is of no face.

A network that is shown no face answers with something near its mean face, wherever it looks. So it is asked again, in two frames
that are shifted a little (NUDGES): on a face all answers lie on the same spots of the photo, elsewhere they go along with their
frames. How far they lie from one another, as a share of the face's size, is the doubt; answers that go along altogether have 0.15.
Measured with the shipped weights on 192 validation faces of 300-W, found from frames 4 px, 5 % and 5° off, and on 206 squares of the
twelve photos away from the annotated face (some hold another one):

                               faces: 50 %, 97 %, 99 % below    squares: 1 %, 5 %, 50 % below
    COREFAN, small, 300-W             0.016  0.023  0.025                0.068  0.098  0.153
    COREFAN, small, drawn faces       0.076  0.119  0.129                0.122  0.131  0.149
    CFPD, small, 300-W                0.066  0.114  0.128                0.114  0.126  0.150
"""

import time
from dataclasses import dataclass

import numpy as np

from models.faces.boxes import part_boxes
from models.faces.detect import box_frame
from models.faces.geometry import frame, scaling, translation
from models.faces.landmarks import COUNT, tight_box
from models.locate import locate
from models.runs import Run
from nn import InputError

NUDGES = np.array([[6, 6], [6, -6]]) / 112  # of the frame's side
NO_FACE = 0.1  # doubt from which on it is none
UNSURE = 0.075  # doubt from which on a detector should say so too
SMALLEST = 12  # px, the longer side of a face


@dataclass
class Face:
    """What is known of one face, in pixels of its picture; None is what was not asked for."""

    number: int  # from 1; in a video it stays with the face
    box: np.ndarray | None = None  # (4,) where the detector, or the user, saw it
    landmarks: np.ndarray | None = None  # (68, 2)
    parts: np.ndarray | None = None  # (4, 4), CFPD's boxes


class Finder:
    """One or two trained models: COREFAN's landmarks, CFPD's part boxes, or both; COREFAN then leads."""

    def __init__(self, runs: list[Run]):
        if wrong := [run for run in runs if run.settings.model == "sine"]:
            raise InputError(f"{wrong[0].folder}: a sine finds no faces; give a run of corefan or cfpd")
        by_model = {run.settings.model: run for run in runs}
        self.second = by_model.get("cfpd") if len(by_model) > 1 else None
        self.run = by_model.get("corefan") or by_model["cfpd"]
        self.size = self.run.settings.net.size
        self.follows, self.seconds = 0, 0.0  # frames followed, and the time that took

    def begin(self, gray: np.ndarray, boxes: np.ndarray, kind: str) -> np.ndarray:
        """Answers for boxes (K, 4), with care: points (K, L, 2), 68 landmarks or the 8 corners of CFPD's boxes."""
        return self.look(gray, box_frame(boxes, self.size, kind), passes=2, mirrored=True)

    def follow(self, gray: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Answers near those of the frame before, (K, L, 2) -> (K, L, 2): the faces are cut out, and the network passes once over them."""
        start = time.perf_counter()
        points = self.look(gray, self.frames(points))
        self.follows, self.seconds = self.follows + 1, self.seconds + time.perf_counter() - start
        return points

    def look(self, gray: np.ndarray, matrices: np.ndarray, passes: int = 1, mirrored: bool = False) -> np.ndarray:
        """Answers in frames given by matrices (K, 3, 3) from the photo (`models.locate`)."""
        return locate(self.run.model, gray, matrices, self.size, passes, mirrored)

    def frames(self, points: np.ndarray) -> np.ndarray:
        """Frames (K, 3, 3) made by answers (K, L, 2): landmarks as in training; box corners so that they lie on the mean ones."""
        if points.shape[1] == COUNT:
            return frame(points, self.size)
        mean = self.run.mean.reshape(-1, 2).astype(np.float64)
        scale = spread(mean) / np.maximum(spread(points), 1e-6)
        x, y = np.moveaxis(points.mean(-2), -1, 0)
        return translation(*mean.mean(0)) @ scaling(scale, scale) @ translation(-x, -y)

    def doubt(self, gray: np.ndarray, points: np.ndarray) -> np.ndarray:
        """How little answers (K, L, 2) look like those of faces: (K,), infinite where they cannot be (`gone`)."""
        matrices = self.frames(points)
        side = self.size / 2 / np.sqrt(np.linalg.det(matrices[:, :2, :2]))  # of the face, in the photo
        nudges = translation(self.size * NUDGES[:, 0], self.size * NUDGES[:, 1])  # (2, 3, 3)
        again = self.look(gray, (nudges[:, None] @ matrices).reshape(-1, 3, 3)).reshape(2, *points.shape)
        return np.where(gone(gray, points), np.inf, np.linalg.norm(again - points, axis=-1).mean((0, -1)) / side)

    def faces(self, gray: np.ndarray, numbers: list[int], points: np.ndarray, boxes: list[np.ndarray | None]) -> list[Face]:
        """Answers (K, L, 2) as faces, with CFPD's boxes where it is asked as well, in frames made by the landmarks."""
        if points.shape[1] != COUNT:
            return [Face(n, box, parts=face.reshape(4, 4)) for n, box, face in zip(numbers, boxes, points, strict=True)]
        found = [Face(n, box, landmarks=face) for n, box, face in zip(numbers, boxes, points, strict=True)]
        if self.second and found:
            size = self.second.settings.net.size
            corners = locate(self.second.model, gray, frame(points, size), size)
            for face, box in zip(found, corners.reshape(-1, 4, 4), strict=True):
                face.parts = box
        return found


def gone(gray: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which answers (K, L, 2) are too small, or lie half outside of the picture: (K,) bool."""
    height, width = gray.shape
    inside = ((points >= 0) & (points < [width, height])).all(-1).mean(-1)
    return (inside < 0.5) | (np.ptp(points, axis=-2).max(-1) < SMALLEST)


def spread(points: np.ndarray) -> np.ndarray:
    """Root of the summed squared distances from the mean point, (..., L, 2) -> (...)."""
    return np.linalg.norm(points - points.mean(-2, keepdims=True), axis=(-2, -1))


def outlines(face: Face) -> np.ndarray:
    """The boxes of a face's parts (4, 4): CFPD's, or else those that its landmarks fill."""
    if face.parts is not None:
        return face.parts
    if face.landmarks is None:
        raise ValueError(f"face {face.number} has neither landmarks nor boxes")
    return part_boxes(face.landmarks)


def whole_box(face: Face) -> np.ndarray:
    """The tight box (4,) of a face's landmarks, or of its parts."""
    return tight_box(outlines(face).reshape(-1, 2) if face.landmarks is None else face.landmarks)
