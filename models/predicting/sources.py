"""What to look at: photos, folders of them, patterns like 'holiday/*.jpg', videos, cameras."""

import glob
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from models.faces import opencv as cv2
from models.faces.opencv import PIXELS
from nn.errors import InputError, shown

PHOTOS = {".jpg", ".jpeg", ".jpe", ".jp2", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".avif", ".gif"}
VIDEOS = {".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp"}
FPS = 25.0  # where a video does not say
STEM = 200  # bytes of an output's name; file systems take 255, with all that comes behind it
MISSES = 50  # unreadable frames in a row that are passed over


class Source(NamedTuple):
    """A photo, a video or a camera."""

    path: Path  # a camera's is its index
    kind: str  # photo | video | camera

    @property
    def stem(self) -> str:
        """What its outputs are called."""
        stem = f"camera{self.path}" if self.kind == "camera" else self.path.stem
        while len(os.fsencode(stem)) > STEM:
            stem = stem[:-1]
        return stem

    def __str__(self) -> str:
        return f"camera {self.path}" if self.kind == "camera" else shown(self.path)


def sources(words: list[str]) -> list[Source]:
    """The words of the command: a file, a folder (its photos, sorted by name), a pattern (sorted), or the number of a camera.

    What looks like a video by its suffix is one; any other file is a photo. Raises InputError where a word names nothing.
    """
    return [source for word in words for source in of_word(word)]


def of_word(word: str) -> list[Source]:
    """The sources that one word names."""
    path = Path(word)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in PHOTOS and file.is_file())
        if not files:
            raise InputError(f"{shown(path)}: holds no photos; give files, a folder with photos, or a pattern in quotes")
    elif path.exists():
        if not path.is_file():  # reading from it might never end
            raise InputError(f"{shown(path)}: expected a file, found a pipe or a device; of a camera give the number")
        files = [path]
    elif word.isdecimal():
        return [Source(path, "camera")]
    else:
        files = [Path(name) for name in sorted(glob.glob(word, recursive=True)) if Path(name).is_file()]
        if not files:
            what = "nothing matches" if glob.has_magic(word) else "no such file or folder"
            raise InputError(f"{shown(word)}: {what}; give photos, folders, patterns in quotes, videos, or a camera's number")
    return [Source(file, "video" if file.suffix.lower() in VIDEOS else "photo") for file in files]


class Clip:
    """The frames of a video or a camera, uint8 BGR (H, W, 3), one after another. Raises InputError where it cannot be opened."""

    def __init__(self, source: Source):
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # silence: what is wrong, our own line says
        camera = source.kind == "camera"
        self.capture = cv2.VideoCapture(int(str(source.path)) if camera else str(source.path))
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 1 <= fps <= 1000 else FPS
        count = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if not camera and 0 < count < 1e12 else 0  # 0: nobody knows
        self.unread = 0  # frames passed over
        if not self.capture.isOpened():
            remedy = "is it there, and free?" if camera else "expected a video; replace or remove it"
            raise InputError(f"{source}: cannot be opened; {remedy}")
        width, height = (int(self.capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > PIXELS:
            self.capture.release()
            raise InputError(f"{source}: expected frames of at most {PIXELS / 1e6:.0f} million pixels, found {width} x {height}; shrink it")

    def __iter__(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(number, frame, its gray levels) until the end; the next one is read while one is looked at."""
        frames = self.frames()
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(next, frames, None)
            while (item := waiting.result()) is not None:
                waiting = thread.submit(next, frames, None)
                yield item

    def frames(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(number, frame, its gray levels) until the end; frames that cannot be read are passed over, and counted."""
        number, missed = 0, 0  # of the next frame; frames missed in a row
        while missed == 0 or (missed < MISSES and number < self.count):
            good, frame = self.capture.read()
            if good:
                self.unread += missed
                missed = 0
                yield number, frame, cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            else:
                missed += 1
            number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.capture.release()
