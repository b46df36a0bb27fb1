"""Faces followed through a video: the next frame is cut where this frame's landmarks are, and the detector looks only now and then."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.faces.boxes import iou
from models.faces.landmarks import tight_box
from models.predicting.finder import NO_FACE, UNSURE, Face, Finder, gone

CHECK = 15  # frames from one test for lost faces to the next
SAME = 0.3  # intersection over union from which on two faces are one

Detect = Callable[[np.ndarray], tuple[np.ndarray, str]]  # a gray picture -> boxes (K, 4) and their kind


@dataclass
class Tracker:
    """Call it with one gray frame after the other. The detector looks at the first frame, at every `redetect`-th, where a face seems lost,
    and as long as there is none."""

    finder: Finder
    detect: Detect
    redetect: int = 30

    def __post_init__(self) -> None:
        self.tracks: dict[int, np.ndarray] = {}  # a face's number, counted from 1: its answer (L, 2) in the last frame
        self.frames = 0  # seen
        self.faces = 0  # begun
        self.detections = 0  # how often the detector looked

    def __call__(self, gray: np.ndarray) -> list[Face]:
        """The faces of the next frame, uint8 (H, W)."""
        unsure = self.follow(gray) if self.tracks else {}
        boxes: dict[int, np.ndarray] = {}
        if unsure or not self.tracks or self.frames % self.redetect == 0:
            boxes = self.look_for_more(gray, unsure)
        self.frames += 1
        if not self.tracks:
            return []
        return self.finder.faces(gray, list(self.tracks), np.stack(list(self.tracks.values())), [boxes.get(n) for n in self.tracks])

    def follow(self, gray: np.ndarray) -> dict[int, np.ndarray]:
        """Each face a frame further, and of two that have run together only the elder; the unsure ones are taken out, and handed back."""
        points = self.finder.follow(gray, np.stack(list(self.tracks.values())))
        left = self.finder.doubt(gray, points) >= UNSURE if self.frames % CHECK == 0 else gone(gray, points)
        followed, self.tracks, unsure = list(self.tracks), {}, {}
        for number, face, is_left in zip(followed, points, left, strict=True):
            if is_left:
                unsure[number] = face
            elif same(face, self.tracks) is None:
                self.tracks[number] = face
        return unsure

    def look_for_more(self, gray: np.ndarray, unsure: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Let the detector look; a face that it finds and the network knows as one goes on, as one of the unsure or as a new one.

        The boxes (4,) of these by their numbers.
        """
        self.detections += 1
        boxes, kind = self.detect(gray)
        boxes = boxes[[same(box.reshape(2, 2), self.tracks) is None for box in boxes]]
        if not len(boxes):
            return {}
        points = self.finder.begin(gray, boxes, kind)
        found = {}
        for box, face, doubt in zip(boxes, points, self.finder.doubt(gray, points), strict=True):
            if doubt < NO_FACE and same(face, self.tracks) is None:
                number = same(face, unsure)
                if number is None:
                    number = self.faces = self.faces + 1
                self.tracks[number], found[number] = face, box
        return found


def same(face: np.ndarray, tracks: dict[int, np.ndarray]) -> int | None:
    """The number of the track that is on this face, (L, 2) or the corners of its box (2, 2), if any."""
    return next((number for number, points in tracks.items() if iou(tight_box(face), tight_box(points)) >= SAME), None)
