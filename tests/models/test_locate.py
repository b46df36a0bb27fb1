"""From a photo to landmarks in its own pixels: cut out, asked, brought back; in passes, and in the mirror."""

import numpy as np
import pytest

from models.faces.boxes import part_boxes
from models.faces.crops import Faces
from models.faces.geometry import apply, frame, rotation, scaling, translation
from models.faces.landmarks import MIRROR
from models.faces.synthetic import drawn_faces
from models.locate import answers, cut, locate, reflect
from nn import Layer

SIZE = 112


@pytest.fixture(scope="module")
def faces() -> Faces:
    return drawn_faces(4, seed=21)


class Blind(Layer):
    """Answers what it was told, whatever it sees; each call takes the next answer."""

    def __init__(self, *told: np.ndarray):
        self.told, self.seen = list(told), []

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.seen.append(np.array(x))
        return self.told.pop(0).astype(np.float32)


def off(faces: Faces) -> np.ndarray:
    """Frames that lie beside the right ones, are too large, and turned."""
    return translation(6, -4) @ scaling(0.9, 0.9) @ rotation(0.1) @ frame(faces.landmarks, SIZE)


def test_what_is_right_in_the_frame_is_right_in_the_photo(faces):
    matrices = off(faces)
    model = Blind(apply(matrices, faces.landmarks))
    np.testing.assert_allclose(locate(model, faces.images, matrices, SIZE), faces.landmarks, atol=1e-4)
    np.testing.assert_array_equal(model.seen[0], cut(faces.images, matrices, SIZE))


def test_all_faces_of_one_photo(faces):
    matrices = np.stack([frame(faces.landmarks[0], SIZE), translation(-20, 7)])
    told = np.stack([apply(matrix, faces.landmarks[0]) for matrix in matrices])
    found = locate(Blind(told), faces.images[0], matrices, SIZE)
    np.testing.assert_allclose(found, np.stack([faces.landmarks[0]] * 2), atol=1e-4)
    assert locate(Blind(np.zeros((0, 68, 2))), faces.images[0], matrices[:0], SIZE).shape == (0, 68, 2)


def test_a_second_pass_looks_where_the_first_one_pointed(faces):
    """The first answer is shifted by 3 px of the photo; the second frame is the one that those landmarks make."""
    matrices, wrong = off(faces), faces.landmarks + 3
    second = frame(wrong, SIZE)
    model = Blind(apply(matrices, wrong), apply(second, faces.landmarks))
    np.testing.assert_allclose(locate(model, faces.images, matrices, SIZE, passes=2), faces.landmarks, atol=1e-4)
    np.testing.assert_allclose(model.seen[1], cut(faces.images, second, SIZE), atol=0.02)


def test_boxes_take_one_pass(faces):
    corners = part_boxes(apply(frame(faces.landmarks, SIZE), faces.landmarks)).reshape(-1, 8, 2)
    model = Blind(corners)
    locate(model, faces.images, frame(faces.landmarks, SIZE), SIZE, passes=3)
    assert len(model.seen) == 1


def test_reflected_landmarks_are_those_of_the_mirror_image(faces):
    points = apply(frame(faces.landmarks, SIZE), faces.landmarks)
    mirrored = reflect(points, SIZE)
    np.testing.assert_allclose(mirrored[:, MIRROR, 0], SIZE - 1 - points[..., 0])
    np.testing.assert_allclose(mirrored[:, MIRROR, 1], points[..., 1])
    np.testing.assert_allclose(reflect(mirrored, SIZE), points)


def test_reflected_boxes_are_the_boxes_of_reflected_landmarks(faces):
    points = apply(frame(faces.landmarks, SIZE), faces.landmarks)
    corners = part_boxes(points).reshape(-1, 8, 2)
    np.testing.assert_allclose(reflect(corners, SIZE), part_boxes(reflect(points, SIZE)).reshape(-1, 8, 2))


def test_mirrored_is_the_mean_of_both_answers(faces):
    """Right in the picture, and off by (2, 1) in the mirror: off by half of it, to the other side across."""
    images = cut(faces.images, frame(faces.landmarks, SIZE), SIZE)
    points = apply(frame(faces.landmarks, SIZE), faces.landmarks)
    model = Blind(points, reflect(points, SIZE) + np.array([2, 1]))
    found = answers(model, images, mirrored=True)
    np.testing.assert_allclose(found, points + np.array([-1, 0.5]), atol=1e-4)
    np.testing.assert_array_equal(model.seen[1], images[:, :, ::-1])
