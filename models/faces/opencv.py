"""OpenCV, imported when first used: `from models.faces import opencv as cv2`, then `cv2.warpAffine` and so on.

The chapters and the models need no OpenCV, only the reading and warping of photos does; where it cannot be imported, the user gets
one line that says what to install. `read_gray` is the way in for annotated photos, `read_photo` for a user's own.
"""

from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nn.errors import InputError

SIDE = 32766  # OpenCV warps no larger pictures
FILE_BYTES = 256 * 2**20


@lru_cache
def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"OpenCV cannot be imported ({error}): run `pip install 'opencv-python-headless<5'`, "
            "or on Debian `apt-get install libgl1 libglib2.0-0`"
        ) from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # what is wrong with a file, our own line says
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
    return _read(path, "IMREAD_GRAYSCALE", "IMREAD_IGNORE_ORIENTATION")


def read_photo(path: str | Path) -> np.ndarray:
    """Somebody's photo in colour, uint8 BGR (H, W, 3), turned upright as its camera wrote; raises InputError like `read_gray`."""
    return _read(path, "IMREAD_COLOR")


def shown(path: str | Path) -> str:
    """A path as one printable line, whatever bytes the name holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def _read(path: str | Path, *flags: str) -> np.ndarray:
    cv2 = _opencv()
    try:
        with open(path, "rb") as file:
            data = np.frombuffer(file.read(FILE_BYTES + 1), np.uint8)
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read ({error.strerror}); give the path of an image file") from error
    path = shown(path)
    if data.size > FILE_BYTES:
        raise InputError(f"{path}: expected an image of at most {FILE_BYTES // 2**20} MiB, found more; shrink it, or pass --skip-bad")
    try:
        image = cv2.imdecode(data, sum(getattr(cv2, flag) for flag in flags))
    except cv2.error:  # an empty file, or more pixels than OpenCV takes
        image = None
    if image is None:
        raise InputError(f"{path}: expected an image, found {data.size} bytes that are none; replace or remove it, or pass --skip-bad")
    if max(image.shape) > SIDE:
        raise InputError(f"{path}: expected at most {SIDE} pixels a side, found {image.shape[1]} x {image.shape[0]}; shrink the image")
    return image
