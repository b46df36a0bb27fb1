"""The three training sets of the paper: original, normalised (canonical pose) and augmented (section 2.1).

The authors stored every augmented copy on disk; here each epoch draws anew from the same mixture, with one warp from the crop.
"""

from dataclasses import dataclass

import numpy as np

from models.faces.crops import Faces
from models.faces.distort import Distortion, distort
from models.faces.geometry import apply, compose, frame, scaling, translation, warp
from models.faces.landmarks import MIRROR

KINDS = ("original", "normalised", "augmented")


@dataclass(frozen=True)
class Augmentation(Distortion):
    """How the augmented copies scatter; defaults are those of the authors' code, which distorts none of them."""

    angle: float = 15.0  # standard deviation, degrees
    scale: float = 0.1  # standard deviation about 1
    shift: float = 11.2  # standard deviation on each axis, px of the 112-px frame
    mirror: bool = True  # half of the copies
    copies: int = 15  # of each face, beside its original and its normalised self


def normalise_gray(gray: np.ndarray) -> np.ndarray:
    """Gray levels 0-255 -> (g / 255 - 0.485) / 0.229, float32, any shape (the authors' code)."""
    return (gray / np.float32(255) - np.float32(0.485)) / np.float32(0.229)


def view(
    faces: Faces, index: np.ndarray, kind: str, rng: np.random.Generator | None, augmentation: Augmentation | None = None, size: int = 112
) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of faces[index]: images float32 (n, size, size, 1), landmarks float32 (n, 68, 2) in frame pixels.

    kind "original": mean landmark at the centre, face over half the frame; "normalised": eyes level as well; "augmented": each face
    is with probability 1 / (copies + 2) its original, with the same its normalised self, else a random copy of the latter, distorted
    where that is asked for. Only "augmented" draws from `rng`. Raises ValueError on an unknown kind.
    """
    landmarks = faces.landmarks[index]  # (n, 68, 2)
    augmentation = augmentation or Augmentation()
    mirrored = copied = np.zeros(len(landmarks), bool)
    if kind == "augmented":
        if rng is None:
            raise ValueError("augmented views are drawn by chance: give a numpy.random.Generator")
        matrices, mirrored, copied = random_frames(landmarks, rng, augmentation, size)
    elif kind in KINDS:
        matrices = frame(landmarks, size, upright=kind == "normalised")
    else:
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(KINDS)}")

    images = np.empty((len(landmarks), size, size, 1), np.uint8)
    for n, (k, matrix) in enumerate(zip(np.arange(len(faces))[index], matrices, strict=True)):
        images[n, :, :, 0] = warp(faces.images[k], matrix, size)
    if rng and copied.any():
        images[copied] = distort(images[copied], rng, augmentation)
    points = apply(matrices, landmarks)
    points[mirrored] = points[mirrored][:, MIRROR]
    return normalise_gray(images), points.astype(np.float32)


def random_frames(
    landmarks: np.ndarray, rng: np.random.Generator, augmentation: Augmentation, size: int = 112
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices (n, 3, 3) from crop to frame drawn from the mixture for landmarks (n, 68, 2), which of them mirror (n,), and which are
    random copies (n,).

    A copy is scaled about the frame's centre, shifted and turned (equation 2) and, by a coin, mirrored: x -> size - 1 - x.
    """
    n, centre = len(landmarks), (size - 1) / 2
    which = rng.integers(augmentation.copies + 2, size=n)  # 0 the original, 1 the normalised, else a copy
    angle = np.radians(augmentation.angle) * rng.standard_normal(n)
    scale = 1 + augmentation.scale * rng.standard_normal(n)
    tx, ty = augmentation.shift * size / 112 * rng.standard_normal((2, n))
    mirrored = (rng.random(n) < 0.5) & (which > 1) & augmentation.mirror

    scatter = translation(centre, centre) @ compose(angle, scale, scale, tx, ty) @ translation(-centre, -centre)
    scatter[which < 2] = np.eye(3)
    scatter[mirrored] = mirror(size) @ scatter[mirrored]
    matrices = scatter @ frame(landmarks, size, upright=True)
    matrices[which == 0] = frame(landmarks[which == 0], size)
    return matrices, mirrored, which > 1


def mirror(size: int) -> np.ndarray:
    """Left becomes right in a frame of `size` pixels: x -> size - 1 - x, (3, 3)."""
    return translation(size - 1, 0) @ scaling(-1, 1)
