"""Distortions beyond the paper: occlusion, light, blur and noise, for copies that should teach more than the photos show.

All are off by default, and the paper's results are reproduced without them. They change gray levels and leave every point of the
picture where it is, so the landmarks stay true. Lengths are in pixels of the 112-px frame; frames of another size scale them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, cos, pi, sin

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2
from models.faces.brush import noise

GRAYS = np.arange(256) / 255

# Each is drawn evenly between two ends.
COVER = 1 / 8, 3 / 8  # height and width of an occluder, of the frame's side
GAMMA = -0.7, 0.7  # exponent of 2
CONTRAST = 0.6, 1.4
BRIGHTNESS = -0.15, 0.15  # of the range of gray levels
SHADE = 0.0, 0.7
SIGMA = 0.6, 1.8  # of a Gaussian, px
STREAK = 3.0, 8.0  # length of a motion, px
GRAIN = 2.0, 12.0  # standard deviation, gray levels


@dataclass(frozen=True)
class Distortion:
    """The share of faces that get each distortion, 0 (none) to 1 (all); each falls by its own coin."""

    light: float = 0.0
    blur: float = 0.0
    occlusion: float = 0.0
    noise: float = 0.0


def distort(images: np.ndarray, rng: Generator, distortion: Distortion) -> np.ndarray:
    """Gray faces, uint8 (n, S, S, 1), as chance distorts them, in the order of nature: something in front, light, lens, sensor.

    What is off draws nothing from `rng`. Raises ValueError on images of another type, and on a share outside 0 to 1.
    """
    if images.dtype != np.uint8:
        raise ValueError(f"expected gray levels as uint8, got {images.dtype}: distort before normalise_gray")
    faces = images[..., 0]  # (n, S, S)
    for name, change in CHANGES.items():
        share = getattr(distortion, name)
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is the share of faces that get it: expected 0 to 1, got {share}")
        if share:
            before, faces = faces, faces.copy()
            for k in np.flatnonzero(rng.random(len(faces)) < share).tolist():
                faces[k] = change(before, k, rng)
    return faces[..., None]


def _occlude(faces: np.ndarray, k: int, rng: Generator) -> np.ndarray:
    """Face k behind a rectangle or an ellipse, off the rim, of noise, of one gray, or cut from another of the faces."""
    covered, size = faces[k].copy(), faces.shape[1]
    height, width = rng.integers(round(COVER[0] * size), round(COVER[1] * size), 2, endpoint=True)
    y, x = rng.integers(size // 4, size - size // 4, 2)  # the centre, where the face is
    top, left = y - height // 2, x - width // 2
    patch = covered[top : top + height, left : left + width]

    filling = rng.integers(3)
    if filling == 0:
        stuff = rng.integers(256, size=patch.shape, dtype=np.uint8)
    elif filling == 1:
        stuff = rng.integers(256, dtype=np.uint8)
    else:
        y, x = rng.integers(size - height + 1), rng.integers(size - width + 1)
        stuff = faces[k - rng.integers(1, max(2, len(faces))), y : y + height, x : x + width]
    oval = rng.random() < 0.5
    np.copyto(patch, stuff, where=ellipse(height, width) if oval else True)
    return covered


def ellipse(height: int, width: int) -> np.ndarray:
    """The pixels whose centres lie in the ellipse that fills a box, bool (height, width)."""
    y, x = (np.linspace(-1 + 1 / n, 1 - 1 / n, n) for n in (height, width))
    return np.add.outer(y**2, x**2) <= 1


def _light(faces: np.ndarray, k: int, rng: Generator) -> np.ndarray:
    """Face k as 255 ((g^γ - 1/2) c + 1/2 + b) e^s, g = gray / 255: gamma, contrast and brightness, and a shade s that runs evenly
    across the frame or falls off with the square of the distance from a spot near its middle."""
    gamma, contrast, brightness, depth = 2 ** rng.uniform(*GAMMA), rng.uniform(*CONTRAST), rng.uniform(*BRIGHTNESS), rng.uniform(*SHADE)
    levels = 255 * ((GRAYS**gamma - 0.5) * contrast + 0.5 + brightness)
    along = np.arange(1, 2 * faces.shape[1], 2) / faces.shape[1] - 1  # of each pixel's centre, from -1 to 1 over the frame
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * pi)
        down, across = sin(angle) * along, cos(angle) * along
    else:
        down, across = (-((along - rng.uniform(-0.5, 0.5)) ** 2) for _ in range(2))
    gain = np.outer(*np.exp((depth * down, depth * across), dtype=np.float32))  # e^(a + b) = e^a e^b
    return _gray(cv2.LUT(faces[k], levels.astype(np.float32)) * gain)


def _blur(faces: np.ndarray, k: int, rng: Generator) -> np.ndarray:
    """Face k out of focus (a Gaussian) or in motion (the mean along a short line of any direction)."""
    zoom = faces.shape[1] / 112
    if rng.random() < 0.5:
        sigma = zoom * rng.uniform(*SIGMA)
        kernel = cv2.getGaussianKernel(2 * ceil(3 * sigma) + 1, sigma)
        return cv2.sepFilter2D(faces[k], -1, kernel, kernel)
    kernel = streak(zoom * rng.uniform(*STREAK), rng.uniform(0, pi))
    return _gray(cv2.filter2D(np.float32(faces[k]), -1, kernel))  # quicker than on uint8


def streak(length: float, angle: float) -> np.ndarray:
    """A filter that smears along a line of `length` px, turned by `angle` radians: (2r + 1, 2r + 1), sum 1, centred, one px wide."""
    radius = ceil(length / 2)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    along, across = np.abs(cos(angle) * x + sin(angle) * y), np.abs(cos(angle) * y - sin(angle) * x)
    weight = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return weight / weight.sum()


def _noise(faces: np.ndarray, k: int, rng: Generator) -> np.ndarray:
    """Face k by a poor sensor: white Gaussian noise of a random strength."""
    return _gray(faces[k] + rng.uniform(*GRAIN) * noise(rng, "fine", faces.shape[1:]))


def _gray(levels: np.ndarray) -> np.ndarray:
    """Rounded and held within 0-255."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray, int, Generator], np.ndarray]] = {
    "occlusion": _occlude,
    "light": _light,
    "blur": _blur,
    "noise": _noise,
}
