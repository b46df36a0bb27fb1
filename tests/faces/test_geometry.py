"""Equations 1 and 2, the network's frame, and pictures that land where their points do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces import geometry as g
from models.faces.landmarks import face_size, tight_box

angles = st.floats(-3.1, 3.1)
scales = st.floats(0.2, 5)
shifts = st.floats(-300, 300)


def test_equation_1_entry_by_entry():
    cos, sin = np.cos(0.3), np.sin(0.3)
    np.testing.assert_array_equal(g.translation(5, -7), [[1, 0, 5], [0, 1, -7], [0, 0, 1]])
    np.testing.assert_allclose(g.rotation(0.3), [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    np.testing.assert_array_equal(g.scaling(2, 3), [[2, 0, 0], [0, 3, 0], [0, 0, 1]])


@given(angles, scales, scales, shifts, shifts)
def test_equation_2_is_rotation_times_translation_times_scale(theta, sx, sy, tx, ty):
    """The scale acts first on the points, although the paper's sentence says "firstly translation, then rotation, finally scaling"."""
    np.testing.assert_allclose(g.compose(theta, sx, sy, tx, ty), g.rotation(theta) @ g.translation(tx, ty) @ g.scaling(sx, sy), atol=1e-9)


def test_equation_2_is_no_other_product():
    factors = [g.rotation(0.3), g.translation(5, -7), g.scaling(2, 3)]
    for order in [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]:
        a, b, c = (factors[k] for k in order)
        assert np.abs(a @ b @ c - g.compose(0.3, 2, 3, 5, -7)).max() > 0.5


def test_matrices_come_in_batches(rng):
    theta, sx, sy, tx, ty = rng.uniform(0.5, 2, (5, 4))
    assert g.rotation(theta.astype(np.float32)).dtype == np.float64
    for n in range(4):
        np.testing.assert_array_equal(g.translation(tx, ty)[n], g.translation(tx[n], ty[n]))
        np.testing.assert_array_equal(g.compose(theta, sx, sy, tx, ty)[n], g.compose(theta[n], sx[n], sy[n], tx[n], ty[n]))
    assert g.scaling(np.ones((2, 0)), 1).shape == (2, 0, 3, 3)


def test_apply_is_the_homogeneous_product(rng):
    matrices, points = rng.normal(size=(3, 3, 3)), rng.normal(size=(3, 5, 2))
    matrices[:, 2] = 0, 0, 1
    moved = g.apply(matrices, points)
    for n in range(3):
        for k in range(5):
            np.testing.assert_allclose(moved[n, k], (matrices[n] @ [*points[n, k], 1])[:2])


@given(st.floats(-1.5, 1.5), scales, shifts, shifts)
def test_rotation_by_the_eye_angle_levels_the_eyes(face, theta, scale, tx, ty):
    turned = g.apply(g.translation(tx, ty) @ g.scaling(scale, scale) @ g.rotation(-theta), face)
    assert g.eye_angle(turned) == pytest.approx(theta, abs=1e-9)
    assert g.eye_angle(g.apply(g.rotation(g.eye_angle(turned)), turned)) == pytest.approx(0, abs=1e-9)


def test_a_lower_right_eye_is_a_positive_angle(face):
    points = face.copy()
    points[42:48, 1] += 70
    assert g.eye_angle(points) == pytest.approx(np.pi / 4)


@given(st.floats(-1.5, 1.5), scales, shifts, shifts, st.sampled_from([112, 64, 7]), st.booleans())
def test_the_face_fills_half_of_the_frame(face, theta, scale, tx, ty, size, upright):
    points = g.apply(g.translation(tx, ty) @ g.scaling(scale, scale) @ g.rotation(-theta), face)
    matrix = g.frame(points, size, upright)
    framed = g.apply(matrix, points)
    np.testing.assert_allclose(framed.mean(0), (size - 1) / 2, atol=1e-8)
    assert face_size(framed) == pytest.approx(size / 2)
    if upright:
        assert g.eye_angle(framed) == pytest.approx(0, abs=1e-9)
    else:
        np.testing.assert_allclose(matrix[:2, :2], np.eye(2) * matrix[0, 0])  # no turn, one scale


def test_a_face_upright_looks_the_same_from_any_pose(face):
    """The canonical pose forgets rotation, scale and place: all that is left is the frontal face."""
    turned = g.apply(g.translation(30, 9) @ g.scaling(3, 3) @ g.rotation(0.8), face)
    np.testing.assert_allclose(g.apply(g.frame(turned, upright=True), turned), g.apply(g.frame(face), face))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_frames_come_in_batches(face, count):
    batch = np.stack([face * (n + 1) for n in range(3)])[:count]
    for upright in (False, True):
        matrices = g.frame(batch, upright=upright)
        assert matrices.shape == (count, 3, 3)
        for n in range(count):
            np.testing.assert_allclose(matrices[n], g.frame(batch[n], upright=upright))


WARPS = {
    "shift": np.eye(3),
    "turn": g.rotation(0.5),
    "enlarge": g.scaling(2.5, 2.5),
    "mirror": g.scaling(-1, 1),
    "shrink by 1.7": g.scaling(1 / 1.7, 1 / 1.7),
    "shrink by 2": g.scaling(0.5, 0.5),
    "shrink by 3.3 and turn": g.compose(0.4, 0.3, 0.3, 0.0, 0.0),
    "shrink by 8": g.scaling(0.125, 0.125),
}


@pytest.mark.parametrize("name", WARPS)
def test_a_dot_lands_where_its_point_does(name, dots, dot_at):
    targets = np.array([[60.3, 70.6], [110.2, 60.1], [80.7, 120.4]])
    matrix = g.translation(90.3, 88.6) @ WARPS[name] @ g.translation(-451.4, -400.8)
    points = g.apply(np.linalg.inv(matrix), targets)
    zoom = np.sqrt(np.abs(np.linalg.det(matrix)))
    warped = g.warp(dots((801, 903), points, sigma=2 / min(zoom, 1)), matrix, 200)
    assert warped.shape == (200, 200) and warped.dtype == np.uint8
    for target in targets:
        assert np.abs(dot_at(warped, target, radius=int(9 * max(zoom, 1))) - target).max() < 0.1


def test_the_unmoved_picture_is_the_same_and_outside_is_black(rng):
    picture = rng.integers(1, 256, (112, 112), np.uint8)
    np.testing.assert_array_equal(g.warp(picture, np.eye(3)), picture)
    moved = g.warp(picture, g.translation(10, -20))
    np.testing.assert_array_equal(moved[:-20, 10:], picture[20:, :-10])
    assert not moved[-20:].any() and not moved[:, :10].any()


def test_shrinking_averages_what_it_leaves_out(rng):
    """A quarter of the size: each pixel is the mean of 4 x 4; the last row has one row of the photo and three of black."""
    photo = rng.integers(0, 256, (301, 300), np.uint8)
    shrunk = g.warp(photo, g.scaling(0.25, 0.25) @ g.translation(-1.5, -1.5), 76)
    blocks = np.pad(photo.astype(float), ((0, 3), (0, 4))).reshape(76, 4, 76, 4).mean((1, 3))
    assert np.abs(shrunk - blocks).max() <= 0.5


def test_the_shipped_crops_lie_in_the_frame_at_one_scale(real_faces):
    """The face is 85.3 of 256 px and centred, so the frame is a scale of 0.65625 about the centre, to the file's three decimals."""
    expected = g.translation(55.5, 55.5) @ g.scaling(0.65625, 0.65625) @ g.translation(-127.5, -127.5)
    matrices, corners = g.frame(real_faces.landmarks), np.array([[0.0, 0.0], [255.0, 255.0]])
    np.testing.assert_allclose(matrices[:, 0, 0], 0.65625, rtol=1e-4)
    np.testing.assert_allclose(g.apply(matrices, corners), np.broadcast_to(g.apply(expected, corners), (len(matrices), 2, 2)), atol=0.01)
    assert tight_box(g.apply(matrices, real_faces.landmarks)).min() > 0
