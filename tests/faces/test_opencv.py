"""OpenCV arrives when first used, and photos come in as they are stored."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from models.faces import geometry, opencv
from nn.errors import InputError


def test_without_opencv_the_way_out_is_told(monkeypatch):
    opencv._opencv.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"OpenCV cannot be imported .*opencv-python-headless<5.*libgl1 libglib2\.0-0") as caught:
        opencv.warpAffine  # noqa: B018
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert opencv.warpAffine is cv2.warpAffine


def test_the_equations_need_no_opencv():
    code = "import sys; sys.modules['cv2'] = None; from models.faces import geometry, crops, augment, ibug, detect; geometry.rotation(0.1)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_gray_levels_are_read(tmp_path, rng):
    gray = rng.integers(0, 256, (5, 7), np.uint8)
    cv2.imwrite(str(tmp_path / "gray.png"), gray)
    np.testing.assert_array_equal(opencv.read_gray(tmp_path / "gray.png"), gray)
    colour = np.zeros((4, 6, 3), np.uint8)
    colour[..., 1] = 200  # green
    cv2.imwrite(str(tmp_path / "green.png"), colour)
    np.testing.assert_array_equal(opencv.read_gray(tmp_path / "green.png"), np.full((4, 6), round(0.587 * 200)))


def test_a_turned_photo_keeps_its_stored_pixels(tmp_path):
    """An EXIF note "turn by 90 degrees", as phones write it, must not turn the picture under its landmarks."""
    _, jpeg = cv2.imencode(".jpg", np.zeros((20, 30), np.uint8))
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg.tobytes()[:2] + exif + jpeg.tobytes()[2:])
    assert cv2.imread(str(path)).shape == (30, 20, 3)  # OpenCV alone would turn it
    assert opencv.read_gray(path).shape == (20, 30)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    bad = {"text.jpg": "found 5 bytes", "empty.png": "found 0 bytes", "none.jpg": "cannot be read", ".": "cannot be read"}
    for name, match in bad.items():
        with pytest.raises(InputError, match=match) as caught:
            opencv.read_gray(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_a_picture_too_long_to_be_warped_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "long.png"), np.zeros((2, 32767), np.uint8))
    with pytest.raises(InputError, match=r"long\.png: expected at most 32766 pixels a side, found 32767 x 2; shrink the image"):
        opencv.read_gray(tmp_path / "long.png")
    cv2.imwrite(str(tmp_path / "long.png"), np.zeros((2, 32766), np.uint8))
    assert geometry.warp(opencv.read_gray(tmp_path / "long.png"), np.eye(3)).shape == (112, 112)
