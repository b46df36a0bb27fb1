"""The HOG descriptor against OpenCV's, against a ramp worked out by hand, and its windows against theirs."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.faces.crops import Faces
from models.faces.hog import hog, slide, windows
from models.faces.synthetic import drawn_faces


def opencv(image, window, cell=8, bins=9, block=2, stride=None, step=None):
    """OpenCV's descriptor of each window, `step` pixels apart: (H, W) -> (windows, rows, columns, block² bins), cells row by row."""
    side, stride = block * cell, stride or cell
    descriptor = cv2.HOGDescriptor(window, (side, side), (stride, stride), (cell, cell), bins, 1, -1, 0, 0.2, False, 64, False)
    columns, rows = ((length - side) // stride + 1 for length in window)
    step = step or stride
    numbers = descriptor.compute(image, winStride=(step, step)).reshape(-1, columns, rows, block, block, bins)
    return numbers.transpose(0, 2, 1, 4, 3, 5).reshape(-1, rows, columns, block * block * bins)


@pytest.fixture(scope="module", params=["noise", "drawn", "real"])
def photos(request) -> np.ndarray:
    """Gray levels, uint8 (3, 96, 104)."""
    if request.param == "noise":
        return np.random.default_rng(3).integers(0, 256, (3, 96, 104)).astype(np.uint8)
    faces: Faces = drawn_faces(3, seed=5) if request.param == "drawn" else request.getfixturevalue("real_faces")
    return np.ascontiguousarray(faces.images[:3, 80:176, 80:184])


@pytest.mark.parametrize("layout", [{}, {"cell": 4, "stride": 2}, {"cell": 4, "bins": 12, "block": 1}, {"cell": 8, "bins": 6, "block": 3}])
@pytest.mark.parametrize("angle", ["ours", "theirs"])
def test_agrees_with_opencv(photos, layout, angle, monkeypatch):
    """To rounding when both have the same arc tangent; else to what OpenCV's polynomial for it (0.01° off) allows."""
    if angle == "theirs":
        monkeypatch.setattr(np, "arctan2", lambda y, x: np.stack([cv2.cartToPolar(b, a)[1] for a, b in zip(y, x, strict=True)]))
    ours = hog(photos, **layout)
    theirs = np.concatenate([opencv(photo, (104, 96), **layout) for photo in photos])
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    largest, mean = (1e-6, 2e-7) if angle == "theirs" else (2e-3, 2.5e-4)
    assert np.abs(ours - theirs).max() < largest * theirs.max()
    assert np.abs(ours - theirs).mean() < mean * theirs.mean()


def test_a_window_is_a_slice_of_the_frame(photos):
    """OpenCV slides the window; we cut it out of the frame's features. Windows of 32 x 32 every 2 pixels, cells of 4."""
    theirs = opencv(photos[0], (32, 32), cell=4, step=2)
    view = windows(hog(photos[:1], cell=4, stride=2), blocks=7, step=2)
    assert view.shape == (1, 33, 37, 7, 7, 36)  # (96 - 32) / 2 + 1 rows, (104 - 32) / 2 + 1 columns
    np.testing.assert_allclose(view.reshape(theirs.shape), theirs, atol=2e-3)


@pytest.mark.parametrize("step", [1, 2])
def test_sliding_is_the_product_of_every_window_and_the_weights(rng, step):
    features = rng.normal(size=(2, 9, 8, 5)).astype(np.float32)
    weight = rng.normal(size=(3, 3, 3, 5)).astype(np.float32)
    rows, columns = 9 - 2 * step, 8 - 2 * step
    expected = np.empty((2, rows, columns, 3))
    for y in range(rows):
        for x in range(columns):
            cut = features[:, y : y + 2 * step + 1 : step, x : x + 2 * step + 1 : step].astype(float)
            np.testing.assert_array_equal(windows(features, 3, step)[:, y, x], cut)
            expected[:, y, x] = np.tensordot(cut, weight.astype(float), ((1, 2, 3), (1, 2, 3)))
    np.testing.assert_allclose(slide(features, weight, step), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("degrees", "votes"),  # nine bins of 20°: their centres at 10, 30 .. 170
    [(10, {0: 1}), (90, {4: 1}), (270, {4: 1}), (28, {0: 0.1, 1: 0.9}), (0, {0: 0.5, 8: 0.5}), (178, {8: 0.6, 0: 0.4})],
)
def test_a_ramp(degrees, votes):
    """A steep plane has one gradient: a one-cell block holds its two votes, over their length, cut at 0.2, over the length again."""
    y, x = np.mgrid[:24, :24]
    plane = 1e4 * (np.cos(np.radians(degrees)) * x + np.sin(np.radians(degrees)) * y)
    expected = np.zeros(9)
    expected[list(votes)] = np.minimum(np.array(list(votes.values())) / np.linalg.norm(list(votes.values())), 0.2)
    expected /= np.linalg.norm(expected) + 1e-3
    np.testing.assert_allclose(hog(plane[None], block=1)[0, 1, 1], expected, atol=2e-3)


@given(st.integers(-200, 200), st.floats(0.5, 8))
def test_brightness_and_contrast_do_not_matter(offset, factor):
    strong = np.random.default_rng(1).integers(0, 2**20, (1, 24, 32)).astype(float)  # beside which the constants are nothing
    features = hog(strong)
    np.testing.assert_array_equal(hog(strong + offset), features)
    np.testing.assert_allclose(hog(factor * strong), features, atol=1e-4)


def test_flat_pictures_have_no_features():
    np.testing.assert_array_equal(hog(np.full((2, 16, 16), 77)), np.zeros((2, 1, 1, 36)))


def test_a_batch_is_its_pictures_one_by_one(rng):
    images = rng.integers(0, 256, (4, 37, 51)).astype(np.float32)
    images.setflags(write=False)
    batch = hog(images, cell=5, stride=3)
    assert batch.shape == (4, 10, 14, 36)  # (37 - 10) // 3 + 1, (51 - 10) // 3 + 1: the last pixels are left out
    for n in range(4):
        np.testing.assert_allclose(batch[n : n + 1], hog(images[n : n + 1], cell=5, stride=3), atol=1e-6)
    assert hog(images[:0], cell=5).shape == (0, 6, 9, 36)


@pytest.mark.parametrize(("shape", "bins"), [((16, 16), 9), ((1, 15, 40), 9), ((1, 40, 15), 9), ((1, 16, 16, 1), 9), ((1, 16, 16), 1)])
def test_wrong_shapes_are_refused(shape, bins):
    with pytest.raises(ValueError, match=r"hog expects images \(N, H, W\) of at least 16 x 16 pixels and 2 bins or more, got"):
        hog(np.zeros(shape), bins=bins)
