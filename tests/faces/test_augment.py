"""Views of a face: what is drawn, where the landmarks go, and how the mixture is made up."""

from dataclasses import replace

import numpy as np
import pytest

from models.faces import geometry
from models.faces.augment import KINDS, Augmentation, mirror, normalise_gray, random_frames, view
from models.faces.crops import Faces
from models.faces.landmarks import MIRROR, eye_centres
from models.measure.augmentation import augmentation_rates


def test_gray_levels():
    levels = normalise_gray(np.array([[0, 51, 255]], np.uint8))
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, [[-0.485 / 0.229, (0.2 - 0.485) / 0.229, 0.515 / 0.229]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["original", "normalised", "augmented"])
@pytest.mark.parametrize("index", [[], [3], [5, 0, 0, 2]])
def test_shapes(some_faces, rng, kind, index):
    images, points = view(some_faces, np.array(index, int), kind, rng)
    assert images.shape == (len(index), 112, 112, 1) and images.dtype == np.float32
    assert points.shape == (len(index), 68, 2) and points.dtype == np.float32


@pytest.mark.parametrize("size", [112, 80])
@pytest.mark.parametrize("kind, upright", [("original", False), ("normalised", True)])
def test_without_chance_the_frame_decides(some_faces, kind, upright, size):
    images, points = view(some_faces, np.arange(6), kind, None, size=size)
    for n in range(6):
        matrix = geometry.frame(some_faces.landmarks[n], size, upright)
        np.testing.assert_allclose(points[n], geometry.apply(matrix, some_faces.landmarks[n]), atol=1e-4)
        np.testing.assert_array_equal(images[n, :, :, 0], normalise_gray(geometry.warp(some_faces.images[n], matrix, size)))


def test_the_landmarks_are_where_the_picture_shows_them(some_faces, dotted, dot_at):
    """Also in mirrored copies, where each dot stands in for its partner."""
    images, points = view(some_faces, np.arange(120) % 6, "augmented", np.random.default_rng(5), Augmentation(copies=100))
    checked = 0
    for image, face in zip(images[..., 0] * 0.229 + 0.485, points, strict=True):
        for target in face[dotted]:
            if np.all((target > 6) & (target < 105)):
                assert np.abs(dot_at(image, target, radius=6) - target).max() < 0.1
                checked += 1
    assert checked > 450


@pytest.fixture(scope="module")
def alone(some_faces, dots) -> Faces:
    """Six crooked faces, none its own mirror image, 68 crops of each: crop k shows a dot at landmark k and nothing else."""
    landmarks = some_faces.landmarks + np.random.default_rng(4).normal(0, 3, (6, 68, 2))
    images = np.stack([dots((256, 256), [point], sigma=3) for face in landmarks for point in face])
    return Faces(images, landmarks.repeat(68, axis=0), *[[""] * len(images)] * 4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_landmark_is_found_where_it_is_said_to_be(alone, face, kind):
    """To 0.1 px, by the centre of mass of the whole frame; which landmark a mirrored dot has become, a symmetrical face says."""
    partner = np.linalg.norm(face[:, None] * [-1, 1] - face, axis=-1).argmin(1)
    y, x = np.mgrid[:112, :112]
    found = []
    for seed in range(3):
        everyone, landmark = np.arange(len(alone)), np.arange(len(alone)) % 68
        images, points = view(alone, everyone, kind, np.random.default_rng(seed))
        if kind == "augmented":
            matrices, *_ = random_frames(alone.landmarks, np.random.default_rng(seed), Augmentation())
            landmark = np.where(np.linalg.det(matrices) < 0, partner[landmark], landmark)
        expected = points[everyone, landmark]
        inside = ((expected > 8) & (expected < 103)).all(1)  # the others' dots are cut off
        levels = np.rint((images[inside, :, :, 0] * 0.229 + 0.485) * 255)
        centres = np.stack([(levels * at).sum((1, 2)) for at in (x, y)], axis=1) / levels.sum((1, 2))[:, None]
        assert np.abs(centres - expected[inside]).max() < 0.1
        found.extend(landmark[inside])
    assert np.bincount(found, minlength=68).min() >= (10 if kind == "augmented" else 18)


def test_a_mirrored_copy_is_the_flipped_picture(some_faces):
    """x -> 111 - x, landmarks renumbered; one gray level of 1/255 apart, since the warp rounds anew."""
    slope = np.broadcast_to(np.arange(256, dtype=np.uint8), (6, 256, 256))  # dark to bright: it is seen which way it runs
    faces = replace(some_faces, images=slope)
    only_mirror = Augmentation(angle=0, scale=0, shift=0, copies=1000)
    images, points = view(faces, np.full(20, 3), "augmented", np.random.default_rng(1), only_mirror)
    (upright,), (expected,) = view(faces, np.full(1, 3), "normalised", None)
    mirrored = images[:, 56, 30, 0] > images[:, 56, 80, 0]
    assert 4 < mirrored.sum() < 16
    one_level = 1.01 / 255 / 0.229
    assert np.abs(images[~mirrored] - upright).max() < one_level
    assert np.abs(images[mirrored] - upright[:, ::-1]).max() < one_level
    np.testing.assert_allclose(
        points[mirrored], np.broadcast_to(([111, 0] + expected * [-1, 1])[MIRROR], points[mirrored].shape), atol=1e-4
    )


def test_left_stays_left_in_a_mirror(some_faces, rng):
    """Half of the copies are mirrored; with the landmarks not swapped, their left eye would lie to the right."""
    _, points = view(some_faces, np.arange(60) % 6, "augmented", rng, Augmentation(angle=5))
    left, right = np.moveaxis(eye_centres(points), 1, 0)
    assert (left[:, 0] < right[:, 0]).all()


def test_same_generator_same_views(some_faces):
    first, second = (view(some_faces, np.arange(6), "augmented", np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert np.abs(view(some_faces, np.arange(6), "augmented", np.random.default_rng(8))[1] - first[1]).max() > 1


def test_a_seed_still_draws_what_it_always_drew(some_faces):
    """Trainings go on with the copies they began with: what this seed drew before there were distortions."""
    rng = np.random.default_rng(11)
    images, points = view(some_faces, np.arange(40) % 6, "augmented", rng)
    places = [(49.627262, 44.409874), (50.687572, 30.344952), (60.684956, 72.05665), (64.47697, 54.93723)]
    np.testing.assert_allclose(points[range(4), [30, 36, 8, 54]], places, atol=1e-4)
    np.testing.assert_array_equal(rng.integers(10**6, size=3), [54427, 207360, 857524])  # nothing else was drawn
    assert ((images * 0.229 + 0.485) * 255).sum(dtype=float) == pytest.approx(630097, rel=1e-3)  # OpenCV's roundings may change


def test_copies_alone_are_distorted_and_no_landmark_moves(some_faces):
    index, half = np.arange(60) % 6, {"copies": 2}
    *_, copied = random_frames(some_faces.landmarks[index], np.random.default_rng(9), Augmentation(**half))
    assert 15 < copied.sum() < 45
    clean, points = view(some_faces, index, "augmented", np.random.default_rng(9), Augmentation(**half))
    for name in ("light", "blur", "occlusion", "noise"):
        images, same = view(some_faces, index, "augmented", np.random.default_rng(9), Augmentation(**half, **{name: 1.0}))
        np.testing.assert_array_equal((images != clean).any((1, 2, 3)), copied)
        np.testing.assert_array_equal(same, points)
        for kind in ("original", "normalised"):
            (images, _), (plain, _) = (view(some_faces, index, kind, None, a) for a in (Augmentation(**{name: 1.0}), None))
            np.testing.assert_array_equal(images, plain)


def draws(some_faces, n=20000, **settings):
    """What random_frames adds to the canonical pose, taken apart: which face, angle, scale, shift, mirrored."""
    landmarks = some_faces.landmarks[np.full(n, 2)]
    augmentation = Augmentation(**settings)
    matrices, mirrored, copied = random_frames(landmarks, np.random.default_rng(3), augmentation)
    scatter = matrices @ np.linalg.inv(geometry.frame(landmarks[:1], upright=True))
    scatter[mirrored] = mirror(112) @ scatter[mirrored]
    original = np.abs(matrices - geometry.frame(landmarks[:1])).max((1, 2)) < 1e-9
    canonical = np.abs(scatter - np.eye(3)).max((1, 2)) < 1e-9
    np.testing.assert_array_equal(copied, ~original & ~canonical)
    copies = scatter[copied]
    angle = np.degrees(np.arctan2(copies[:, 0, 1], copies[:, 0, 0]))
    centre = geometry.apply(copies, np.full((1, 1, 2), 55.5))[:, 0] - 55.5
    return original, canonical, mirrored, angle, np.sqrt(np.linalg.det(copies)), centre


def test_the_mixture_is_that_of_the_paper(some_faces):
    """20,000 draws: the bounds are five standard errors."""
    original, canonical, mirrored, angle, scale, shift = draws(some_faces)
    assert original.mean() == pytest.approx(1 / 17, abs=5 * 0.235 / np.sqrt(20000))
    assert canonical.mean() == pytest.approx(1 / 17, abs=5 * 0.235 / np.sqrt(20000))
    assert mirrored.sum() / len(angle) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(18000))
    assert not mirrored[original | canonical].any()
    for values, mean, deviation in ((angle, 0, 15), (scale, 1, 0.1), (shift[:, 0], 0, 11.2), (shift[:, 1], 0, 11.2)):
        assert values.mean() == pytest.approx(mean, abs=5 * deviation / np.sqrt(18000))
        assert values.std() == pytest.approx(deviation, rel=5 / np.sqrt(2 * 18000))
    assert np.abs(np.corrcoef([angle, scale, *shift.T]) - np.eye(4)).max() < 5 / np.sqrt(18000)


def test_each_setting_counts(some_faces):
    original, canonical, mirrored, *_ = draws(some_faces, 2000, copies=0)
    assert (original ^ canonical).all() and not mirrored.any()
    assert not draws(some_faces, 500, mirror=False)[2].any()
    *_, angle, scale, shift = draws(some_faces, 2000, angle=1, scale=0.01, shift=2)
    assert angle.std() == pytest.approx(1, rel=0.1) and scale.std() == pytest.approx(0.01, rel=0.1)  # 0.1: six standard errors
    assert shift.std() == pytest.approx(2, rel=0.1)


def test_an_unknown_kind_is_named(some_faces, rng):
    with pytest.raises(ValueError, match="kind 'canonical' is unknown: choose one of original, normalised, augmented"):
        view(some_faces, np.arange(2), "canonical", rng)


def test_chance_needs_a_generator(some_faces):
    with pytest.raises(ValueError, match=r"augmented views are drawn by chance: give a numpy\.random\.Generator"):
        view(some_faces, np.arange(2), "augmented", None)


def test_the_benchmark_measures_every_kind_of_view():
    rates = augmentation_rates(batch=2, size=32, rounds=1)
    assert list(rates) == [*KINDS, "augmented and distorted"] and min(rates.values()) > 0
