"""Distortions: each does what it says to as many faces as it should, and leaves the landmarks where they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces import distort as d
from models.faces import opencv as cv2
from models.faces.distort import Distortion, distort, ellipse, streak

NAMES = ("light", "blur", "occlusion", "noise")


def only(name, images, seed=0, share=1.0):
    return distort(images, np.random.default_rng(seed), Distortion(**{name: share}))


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Forty pictures of hard edges, none too near to black or white, (40, 112, 112, 1)."""
    blocks = np.random.default_rng(1).integers(60, 196, (40, 14, 14, 1), np.uint8)
    return blocks.repeat(8, axis=1).repeat(8, axis=2)


def flat(count, level, size=112):
    return np.full((count, size, size, 1), level, np.uint8)


# ---- all of them ----


def test_nothing_is_on_by_default(photos):
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(distort(photos, rng, Distortion()), photos)
    assert rng.random() == np.random.default_rng(3).random()  # and nothing was drawn


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_shares(photos, name, share):
    """Of 2,000 faces, to five standard deviations."""
    many = np.broadcast_to(photos[:1], (2000, 112, 112, 1))
    changed = (only(name, many, share=share) != many).any((1, 2, 3)).sum()
    assert abs(changed - 2000 * share) <= 5 * np.sqrt(2000 * share * (1 - share))


def test_each_falls_by_its_own_coin(photos):
    """Half behind something, half noisy: three quarters are one or the other. In the first row, before every patch, only noise shows."""
    many = np.broadcast_to(photos[:1], (1000, 112, 112, 1))
    out = distort(many, np.random.default_rng(0), Distortion(occlusion=0.5, noise=0.5))
    noisy = (out != many)[:, 0].any((1, 2))
    changed = (out != many).any((1, 2, 3))
    for count, share in ((noisy.sum(), 0.5), (changed.sum(), 0.75)):
        assert abs(count - 1000 * share) < 5 * np.sqrt(1000 * share * (1 - share))


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(0, 3), st.sampled_from([16, 33, 112]), st.integers(0, 99))
def test_same_seed_same_bits_and_the_input_stays(shares, count, size, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, 1), np.uint8)
    before = images.copy()
    first, second = (distort(images, np.random.default_rng(seed), Distortion(*shares)) for _ in range(2))
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, second)
    assert first.shape == images.shape and first.dtype == np.uint8


def test_another_seed_another_picture(photos):
    for name in NAMES:
        assert (only(name, photos, 1) != only(name, photos, 2)).any((1, 2, 3)).all()


def test_wrong_calls(photos, rng):
    with pytest.raises(ValueError, match="expected gray levels as uint8, got float32: distort before normalise_gray"):
        distort(photos.astype(np.float32), rng, Distortion())
    for share in (-0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match=f"blur is the share of faces that get it: expected 0 to 1, got {share}"):
            distort(photos, rng, Distortion(blur=share))


def test_nothing_wraps_around():
    """White and black stay within what their noise explains: 6 times 12 levels; brighter than white is white."""
    assert only("noise", flat(50, 255)).min() > 255 - 72 and only("noise", flat(50, 0)).max() < 72
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (60, 256, 256))[..., None]
    fall = np.diff(only("light", ramp).astype(int), axis=1).min((1, 2, 3))  # rows grow brighter, but for the shade
    assert fall.min() > -20


# ---- light ----


@pytest.mark.parametrize(
    ("constant", "value", "expected"),
    [
        ("GAMMA", 1.0, lambda g: 255 * (g / 255) ** 2),
        ("GAMMA", -1.0, lambda g: 255 * np.sqrt(g / 255)),
        ("CONTRAST", 0.6, lambda g: 127.5 + 0.6 * (g - 127.5)),
        ("CONTRAST", 1.5, lambda g: 127.5 + 1.5 * (g - 127.5)),
        ("BRIGHTNESS", 0.2, lambda g: g + 51),
        ("BRIGHTNESS", -0.2, lambda g: g - 51),
    ],
)
def test_tones(monkeypatch, constant, value, expected):
    for name, neutral in (("GAMMA", 0.0), ("CONTRAST", 1.0), ("BRIGHTNESS", 0.0), ("SHADE", 0.0)):
        monkeypatch.setattr(d, name, (value, value) if name == constant else (neutral, neutral))
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.abs(only("light", ramp) - np.clip(expected(ramp.astype(float)), 0, 255)).max() <= 0.501


def test_shades(monkeypatch):
    """Half fall evenly across the frame, half with the square of the distance from a spot; depth 0.5: e^0.5 from middle to rim."""
    for name, value in (("GAMMA", 0.0), ("CONTRAST", 1.0), ("BRIGHTNESS", 0.0), ("SHADE", 0.5)):
        monkeypatch.setattr(d, name, (value, value))
    t = (np.arange(112) - 55.5) / 56
    y, x = (axis.ravel() for axis in np.meshgrid(t, t, indexing="ij"))
    slopes, angles = 0, []
    for picture in only("light", flat(200, 150)):
        log = np.log(picture.ravel() / 150)
        plane, spot = np.stack([x, y, np.ones_like(x)], axis=1), np.stack([x, y, np.ones_like(x), x**2 + y**2], axis=1)
        bright = picture.ravel() < 255
        a, b, _, bend = np.linalg.lstsq(spot[bright], log[bright], rcond=None)[0]
        if abs(bend) < 0.05:
            a, b, c = np.linalg.lstsq(plane[bright], log[bright], rcond=None)[0]
            assert np.hypot(a, b) == pytest.approx(0.5, abs=0.01) and c == pytest.approx(0, abs=0.01)
            slopes, angles = slopes + 1, [*angles, np.arctan2(b, a)]
        else:  # -0.5 ((x - u)² + (y - v)²)
            assert bend == pytest.approx(-0.5, abs=0.01) and max(abs(a), abs(b)) < 0.51
    assert abs(slopes - 100) < 5 * np.sqrt(50)
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0].min() > 8  # from every side


def test_light_shifts_the_mean_up_and_down():
    means = only("light", flat(400, 128)).mean((1, 2, 3))
    assert (means > 138).sum() > 40 and (means < 118).sum() > 40


# ---- blur ----


def test_blur_takes_edges_and_keeps_the_mean(photos):
    blurred = only("blur", photos)
    for before, after in zip(photos, blurred, strict=True):
        assert cv2.Laplacian(after, cv2.CV_64F).var() < 0.7 * cv2.Laplacian(before, cv2.CV_64F).var()
        assert after.mean() == pytest.approx(before.mean(), abs=1)


def test_blur_widens_a_dot_and_leaves_it_in_place(dots):
    """By 0.6-1.8 px squared all around, or by up to L² / 12 along a line of L = 3-8 px, half of the copies each; in a frame of 224 px
    twice as far."""
    for size, zoom in ((112, 1), (224, 2)):
        at = np.array([50.3, 61.7]) * zoom
        dot = dots((size, size), [at], sigma=4 * zoom)[None, :, :, None]
        y, x = np.mgrid[:size, :size]

        def moments(picture, x=x, y=y):
            weight = picture[..., 0] / picture.sum()
            centre = np.array([(weight * x).sum(), (weight * y).sum()])
            u, v = x - centre[0], y - centre[1]
            cross = (weight * u * v).sum()
            return centre, np.linalg.eigvalsh([[(weight * u * u).sum(), cross], [cross, (weight * v * v).sum()]])

        start, before = moments(dot[0])
        grown = []
        for picture in only("blur", dot.repeat(200, axis=0)):
            centre, after = moments(picture)
            assert np.abs(centre - start).max() < 0.05
            grown.append((after - before) / zoom**2)
        less, more = np.array(grown).T
        round = more - less < 0.15
        assert abs(round.sum() - 100) < 5 * np.sqrt(50)
        assert 0.36 - 0.2 < more[round].min() < 0.6 and 2.5 < more[round].max() < 3.24 + 0.2
        assert np.abs(less[~round]).max() < 0.4 and 9 / 12 - 0.2 < more[~round].min() < 1.2 and 4 < more[~round].max() < 64 / 12 + 0.4


def test_a_flat_picture_cannot_be_blurred():
    np.testing.assert_array_equal(only("blur", flat(50, 77)), flat(50, 77))


def test_a_level_streak():
    np.testing.assert_allclose(streak(4.0, 0.0), [[0] * 5, [0] * 5, np.array([0.5, 1, 1, 1, 0.5]) / 4, [0] * 5, [0] * 5], atol=1e-12)


@given(st.floats(3, 20), st.floats(0, np.pi))
def test_streaks(length, angle):
    """Sum 1, centred, and about a pixel wide; variance (L² + 1) / 12, the 1 for the pixels' own width, to 0.66 px of L, and along the
    line: the pixels' grid allows no more."""
    kernel = streak(length, angle)
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])
    assert (kernel * u**2).sum() == pytest.approx((length**2 + 1) / 12, abs=0.11 * length)
    assert (kernel * v**2).sum() < 0.25 and abs((kernel * u * v).sum()) < 0.05 * length


# ---- occlusion ----


def test_patches():
    """Two batches whose faces are flat and differ in every pixel: where both still have their own level, nothing lies over them."""
    levels = np.arange(250, dtype=np.uint8)[:, None, None, None]
    dark, bright = (flat(250, 0) + level for level in (levels, 255 - levels))
    over_dark, over_bright = only("occlusion", dark), only("occlusion", bright)
    covered = ((over_dark != dark) | (over_bright != bright))[..., 0]
    fillings, ovals, sides = [], 0, []
    for k, mask in enumerate(covered):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        sides += [height, width]
        assert min(rows[0], columns[0]) >= 7 and max(rows[-1], columns[-1]) <= 104
        patch = mask[rows[0] :, columns[0] :][:height, :width]
        if not patch.all():
            i, j = np.mgrid[:height, :width]
            np.testing.assert_array_equal(patch, ((2 * i + 1 - height) / height) ** 2 + ((2 * j + 1 - width) / width) ** 2 <= 1)
            assert patch.sum() == pytest.approx(np.pi / 4 * height * width, rel=0.03)
            ovals += 1
        inside, again = over_dark[k, mask, 0], over_bright[k, mask, 0]
        if (inside == again).all():
            fillings.append("gray" if np.ptp(inside) == 0 else "noise")
            if fillings[-1] == "noise":
                assert inside.mean() == pytest.approx(127.5, abs=5 * 74 / np.sqrt(len(inside)))
                assert inside.std() == pytest.approx(74, rel=0.2)
        else:
            fillings.append("another face")
            assert np.ptp(inside) == 0 and (inside == 255 - again).all() and inside[0] != k
    assert min(sides) == 14 and max(sides) == 42
    assert abs(ovals - 125) < 5 * np.sqrt(250 / 4)
    for filling in ("gray", "noise", "another face"):
        assert abs(fillings.count(filling) - 250 / 3) < 5 * np.sqrt(250 * 2 / 9)


def test_a_piece_of_another_face_is_a_piece_of_it(photos):
    """What is neither of one gray nor found in the other of two faces is noise, and no face lies over itself."""
    fillings = []
    for seed in range(20):
        pair = photos[2 * seed : 2 * seed + 2, :, :, 0]
        for face, other, out in zip(pair, pair[::-1], only("occlusion", pair[..., None], seed)[..., 0], strict=True):
            changed = face != out
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            box, mask = out[window].astype(np.float32), changed[window].astype(np.float32)
            off = cv2.matchTemplate(other.astype(np.float32), box, cv2.TM_SQDIFF, mask=mask).min() / mask.sum()  # mean square
            fillings.append("gray" if np.ptp(out[changed]) == 0 else "piece" if off < 0.01 else "noise" if off > 3000 else "unknown")
    assert "unknown" not in fillings and fillings.count("piece") >= 5 and fillings.count("noise") >= 5
    for seed in range(40):
        pair = np.concatenate([flat(1, 50), flat(1, 200)])
        assert (only("occlusion", pair, seed) != pair).any((1, 2, 3)).all()


def test_a_single_face_is_covered_too(photos):
    """By a piece of itself, for want of another."""
    for seed in range(20):
        assert (only("occlusion", photos[:1], seed) != photos[:1]).any()


def test_an_ellipse_touches_its_box():
    np.testing.assert_array_equal(ellipse(1, 1), [[True]])
    np.testing.assert_array_equal(ellipse(3, 4), [[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 0]])


# ---- noise ----


def test_noise_of_a_known_strength(monkeypatch):
    monkeypatch.setattr(d, "GRAIN", (6.0, 6.0))
    noise = only("noise", flat(60, 128)).astype(float)[..., 0] - 128
    pixels = 112 * 112
    np.testing.assert_allclose(noise.std((1, 2)), np.sqrt(36 + 1 / 12), rtol=5 / np.sqrt(2 * pixels))  # 1/12: rounding
    assert np.abs(noise.mean((1, 2))).max() < 5 * 6 / np.sqrt(pixels)
    assert (np.abs(noise) < 6.5).mean() == pytest.approx(0.7213, abs=0.01)  # of a normal distribution: erf(6.5 / (6 √2))
    for a, b in ((noise[:, 1:], noise[:, :-1]), (noise[:, :, 1:], noise[:, :, :-1]), (noise[1:], noise[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(pixels)


def test_noise_is_strong_or_weak():
    strengths = only("noise", flat(400, 128)).std((1, 2, 3))
    assert 1.9 < strengths.min() < 2.3 and 11.7 < strengths.max() < 12.3
    assert strengths.mean() == pytest.approx(7, abs=5 * 10 / np.sqrt(12 * 400))
