"""What models are tested on: the subsets of 300-W, cropped by the true landmarks or by a detector's box; and how well they answer."""

from dataclasses import dataclass

import numpy as np

from models.faces import metrics
from models.faces.boxes import iou, part_boxes
from models.faces.crops import Faces
from models.faces.detect import box_frame, haar
from models.faces.geometry import apply, frame
from models.faces.landmarks import tight_box
from models.locate import answers, cut, refine
from nn import Layer

CROPS = ("oracle", "detector")


def subsets(faces: Faces, trained_on: set[str]) -> dict[str, Faces]:
    """Faces to test on, by subset. Of the training folders only photos never trained on: they are "val".

    Faces whose fold (boxes.csv) is "train" stay out for every run, so that all runs are measured on the same ones.
    """
    unseen = np.array([fold != "train" and photo not in trained_on for fold, photo in zip(faces.folds, faces.photos, strict=True)])
    subset = np.array(faces.subsets)
    masks = {
        "val": unseen & (subset == "train"),
        "common": subset == "common",
        "challenging": subset == "challenging",
        "full": np.isin(subset, ("common", "challenging")) & (subset == "common").any() & (subset == "challenging").any(),
        "private": subset == "private",
        "other": unseen & (subset == "other"),
    }
    return {name: faces[mask] for name, mask in masks.items() if mask.any()}


@dataclass
class Frames:
    """N faces as a network sees them."""

    images: np.ndarray  # float32 (N, size, size, 1)
    photos: np.ndarray  # uint8 (N, 256, 256), the crops that the frames were cut from
    matrices: np.ndarray  # (N, 3, 3) from the 256-px crop to the frame
    found: np.ndarray  # bool (N,): False where the detector found no face, and the frame shows the crop's corner
    by: str  # what the frame was placed by: "landmarks", "300w" (the official detector's boxes) or "haar"


def frames(faces: Faces, crops: str, size: int) -> Frames:
    """Faces cut out for the network: "oracle" by their true landmarks, the paper's protocol, or "detector" by a box found without them."""
    if crops not in CROPS:
        raise ValueError(f"crops {crops!r} are unknown: choose one of {', '.join(CROPS)}")
    found, by = np.ones(len(faces), bool), "landmarks"
    if crops == "oracle":
        matrices = frame(faces.landmarks, size)
    else:
        boxes, by = detected(faces)
        found = np.isfinite(boxes).all(1)
        matrices = np.tile(np.eye(3), (len(faces), 1, 1))
        matrices[found] = box_frame(boxes[found], size, by)
    return Frames(cut(faces.images, matrices, size), faces.images, matrices, found, by)


def detected(faces: Faces) -> tuple[np.ndarray, str]:
    """Boxes (N, 4) in crop pixels, nan where no face was found, and whose they are: one detector for all.

    The official boxes where the data came with them; else OpenCV's Haar cascade looks at the crop, and of what it finds the box counts that
    covers the face best (IoU with the landmarks' tight box, 0.3 at least).
    """
    if np.isfinite(faces.boxes).any():
        return faces.boxes, "300w"
    boxes = np.full((len(faces), 4), np.nan)
    for n, (image, true) in enumerate(zip(faces.images, tight_box(faces.landmarks), strict=True)):
        candidates = haar(image)
        overlap = iou(candidates, true)
        if len(overlap) and overlap.max() >= 0.3:
            boxes[n] = candidates[overlap.argmax()]
    return boxes, "haar"


def answer(model: Layer, seen: Frames, oracle: np.ndarray, passes: int = 1, mirrored: bool = False) -> np.ndarray:
    """The model's landmarks or box corners, brought to the oracle's frame: (N, K, 2) in pixels, nan where no face was found.

    oracle: the matrices of the oracle's frames; one measure for all crops, and the 2 px of CFPD's boxes mean the same everywhere.
    passes, mirrored: as in models/locate.py.
    """
    points = apply(np.linalg.inv(seen.matrices), answers(model, seen.images, mirrored).astype(np.float64))  # in pixels of the photos
    points = apply(oracle, refine(model, seen.photos, points, seen.images.shape[1], passes - 1, mirrored))
    points[~seen.found] = np.nan
    return points


def score(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """The numbers of a row: predicted landmarks (N, 68, 2) or box corners (N, 8, 2) against true landmarks (N, 68, 2).

    A face that the detector missed (nan) is a failure, and has no part in the means; means over no face are nan.
    """
    found = ~missed(predicted)
    few = predicted[found] if found.any() else np.full_like(predicted[:1], np.nan), true[found] if found.any() else true[:1]
    if predicted.shape[1] == 8:
        boxes, truth = few[0].reshape(-1, 4, 4), part_boxes(few[1])
        return {"n": len(true), "box_mse_px2": metrics.box_mse(boxes, truth), "box_iou": float(iou(boxes, truth).mean())}
    errors = metrics.errors(predicted, true)
    return metrics.summary(*few) | {
        "n": len(true),
        "auc_008_percent": 100 * metrics.auc(errors),
        "failure_percent": 100 * metrics.failure_rate(errors),
    }


def missed(predicted: np.ndarray) -> np.ndarray:
    """Which faces the detector did not find: (N, K, 2) -> bool (N,)."""
    return np.isnan(predicted).any((1, 2))
