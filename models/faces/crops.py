"""Faces as square gray crops with room around them, and how a set of them is split in two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.faces.geometry import apply, scaling, translation, warp
from models.faces.landmarks import face_size
from nn.errors import InputError

CROP = 256
MARGIN = 3.0


@dataclass
class Faces:
    """N faces: gray crops, landmarks in crop pixels, and where each one comes from."""

    images: np.ndarray  # uint8 (N, 256, 256)
    landmarks: np.ndarray  # float64 (N, 68, 2)
    names: list[str]
    subsets: list[str]  # train, common, challenging, private, other, drawn
    photos: list[str]  # faces cut from one photo share its name
    folds: list[str]  # train, val, or empty where unknown
    skipped: int = 0  # files left out while reading

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: np.ndarray | slice) -> Faces:
        """Some of the faces: an array of indices, a mask or a slice."""
        kept = np.arange(len(self))[index]

        def pick(column: list[str]) -> list[str]:
            return [column[k] for k in kept]

        return Faces(self.images[kept], self.landmarks[kept], pick(self.names), pick(self.subsets), pick(self.photos), pick(self.folds))


def crop_face(gray: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts out a face with a wide margin: uint8 (H, W), (68, 2) -> uint8 (256, 256), landmarks (68, 2) in crop pixels.

    The square is centred on the mean landmark, its side is 3.0 times the longer side of the tight box; outside the photo it is
    black. A crop that was made by this rule passes through unchanged.
    """
    scale = CROP / (MARGIN * face_size(points))
    x, y = points.mean(0)
    centre = (CROP - 1) / 2
    matrix = translation(centre, centre) @ scaling(scale, scale) @ translation(-x, -y)
    corners = np.array([[0.0, 0.0], [CROP - 1.0, CROP - 1.0]])
    if gray.shape == (CROP, CROP) and np.abs(apply(matrix, corners) - corners).max() < 0.01:  # px: .pts files keep three decimals
        return gray, points
    return warp(gray, matrix, CROP), apply(matrix, points)


def split(faces: Faces, fraction: float = 0.1, seed: int = 0) -> tuple[Faces, Faces]:
    """Splits into (train, val): by the folds that came with the data where every face has one, else by photo, never by face.

    Without folds, photos are drawn until they hold `fraction` of the faces, at least one photo and never all.
    Raises InputError when there is only one photo.
    """
    if set(faces.folds) == {"train", "val"}:
        val = np.array(faces.folds) == "val"
        return faces[~val], faces[val]
    photos, photo_of, counts = np.unique(faces.photos, return_inverse=True, return_counts=True)
    if len(photos) < 2:
        raise InputError(f"expected faces from at least 2 photos to split off a validation set, found {len(photos)}; add photos")
    order = np.random.default_rng(seed).permutation(len(photos))
    chosen = np.searchsorted(np.cumsum(counts[order]), fraction * len(faces)) + 1
    val = np.isin(photo_of, order[: min(chosen, len(photos) - 1)])
    return faces[~val], faces[val]
