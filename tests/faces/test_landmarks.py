"""Index groups, the mirror table and the eye distances."""

import numpy as np
import pytest

from models.faces import landmarks as lm

# Which landmarks trade places in a mirror, read off the figure of the 300-W mark-up; the others stay.
PAIRS = [(k, 16 - k) for k in range(8)] + [(17, 26), (18, 25), (19, 24), (20, 23), (21, 22), (31, 35), (32, 34)]
PAIRS += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
PAIRS += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]


def test_the_parts_hold_every_landmark_once_in_the_order_of_the_paper():
    assert list(lm.PARTS) == ["chin", "eyebrows", "eyes", "nose", "mouth"]
    assert [len(part) for part in lm.PARTS.values()] == [17, 10, 12, 9, 20]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(lm.PARTS.values()))), np.arange(68))


def test_the_mirror_table_swaps_the_pairs():
    expected = np.arange(68)
    for a, b in PAIRS:
        expected[a], expected[b] = b, a
    np.testing.assert_array_equal(lm.MIRROR, expected)


def test_a_symmetrical_face_is_its_own_mirror_image(face):
    np.testing.assert_allclose((face * [-1, 1])[lm.MIRROR], face, atol=1e-12)


def test_the_mean_of_real_faces_finds_its_own_table(real_faces):
    """Each landmark of the mirrored mean face lies nearest to the one that the table names."""
    mean = real_faces.landmarks.mean(0)
    mirrored = [255, 0] + mean * [-1, 1]
    distances = np.linalg.norm(mean[:, None] - mirrored, axis=-1)  # (68, 68)
    np.testing.assert_array_equal(distances.argmin(1), lm.MIRROR)


def test_the_lines_show_every_landmark_once():
    np.testing.assert_array_equal(np.sort(np.concatenate([indices for indices, _ in lm.POLYLINES])), np.arange(68))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eye_distances_agree_with_loops(rng, shape, dtype):
    points = rng.normal(size=(*shape, 68, 2)).astype(dtype)
    pupils, corners = lm.pupil_distance(points), lm.corner_distance(points)
    assert pupils.shape == corners.shape == shape and pupils.dtype == corners.dtype == dtype
    for n in np.ndindex(*shape):
        left, right = np.zeros(2), np.zeros(2)
        for k in range(6):
            left += points[n][36 + k] / 6
            right += points[n][42 + k] / 6
        assert pupils[n] == pytest.approx(np.hypot(*(right - left)), rel=1e-5)
        assert corners[n] == pytest.approx(np.hypot(*(points[n][45] - points[n][36])), rel=1e-5)


def test_eye_distances_of_the_drawn_face(face):
    assert lm.pupil_distance(face) == pytest.approx(70)
    assert lm.corner_distance(face) == pytest.approx(98)


def test_tight_box_and_size(face, face_at):
    np.testing.assert_allclose(lm.tight_box(face_at(10, 20)), [-70, 20 + face[:, 1].min(), 90, 122])
    assert lm.face_size(face) == pytest.approx(160)
    assert lm.face_size(face[:, ::-1]) == pytest.approx(160)
