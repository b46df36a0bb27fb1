"""A window to watch in, and the keys it listens to. Where there is no screen, everything else works without it."""

import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.faces import opencv as cv2

TITLE = "faceseed: b boxes, q quit"
WIDTH, HEIGHT = 1280, 900  # px, of the largest window
ESCAPE = 27
TRY = f"import cv2; cv2.namedWindow({TITLE!r}); cv2.destroyAllWindows()"


@dataclass
class Keys:
    """What the keys have asked for so far: q or Esc to stop, b to show or hide the boxes."""

    boxes: bool
    quit: bool = False

    def press(self, code: int) -> None:
        """A key as cv2.waitKey gives it; -1 for none."""
        key = code & 0xFF
        if code < 0:
            return
        if key in (ESCAPE, ord("q"), ord("Q")):
            self.quit = True
        elif key in (ord("b"), ord("B")):
            self.boxes = not self.boxes

    def styles(self, chosen: set[str]) -> set[str]:
        """The chosen styles, with boxes or without."""
        return chosen | {"boxes"} if self.boxes else chosen - {"boxes"}


@lru_cache
def can_show() -> bool:
    """Is there a screen? Tried in another process, since Qt ends the one that asks in vain."""
    return subprocess.run([sys.executable, "-c", TRY], capture_output=True, timeout=60, check=False).returncode == 0


def show(picture: np.ndarray, keys: Keys, wait: bool = False) -> None:
    """Put a picture, uint8 BGR, into the window and take a key; with `wait` stay until there is one. Closing the window means q."""
    scale = min(1.0, WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
    cv2.imshow(TITLE, cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture)
    code = cv2.waitKey(100 if wait else 1)
    while wait and code < 0 and is_open():
        code = cv2.waitKey(100)
    keys.press(code)
    keys.quit |= not is_open()


def is_open() -> bool:
    """Has nobody closed the window?"""
    return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
