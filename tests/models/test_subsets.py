"""What models are tested on, by which crops, and how their answers are scored."""

import numpy as np
import pytest

from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.crops import Faces
from models.faces.geometry import apply, frame
from models.faces.landmarks import tight_box
from models.faces.synthetic import drawn_faces
from models.subsets import answer, detected, frames, missed, score, subsets
from nn import Layer

SIZE = 112


@pytest.fixture(scope="module")
def faces():
    return drawn_faces(5, seed=11)


def boxed(faces: Faces, shift: float = 0.0, grow: float = 1.0) -> Faces:
    """The same faces with boxes like those of 300-W: about the landmarks, moved and grown by shares of their side."""
    tight = tight_box(faces.landmarks)
    centre, half = (tight[:, :2] + tight[:, 2:]) / 2, (tight[:, 2:] - tight[:, :2]).max(1, keepdims=True) / 2
    centre = centre + 2 * shift * half
    boxes = np.concatenate([centre - grow * half, centre + grow * half], axis=1)
    return Faces(faces.images, faces.landmarks, faces.names, faces.subsets, faces.photos, faces.folds, boxes)


class Oracle(Layer):
    """Answers with what it is told, in pixels of the frame that it sees."""

    def __init__(self, points: np.ndarray):
        self.points = points

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.points[: len(x)].astype(np.float32)


def test_oracle_crops_are_the_original_views(faces):
    seen = frames(faces, "oracle", SIZE)
    images, points = view(faces, np.arange(len(faces)), "original", None, size=SIZE)
    np.testing.assert_array_equal(seen.images, images)
    np.testing.assert_allclose(apply(seen.matrices, faces.landmarks), points, atol=1e-4)
    assert seen.found.all() and seen.by == "landmarks"


def test_answers_to_detector_crops_come_back_to_the_oracles_frame(faces):
    """A model that is right in the detector's frame is right in the oracle's, however the box lies."""
    given = boxed(faces, shift=0.1, grow=1.3)
    seen, oracle = frames(given, "detector", SIZE), frames(given, "oracle", SIZE)
    assert seen.by == "300w" and np.abs(seen.images - oracle.images).mean() > 0.05
    told = apply(seen.matrices, faces.landmarks)
    assert np.abs(told - apply(oracle.matrices, faces.landmarks)).max() > 5
    found = answer(Oracle(told), seen, oracle.matrices)
    np.testing.assert_allclose(found, apply(oracle.matrices, faces.landmarks), atol=1e-4)


def test_a_face_without_a_box_is_missed_not_dropped(faces):
    given = boxed(faces)
    given.boxes[1] = np.nan
    seen, oracle = frames(given, "detector", SIZE), frames(given, "oracle", SIZE)
    true = apply(oracle.matrices, faces.landmarks)
    found = answer(Oracle(apply(seen.matrices, faces.landmarks) + 1), seen, oracle.matrices)
    assert missed(found).tolist() == [False, True, False, False, False]
    row = score(found, true)
    assert row["n"] == 5 and np.isfinite(list(row.values())).all()
    others = np.array([0, 2, 3, 4])
    apart = np.linalg.norm(found[others] - true[others], axis=2).mean(1) / np.linalg.norm(true[others, 36] - true[others, 45], axis=1)
    assert row["nme_interocular_percent"] == pytest.approx(100 * apart.mean())
    assert row["failure_percent"] == pytest.approx(100 * ((apart >= 0.08).sum() + 1) / 5)
    assert row["auc_008_percent"] == pytest.approx(100 * np.maximum(0.08 - apart, 0).sum() / 5 / 0.08)


def test_boxes_are_scored_without_the_missed_ones(faces):
    true = apply(frame(faces.landmarks, SIZE), faces.landmarks)
    corners = part_boxes(true).reshape(5, 8, 2).copy()
    corners[3] = np.nan
    corners[0] += 2
    row = score(corners, true)
    assert row["n"] == 5 and row["box_mse_px2"] == pytest.approx(4 / 4) and 0 < row["box_iou"] < 1
    corners[:] = np.nan
    assert np.isnan(score(corners, true)["box_mse_px2"])


def test_all_missed_is_all_failed(faces):
    true = apply(frame(faces.landmarks, SIZE), faces.landmarks)
    row = score(np.full_like(true, np.nan), true)
    assert np.isnan(row["nme_interocular_percent"]) and (row["failure_percent"], row["auc_008_percent"]) == (100, 0)


def test_one_detector_for_all(faces):
    """Where some faces came with a box the others are missed; where none did, the cascade looks at all of them."""
    given = boxed(faces)
    given.boxes[2:] = np.nan
    boxes, by = detected(given)
    assert by == "300w" and np.isfinite(boxes).all(1).tolist() == [True, True, False, False, False]
    many = drawn_faces(12, seed=2)
    boxes, by = detected(many)
    found = np.isfinite(boxes).all(1)
    assert by == "haar" and 3 <= found.sum()
    middle, half = (boxes[found, :2] + boxes[found, 2:]) / 2, (boxes[found, 2:] - boxes[found, :2]).max(1) / 2
    assert (np.abs(middle - many.landmarks[found].mean(1)).max(1) < 0.5 * half).all()  # of all it finds in a crop, the face in the middle


def test_unknown_crops(faces):
    with pytest.raises(ValueError, match="'square' are unknown: choose one of oracle, detector"):
        frames(faces, "square", SIZE)


def test_subsets_hold_what_was_never_trained_on():
    names = list("abcdefgh")
    where = ["train", "train", "train", "common", "challenging", "private", "other", "other"]
    folds = ["", "train", "val", "", "", "", "", ""]
    given = Faces(np.zeros((8, 256, 256), np.uint8), np.zeros((8, 68, 2)), names, where, names, folds)
    found = {name: faces.names for name, faces in subsets(given, {"a", "h", "d"}).items()}
    assert found == {"val": ["c"], "common": ["d"], "challenging": ["e"], "full": ["d", "e"], "private": ["f"], "other": ["g"]}
    assert "full" not in subsets(given[np.array([0, 1, 2, 4])], set())
