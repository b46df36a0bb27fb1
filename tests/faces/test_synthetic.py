"""Drawn faces: the landmarks are where the picture says, by the crop rule, and as varied as those of photographs."""

import cv2
import numpy as np
import pytest

from models.faces import synthetic
from models.faces.crops import CROP, crop_face
from models.faces.head import MEAN, Camera, Face, Head, landmarks, random_face
from models.faces.landmarks import LEFT_EYE, MIRROR, RIGHT_EYE
from models.faces.light import Light
from models.faces.paint import CORNER, HEIGHT, TEXELS, WIDTH, random_looks

COUNT = 150


@pytest.fixture(scope="module")
def faces():
    return synthetic.drawn_faces(COUNT, seed=3)


def test_a_face_depends_on_seed_and_number_alone(faces):
    few = synthetic.drawn_faces(3, seed=3)
    for k in range(3):
        image, points = synthetic.draw_face(np.random.default_rng([3, k]))
        np.testing.assert_array_equal(image, few.images[k])
        np.testing.assert_array_equal(image, faces.images[k])
        np.testing.assert_array_equal(points, few.landmarks[k])
    assert (few.images[0] != few.images[1]).mean() > 0.2
    assert (synthetic.drawn_faces(1, seed=4).images[0] != few.images[0]).mean() > 0.2


def test_no_faces():
    assert len(synthetic.drawn_faces(0, seed=0)) == 0


def test_fields_and_progress():
    seen = []
    faces = synthetic.drawn_faces(4, seed=0, progress=lambda done, count: seen.append((done, count)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert faces.images.shape == (4, CROP, CROP) and faces.images.dtype == np.uint8
    assert faces.landmarks.shape == (4, 68, 2) and faces.landmarks.dtype == np.float64
    assert faces.subsets == ["drawn"] * 4 and faces.folds == [""] * 4 and faces.skipped == []
    assert len(set(faces.names)) == len(set(faces.photos)) == 4


def test_landmarks_obey_the_crop_rule(faces):
    assert np.isfinite(faces.landmarks).all()
    assert faces.landmarks.min() > 0 and faces.landmarks.max() < CROP - 1
    np.testing.assert_allclose(faces.landmarks.mean(axis=1), (CROP - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(np.ptp(faces.landmarks, axis=1).max(axis=1), CROP / 3, atol=1e-6)
    image, points = crop_face(faces.images[0], faces.landmarks[0])  # so the crop rule leaves it as it is
    np.testing.assert_array_equal(image, faces.images[0])
    np.testing.assert_allclose(points, faces.landmarks[0], atol=1e-6)


def test_another_size_is_the_same_face():
    image, points = synthetic.draw_face(np.random.default_rng(5))
    small, moved = synthetic.draw_face(np.random.default_rng(5), size=128)
    np.testing.assert_allclose((moved + 0.5) * 2 - 0.5, points, atol=1e-9)
    averaged = image.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.abs(small - averaged).max() <= 1


def test_the_neutral_face_is_symmetric_and_the_mean(rng):
    face = random_face(rng, amount=0)
    np.testing.assert_allclose(face.points, MEAN, atol=3)  # brows and lids aside, nothing moves
    head = Head(face, rng, amount=0)
    points = landmarks(head, Camera())
    np.testing.assert_allclose(points[MIRROR] * (-1, 1, 1), points, atol=1e-4)
    np.testing.assert_allclose(points[17:, :2], face.points[17:], atol=1e-9)  # lifted straight up
    np.testing.assert_allclose(points[:17, :2], face.points[:17], atol=3)  # the outline is smoothed
    assert points[30, 2] == points[:, 2].max() and points[[0, 16], 2].max() < points[17:, 2].min()  # nose in front, ears behind


def test_closed_eyes_have_lids_that_meet():
    rng = np.random.default_rng(0)
    for _ in range(400):
        face = random_face(rng)
        if face.closed == 1:
            break
    for eye in (LEFT_EYE, RIGHT_EYE):
        np.testing.assert_allclose(face.points[eye[[1, 2]]], face.points[eye[[5, 4]]], atol=1e-9)
    gap = [np.linalg.norm(MEAN[eye[1]] - MEAN[eye[5]]) for eye in (LEFT_EYE, RIGHT_EYE)]
    assert min(gap) > 5


POSES = [(0, 0, 0), (0.45, 0.1, 0.2), (-0.45, -0.15, -0.1), (0.7, 0.0, 0.0)]


def place(monkeypatch, painting, pose, seed=2):
    """Place a painting on a bald head without light: the canvas, the 68 points on it, head and camera."""
    rng = np.random.default_rng(seed)
    head = Head(random_face(rng, amount=0.5), rng, amount=0.5)
    camera = Camera(*pose, distance=1500)
    points = landmarks(head, camera)
    camera.aim(points, 2 * CROP, 3.0)
    monkeypatch.setattr(synthetic, "paint", lambda head, looks, rng: painting(head.face))
    monkeypatch.setattr(synthetic, "grow", lambda head, looks, rng: np.zeros_like(head.x))
    monkeypatch.setattr(synthetic, "shade", lambda head, camera, light: (np.ones_like(head.x), np.zeros_like(head.x)))
    canvas = np.zeros((2 * CROP, 2 * CROP), np.uint8)
    synthetic._draw_head(canvas, head, camera, random_looks(rng), Light(np.array([0, 0, 1]), 1, 0), rng)
    return canvas, camera.project(points)


ON_SHOW = [19, 24, 28, 36, 39, 42, 45, 48, 51, 54, 57]  # what no pose below hides on its near side
VISIBLE = [(pose, k) for pose in POSES for k in ON_SHOW if abs(pose[0]) < 0.4 or MEAN[k, 0] * pose[0] <= 0 or abs(MEAN[k, 0]) < 20]


@pytest.mark.parametrize(("pose", "landmark"), VISIBLE)
def test_a_dot_painted_at_a_landmark_is_drawn_at_the_landmark(monkeypatch, pose, landmark):
    """The painting goes through the map of pixels, the landmark through the equations of the camera; they meet to 0.4 px."""

    def dot(face: Face) -> np.ndarray:
        canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
        x, y = np.round((face.points[landmark] - CORNER) * TEXELS * 16).astype(int)
        cv2.circle(canvas, (int(x), int(y)), 5 * 16, 255, -1, cv2.LINE_AA, 4)
        return canvas

    canvas, points = place(monkeypatch, dot, pose)
    weight = canvas.astype(float)
    y, x = np.indices(canvas.shape)
    centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    assert np.abs(centre - points[landmark]).max() < 0.8  # pixels of the double canvas


@pytest.mark.parametrize("pose", POSES)
def test_the_jaw_that_turns_away_lies_on_the_outline(monkeypatch, pose):
    canvas, points = place(monkeypatch, lambda face: np.full((HEIGHT, WIDTH), 255, np.uint8), pose)
    (contour,), _ = cv2.findContours((canvas > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    inside = np.array([cv2.pointPolygonTest(contour, point, True) for point in points])
    assert inside.min() > -2.0  # pixels of the double canvas; no landmark off the head
    if pose[0] > 0.1:
        assert np.abs(inside[10:15]).max() < 2.5 and inside[1:4].min() > 5
    if pose[0] < -0.1:
        assert np.abs(inside[2:7]).max() < 2.5 and inside[13:16].min() > 5


def edge_strength(image, points):
    """Mean change of gray along the lids, the lips and the nostrils."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1)
    change = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    some = points[np.r_[31:60]].astype(np.float32)[None]
    return cv2.remap(change, some[..., 0], some[..., 1], cv2.INTER_LINEAR).mean()


def test_landmarks_lie_on_edges_and_shifted_ones_do_not(faces):
    shifts = [(dx, dy) for dx in (-4, 0, 4) for dy in (-4, 0, 4)]
    strength = {s: np.mean([edge_strength(i, p + s) for i, p in zip(faces.images, faces.landmarks, strict=True)]) for s in shifts}
    true = strength.pop((0, 0))
    assert true > 1.05 * max(strength.values())


def test_an_eye_is_darker_inside_than_the_cheek(faces):
    darker = []
    for image, points in zip(faces.images, faces.landmarks, strict=True):
        for eye in (LEFT_EYE, RIGHT_EYE):
            centre = points[eye].mean(axis=0)
            down = points[8] - points[27]
            (x0, y0), (x1, y1) = np.round(centre).astype(int), np.round(centre + 0.22 * down).astype(int)
            darker.append(image[y0 - 1 : y0 + 2, x0 - 1 : x0 + 2].mean() < image[y1 - 1 : y1 + 2, x1 - 1 : x1 + 2].mean() - 10)
    assert np.mean(darker) > 0.75


def test_as_varied_as_photographs(faces):
    """Standard deviations in px of the landmarks of 1,719 photographs (300-W, training fold, crop rule): 4.9 across, 3.9 down."""
    across, down = faces.landmarks.std(axis=0).mean(axis=0)
    assert 3.9 < across < 5.9 and 3.1 < down < 4.7
    box = np.ptp(faces.landmarks, axis=1)
    shape = np.percentile(box[:, 0] / box[:, 1], [5, 50, 95])  # of the photographs: 0.90, 1.02, 1.17
    np.testing.assert_allclose(shape, (0.90, 1.02, 1.17), atol=0.07)
    slant = faces.landmarks[:, 45] - faces.landmarks[:, 36]
    assert 5 < np.degrees(np.arctan2(slant[:, 1], slant[:, 0])).std() < 11  # 7.9 degrees
