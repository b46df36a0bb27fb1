"""Animations over the face that the network sees, as GIF files of some 100 KB."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from models.explain.face import COLOURS, Face
from models.faces import opencv as cv2
from models.faces.draw import GROUND, show

SIDE, HEAD, DPI = 4.8, 0.35, 100  # inches, inches, dots an inch


class OnePalette(PillowWriter):
    """All frames in the same 248 colours: what stands still is then the same in each, and the file a tenth as large."""

    _frames: list[Any]  # Pillow's images, which matplotlib's writer gathers

    def finish(self) -> None:
        """Write the file."""
        palette = self._frames[0].quantize(2)
        palette.putpalette(colours().tobytes())
        first, *rest = (frame.quantize(palette=palette, dither=0) for frame in self._frames)
        first.save(self.outfile, save_all=True, append_images=rest, duration=round(1000 / self.fps), loop=0)


def colours() -> np.ndarray:
    """128 grays, and the parts' colours, alone and by two and one third over 8 grays: uint8 (248, 3)."""
    pure = 255 * np.array([to_rgb(colour) for colour in COLOURS.values()])[:, None, None]  # (5, 1, 1, 3)
    share, gray = np.array([1, 2 / 3, 1 / 3])[:, None, None], np.linspace(0, 255, 8)[:, None]
    mixed = share * pure + (1 - share) * gray  # (5, 3, 8, 3)
    return np.concatenate([np.linspace(0, 255, 128)[:, None].repeat(3, 1), mixed.reshape(-1, 3)]).round().astype(np.uint8)


class Stage:
    """The face, on which each frame puts lines and a title."""

    def __init__(self, face: Face, writer: OnePalette, ax: Axes):
        self.writer, self.ax = writer, ax
        show(ax, face.image[0])
        pixels = round(SIDE * DPI)  # enlarged once, not for every frame
        enlarged = cv2.resize(face.image[0], (pixels, pixels), interpolation=cv2.INTER_CUBIC)
        ax.images[0].set(data=enlarged, extent=ax.images[0].get_extent(), interpolation="nearest")

    def shoot(self, title: str, times: int = 1) -> None:
        """One frame of what has been plotted on `ax`, or several alike; then the lines are gone."""
        self.ax.set_title(title, color="white", fontsize=12)
        self.writer.grab_frame()
        self.writer._frames += self.writer._frames[-1:] * (times - 1)
        for line in list(self.ax.lines):
            line.remove()


@contextmanager
def stage(path: Path, face: Face, fps: int) -> Iterator[Stage]:
    """Open a GIF file for frames."""
    figure = Figure(figsize=(SIDE, SIDE + HEAD), facecolor=GROUND)
    ax = figure.add_axes((0, 0, 1, SIDE / (SIDE + HEAD)))
    writer = OnePalette(fps=fps)
    with writer.saving(figure, path, DPI):
        yield Stage(face, writer, ax)
