"""Head pose from landmarks: exact where the camera is the one it assumes, close on drawn heads, and in agreement with OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.geometry import eye_angle
from models.faces.head import Camera, Head, landmarks, random_face
from models.faces.landmarks import MIRROR
from models.faces.pose import RIGID, mean_shape, pose

turns = st.floats(-1.2, 1.2)


@pytest.fixture(scope="module")
def drawn():
    """Landmarks of 60 drawn heads, as they come to be painted, and their true yaw, pitch and roll."""
    angles, points = [], []
    for k in range(60):
        rng = np.random.default_rng([7, k])
        head = Head(random_face(rng), rng)
        angles.append((np.clip(rng.standard_t(4) * 0.21, -0.75, 0.75), rng.normal(0.05, 0.18), rng.normal(0, 0.14)))
        camera = Camera(*angles[-1], rng.uniform(800, 4000))
        points.append(camera.project(landmarks(head, camera)))
    return np.array(points), np.array(angles)


def orthographic(yaw, pitch, roll):
    """The mean shape turned step by step, each turn written out, then seen from infinity."""
    x, y, z = mean_shape().T
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    return np.stack([x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)], axis=1)


@given(turns, turns, st.floats(-3.1, 3.1), st.floats(0.01, 100), st.floats(-500, 500), st.floats(-500, 500))
def test_exact_on_its_own_projections(yaw, pitch, roll, scale, x, y):
    points = scale * orthographic(yaw, pitch, roll) + [x, y]
    np.testing.assert_allclose(pose(points[None]), [[yaw, pitch, roll]], atol=1e-9 * max(1, (abs(x) + abs(y)) / scale))


def test_which_way_is_positive():
    """The tip of the nose goes where the face turns: right, then down; a right eye lower than the left is a positive roll."""
    nose, eyes = 30, np.r_[36:48]
    ahead = (orthographic(0, 0, 0)[nose] - orthographic(0, 0, 0)[eyes].mean(0))[:, None]
    for angles, axis in (((0.3, 0, 0), 0), ((0, 0.3, 0), 1)):
        points = orthographic(*angles)
        assert (points[nose] - points[eyes].mean(0) - ahead[:, 0])[axis] > 5
        assert pose(points[None])[0, axis] == pytest.approx(0.3)
    points = orthographic(0, 0, 0.3)
    assert points[45, 1] > points[36, 1] and pose(points[None])[0, 2] == pytest.approx(0.3)


def test_close_to_the_truth_on_drawn_heads(drawn):
    """Other heads than the mean one, with an expression, seen in perspective."""
    points, angles = drawn
    off = np.degrees(pose(points) - angles)
    assert (np.abs(off).mean(0) < [2, 3, 1]).all()
    assert (np.abs(off).max(0) < [11, 10, 4]).all()
    for found, true in zip(pose(points).T, angles.T, strict=True):
        assert np.corrcoef(found, true)[0, 1] > 0.9


def test_a_mirrored_face_turns_the_other_way(drawn):
    points, _ = drawn
    mirrored = (points * (-1, 1))[:, MIRROR]
    np.testing.assert_allclose(pose(mirrored), pose(points) * (-1, 1, -1), atol=1e-9)


def by_opencv(points, distance):
    """Yaw, pitch, roll by a perspective camera. OpenCV looks along +z, so depth changes its sign on both sides of the rotation."""
    depth = np.diag([1.0, 1, -1])
    camera = np.array([[distance, 0, 0], [0, distance, 0], [0, 0, 1]])
    shape, flat = mean_shape()[RIGID] @ depth, points[RIGID] - points[RIGID].mean(0)
    _, turn, place = cv2.solvePnP(shape, flat, camera, None, flags=cv2.SOLVEPNP_EPNP)
    turn, _ = cv2.solvePnPRefineLM(shape, flat, camera, None, turn, place)
    rotation = depth @ cv2.Rodrigues(turn)[0] @ depth
    yaw, pitch = np.arctan2(-rotation[2, 0], rotation[2, 2]), np.arcsin(-rotation[2, 1])
    return yaw, pitch, np.arctan2(-rotation[0, 1], rotation[1, 1])


def test_opencv_agrees_on_the_mean_shape():
    """Seen from afar, where its camera and ours are nearly the same."""
    for angles in ((0, 0, 0), (0.4, -0.3, 0.2), (-0.7, 0.2, -1.0)):
        points = Camera(*angles, 20000).project(mean_shape())
        np.testing.assert_allclose(by_opencv(points, 20000), angles, atol=0.005)
        np.testing.assert_allclose(pose(points[None])[0], angles, atol=0.005)


def test_opencv_agrees_roughly_on_drawn_heads(drawn):
    """Its rotation is the best one for the points, ours the nearest to the best matrix: where a head is not the mean one, they differ."""
    points, _ = drawn
    theirs = np.array([by_opencv(face, 2000) for face in points])
    assert (np.degrees(np.abs(pose(points) - theirs)).mean(0) < [4, 6, 2]).all()


def test_faces_come_in_batches(drawn):
    points, _ = drawn
    together = pose(points)
    assert together.shape == (60, 3)
    np.testing.assert_allclose(together[7:8], pose(points[7:8]), atol=1e-12)
    assert pose(points[:0]).shape == (0, 3)


def test_real_faces(real_faces):
    """Nobody measured their angles; but roll is near the line of the eyes, and turns to both sides are as common."""
    angles = np.degrees(pose(real_faces.landmarks))
    assert np.abs(angles[:, 2] - np.degrees(eye_angle(real_faces.landmarks))).mean() < 3
    assert (np.abs(np.median(angles, axis=0)) < 3).all()
    assert 10 < angles[:, 0].std() < 25 and 5 < angles[:, 1].std() < 15
