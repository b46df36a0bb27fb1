"""Crops: centred, with the margin, landmarks along; and splits that keep a photo on one side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.crops import CROP, Faces, crop_face, split
from models.faces.landmarks import face_size
from nn.errors import InputError


@given(st.floats(0.1, 4), st.floats(-50, 700), st.floats(-50, 500))
def test_the_face_lies_in_the_middle_over_a_third_of_the_crop(face_at, scale, x, y):
    crop, points = crop_face(np.zeros((480, 640), np.uint8), face_at(x, y, scale))
    assert crop.shape == (CROP, CROP) and crop.dtype == np.uint8
    np.testing.assert_allclose(points.mean(0), 127.5, atol=1e-9)
    assert face_size(points) == pytest.approx(256 / 3)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.1])
def test_the_picture_moves_with_the_landmarks(face_at, dots, dot_at, scale):
    points = face_at(1000.3, 800.6, scale)
    seen = [0, 16, 8, 27]
    crop, moved = crop_face(dots((1500, 2000), points[seen], sigma=5 * scale), points)
    for target in moved[seen]:
        assert np.abs(dot_at(crop, target, radius=9) - target).max() < 0.1


def test_outside_the_photo_is_black(face_at):
    crop, _ = crop_face(np.full((200, 200), 255, np.uint8), face_at(0, 100))  # the left half of the face lies outside
    assert not crop[:, :126].any()
    assert crop[100:120, 130:].max() == 255


def test_a_crop_passes_through_unchanged(face_at, rng):
    photo = rng.integers(0, 256, (400, 500), np.uint8)
    crop, points = crop_face(photo, face_at(250, 180))
    again, same = crop_face(crop, np.round(points, 3))  # as a .pts file keeps them
    np.testing.assert_array_equal(again, crop)
    np.testing.assert_array_equal(same, np.round(points, 3))
    shifted, _ = crop_face(crop, points + np.array([0.5, 0]))  # half a pixel off is another crop
    assert np.abs(shifted.astype(int) - crop).max() > 20


def test_the_shipped_crops_pass_through_unchanged(real_faces):
    for n in range(0, len(real_faces), 97):
        crop, points = crop_face(real_faces.images[n], real_faces.landmarks[n])
        assert crop is real_faces.images[n] or np.array_equal(crop, real_faces.images[n])
        np.testing.assert_array_equal(points, real_faces.landmarks[n])


def tiny(photos: list[str], folds: list[str]) -> Faces:
    n = len(photos)
    images = np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    landmarks = np.arange(n)[:, None, None] * np.ones((1, 68, 2))
    return Faces(
        images,
        landmarks,
        [f"face{k}" for k in range(n)],
        ["other"] * n,
        photos,
        folds,
        np.arange(n)[:, None] * np.ones((1, 4)),
        ["a.jpg: no image"],
    )


@pytest.mark.parametrize("index", [np.array([4, 0, 2]), np.array([True, False, False, True, True]), slice(1, 3), np.array([], int)])
def test_indexing_takes_every_column_along(index):
    faces = tiny(list("abcde"), ["train"] * 5)
    part = faces[index]
    expected = np.arange(5)[index]
    assert len(part) == len(expected) and part.names == [f"face{k}" for k in expected]
    assert part.photos == [list("abcde")[k] for k in expected] and len(part.folds) == len(part.subsets) == len(expected)
    np.testing.assert_array_equal(part.images[:, 0, 0], expected)
    np.testing.assert_array_equal(part.landmarks[:, 0, 0], expected)
    np.testing.assert_array_equal(part.boxes[:, 3], expected)


def test_without_a_detector_there_are_no_boxes():
    faces = Faces(np.zeros((2, 256, 256), np.uint8), np.zeros((2, 68, 2)), ["a", "b"], ["drawn"] * 2, ["a", "b"], ["", ""])
    assert faces.boxes.shape == (2, 4) and np.isnan(faces.boxes).all() and faces.boxes.dtype == np.float64 and faces.skipped == []


def test_given_folds_are_kept():
    train, val = split(tiny(list("aabbc"), ["train", "train", "val", "val", "train"]))
    assert train.names == ["face0", "face1", "face4"] and val.names == ["face2", "face3"]


def test_the_shipped_folds_share_no_photo(real_faces):
    train, val = split(real_faces)
    assert (len(train), len(val)) == (1719, 192)
    assert not set(train.photos) & set(val.photos)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_no_photo_lies_on_both_sides(photos, fraction, seed):
    faces = tiny(photos, [""] * len(photos))
    if len(set(photos)) == 1:
        with pytest.raises(InputError, match="at least 2 photos to split off a validation set, found 1"):
            split(faces, fraction, seed)
        return
    train, val = split(faces, fraction, seed)
    assert not set(train.photos) & set(val.photos)
    assert sorted(train.names + val.names) == sorted(faces.names) and len(train) and len(val)
    again, _ = split(faces, fraction, seed)
    assert again.names == train.names


def test_the_share_and_the_seed_count():
    faces = tiny([str(k // 2) for k in range(200)], ["train"] * 199 + [""])  # one fold is unknown: no fold counts
    vals = [split(faces, 0.1, seed)[1] for seed in range(3)]
    assert [len(val) for val in vals] == [20, 20, 20]
    assert vals[0].names != vals[1].names != vals[2].names
    assert len(split(faces, 0.25)[1]) == 50
