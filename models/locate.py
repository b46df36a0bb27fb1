"""From photos and rough places of their faces to what a network says of them, in the photos' own pixels."""

from math import prod

import numpy as np

from models.faces.augment import normalise_gray
from models.faces.geometry import apply, frame, warp
from models.faces.landmarks import MIRROR, face_size
from models.tasks import predict
from nn import InputError, Layer

FAR, NARROW = 1e6, 1e-6  # px in the photo: no answer lies farther off, and no face is smaller
MIRRORED_BOXES = (1, 0, 2, 3)  # the left eye's box is the right one's in the mirror


def locate(model: Layer, gray: np.ndarray, matrices: np.ndarray, size: int, passes: int = 1, mirrored: bool = False) -> np.ndarray:
    """Landmarks (K, 68, 2), or box corners (K, 8, 2), float64, in pixels of the photo.

    gray: uint8, one photo (H, W) for all faces, or (K, H, W), one for each. matrices (K, 3, 3): from the photo to the network's frame.
    passes: with 2 or more, landmarks are found again in the frame that the first ones make, centred and scaled as the training faces
    were. mirrored: the mean of the answer and of the answer in the mirror.
    """
    photos = np.broadcast_to(gray, (len(matrices), *gray.shape[-2:]))
    return refine(model, photos, look(model, photos, matrices, size, mirrored), size, passes - 1, mirrored)


def refine(model: Layer, photos: np.ndarray, points: np.ndarray, size: int, times: int, mirrored: bool = False) -> np.ndarray:
    """Landmarks (K, 68, 2) found again so many times, in the frame that the last ones make. Boxes stay: they place no frame."""
    for _ in range(times if points.shape[1] == len(MIRROR) else 0):
        points = look(model, photos, frame(points, size), size, mirrored)
    return points


def look(model: Layer, photos: np.ndarray, matrices: np.ndarray, size: int, mirrored: bool = False) -> np.ndarray:
    """Cut each face out of its photo, ask the network, and bring the answer back: (K, H, W), (K, 3, 3) -> (K, L, 2).

    Raises InputError where the answer is not finite, or has no size: no frame can be made of it.
    """
    points = apply(np.linalg.inv(matrices), answers(model, cut(photos, matrices, size), mirrored).astype(np.float64))
    if not ((np.abs(points) < FAR).all() and (face_size(points) > NARROW).all()):
        raise InputError("the model's answer is no face: its weights are damaged, or not trained; train anew, or give another run")
    return points


def cut(photos: np.ndarray, matrices: np.ndarray, size: int) -> np.ndarray:
    """What the network sees: uint8 (K, H, W), (K, 3, 3) -> float32 (K, size, size, 1)."""
    frames = np.empty((len(matrices), size, size, 1), np.uint8)
    for n, (photo, matrix) in enumerate(zip(photos, matrices, strict=True)):
        frames[n, :, :, 0] = warp(photo, matrix, size)
    return normalise_gray(frames)


def answers(model: Layer, images: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """Landmarks (N, 68, 2) or box corners (N, 8, 2) in pixels of the frames (N, size, size, 1)."""
    points = predict(model, images)
    points = points.reshape(len(points), prod(points.shape[1:]) // 2, 2)
    if not mirrored:
        return points
    return (points + reflect(predict(model, images[:, :, ::-1]).reshape(points.shape), images.shape[2])) / 2


def reflect(points: np.ndarray, size: int) -> np.ndarray:
    """Landmarks (N, 68, 2) or box corners (N, 8, 2) as the mirror shows them, left and right named anew: x -> size - 1 - x."""
    turned = np.stack([size - 1 - points[..., 0], points[..., 1]], axis=-1)
    if points.shape[1] == len(MIRROR):
        return turned[:, MIRROR]
    corners = turned.reshape(-1, 4, 2, 2)[:, MIRRORED_BOXES]  # (N, box, corner, x or y); what was x0 is x1 now
    corners[..., 0] = corners[:, :, ::-1, 0].copy()
    return corners.reshape(points.shape)
