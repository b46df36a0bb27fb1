"""OpenCV arrives when first used, and photos come in as they are stored."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from models.faces import geometry, opencv
from models.faces.opencv import read_gray, read_photo
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


def test_a_photo_is_turned_as_its_camera_wrote_and_an_annotated_one_is_not(tmp_path):
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    jpeg = cv2.imencode(".jpg", np.repeat(np.repeat(stored, 16, 0), 16, 1), (cv2.IMWRITE_JPEG_QUALITY, 100))[1].tobytes()
    # APP1 with an EXIF block of one entry: tag 0x0112 (orientation), type short, count 1, value 6 (turn by 90 degrees)
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    block = b"Exif\0\0" + tiff
    path = tmp_path / "phone.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:])
    assert read_gray(path).shape == (32, 48)
    photo = read_photo(path)
    assert photo.shape == (48, 32, 3)
    np.testing.assert_allclose(photo[8::16, 8::16, 0], np.rot90(stored, -1), atol=3)
