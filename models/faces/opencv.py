"""OpenCV, imported when first used: `from models.faces import opencv as cv2`, then `cv2.warpAffine` and so on.

The chapters and the models need no OpenCV, only the reading and warping of photos does; where it cannot be imported, the user gets
one line that says what to install. `read_gray` is the way in for annotated photos, `read_photo` for a user's own.
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nn.errors import InputError, shown
from nn.files import MIB, read_bytes

SIDE = 32766  # OpenCV warps no larger pictures
FILE_BYTES = 256 * MIB
PIXELS = 2**27  # of an image; the largest photos that are taken have 100 million
SCANS = 100  # of a JPEG; a photo has a dozen at most. Each may ask for work on the whole picture in a few bytes
SCAN = re.compile(rb"\xff\xda\0(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")  # how one begins

# OpenCV holds what an image's header says against this before it decodes, if it is set when cv2 is first imported; else it takes 2**30.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(PIXELS))


@lru_cache
def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"OpenCV cannot be imported ({error}): run `pip install 'opencv-python-headless<5'`, "
            "or on Debian `apt-get install libgl1 libglib2.0-0`"
        ) from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong with a file, our own line says
    return cv2


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # Python itself asks for __path__ and the like
        raise AttributeError(name)
    return getattr(_opencv(), name)


def read_gray(path: str | Path) -> np.ndarray:
    """An annotated photo as gray levels, uint8 (H, W).

    The pixels stand as they are stored, whatever orientation a camera wrote into the file: landmarks count stored pixels. Levels of 16
    bits lose the lower 8, transparency is left out, CMYK goes through RGB. Raises InputError when the file is missing, no image, or
    too large.
    """
    return _read(path, 2, "IMREAD_GRAYSCALE", "IMREAD_IGNORE_ORIENTATION")


def read_photo(path: str | Path) -> np.ndarray:
    """Somebody's photo in colour, uint8 BGR (H, W, 3), turned upright as its camera wrote; raises InputError like `read_gray`."""
    return _read(path, 3, "IMREAD_COLOR")


def _read(path: str | Path, axes: int, *flags: str) -> np.ndarray:
    cv2 = _opencv()
    data = read_bytes(path, FILE_BYTES, "an image file")
    path = shown(path)
    if len(SCAN.findall(data)) > SCANS:
        raise InputError(f"{path}: expected a JPEG of at most {SCANS} scans, found more; save it anew")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), sum(getattr(cv2, flag) for flag in flags))
    except cv2.error as error:  # an empty file, or more pixels than allowed
        if "MAX_IMAGE" in str(error):
            raise InputError(f"{path}: expected an image of at most {PIXELS / 1e6:.0f} million pixels, found more; shrink it") from None
        image = None
    if image is None or image.ndim != axes:  # .pfm comes in colour, whatever was asked for
        raise InputError(f"{path}: expected an image, found {len(data)} bytes that are none; replace or remove it")
    if max(image.shape) > SIDE:
        raise InputError(f"{path}: expected at most {SIDE} pixels a side, found {image.shape[1]} x {image.shape[0]}; shrink the image")
    return image
