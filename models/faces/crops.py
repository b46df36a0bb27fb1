"""Faces as square gray crops with room around them, and how a set of them is split in two."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    boxes: np.ndarray = None  # type: ignore[assignment]  # float64 (N, 4): a detector's x0, y0, x1, y1 in crop pixels; nan where there is none
    skipped: list[str] = field(default_factory=list)  # files left out while reading: "path: reason"

    def __post_init__(self) -> None:
        if self.boxes is None:
            self.boxes = np.full((len(self), 4), np.nan)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: np.ndarray | slice) -> Faces:
        """Some of the faces: an array of indices, a mask or a slice."""
        kept = np.arange(len(self))[index]

        def pick(column: list[str]) -> list[str]:
            return [column[k] for k in kept]

        names, subsets, photos, folds = map(pick, (self.names, self.subsets, self.photos, self.folds))
        return Faces(self.images[kept], self.landmarks[kept], names, subsets, photos, folds, self.boxes[kept])


def crop_matrix(shape: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    """Matrix (3, 3) from the photo of `shape` (H, W) to the crop of the face with landmarks (68, 2).

    The square is centred on the mean landmark, its side is 3.0 times the longer side of the tight box. A crop that was made by this
    rule stays as it is: the matrix is the identity.
    """
    scale = CROP / (MARGIN * face_size(points))
    x, y = points.mean(0)
    centre = (CROP - 1) / 2
    matrix = translation(centre, centre) @ scaling(scale, scale) @ translation(-x, -y)
    corners = np.array([[0.0, 0.0], [CROP - 1.0, CROP - 1.0]])
    if shape == (CROP, CROP) and np.abs(apply(matrix, corners) - corners).max() < 0.01:  # px: .pts files keep three decimals
        return np.eye(3)
    return matrix


def crop_face(gray: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts out a face with a wide margin: uint8 (H, W), (68, 2) -> uint8 (256, 256), landmarks (68, 2) in crop pixels.

    By `crop_matrix`; outside the photo the crop is black.
    """
    matrix = crop_matrix(gray.shape, points)
    if np.array_equal(matrix, np.eye(3)):
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
