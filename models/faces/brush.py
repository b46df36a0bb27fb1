"""Brushes for drawn faces: noise, smooth lines, and soft polygons on gray uint8 canvases, to a sixteenth of a pixel."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2

TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)  # once around, for ovals


@lru_cache(maxsize=1)
def textures() -> dict[str, np.ndarray]:
    """Fixed noise of unit variance, from fine to coarse, and streaks for hair: faces cut random windows out of it."""
    white = np.random.default_rng(68).normal(size=(1100, 1100)).astype(np.float32)
    kinds = {"fine": white}
    for name, across, down in (
        ("grain", 1.2, 1.2),
        ("cloth", 3, 3),
        ("cloud", 10, 10),
        ("sky", 40, 40),
        ("strand", 0.9, 14),
        ("lock", 4, 40),
    ):
        noise = cv2.GaussianBlur(white, (0, 0), sigmaX=across, sigmaY=down)
        kinds[name] = (noise - noise.mean()) / noise.std()
    kinds["skin"] = 0.4 * kinds["cloth"] + 0.6 * kinds["cloud"] + 0.7 * kinds["sky"]
    return kinds


def noise(rng: Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """A random window of one of the `textures`, zero mean and about unit variance."""
    texture = textures()[kind]
    y, x = rng.integers(texture.shape[0] - shape[0] + 1), rng.integers(texture.shape[1] - shape[1] + 1)
    return texture[y : y + shape[0], x : x + shape[1]]


@lru_cache(maxsize=64)
def _catmull_rom(n: int, closed: bool, steps: int) -> np.ndarray:
    """The matrix from n corners to the points of a smooth line through them."""
    corners = np.eye(n)
    q = np.concatenate([corners[-1:], corners, corners[:2]] if closed else [corners[:1], corners, corners[-1:]])
    pieces = n if closed else n - 1
    t = (np.arange(steps) / steps)[:, None, None]
    a, b, c, d = (q[i : i + pieces] for i in range(4))
    path = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)  # (steps, pieces, n)
    path = path.transpose(1, 0, 2).reshape(-1, n)
    return path if closed else np.concatenate([path, corners[-1:]])


def curve(points: np.ndarray, closed: bool = False, steps: int = 4) -> np.ndarray:
    """A smooth line through points (n, 2): Catmull-Rom, `steps` points a piece."""
    return _catmull_rom(len(points), closed, steps) @ points


def oval(centre: np.ndarray, across: float, down: float) -> np.ndarray:
    """Sixteen points around an ellipse."""
    return centre + np.stack([across * np.cos(TURN), down * np.sin(TURN)], axis=1)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Nearly Gaussian and quick at any width: two box filters of the same variance together."""
    width = round(np.sqrt(6 * sigma**2 + 1))
    if width < 3:
        return cv2.GaussianBlur(image, (3, 3), sigma)
    width += 1 - width % 2
    return cv2.blur(cv2.blur(image, (width, width)), (width, width))


def fixed(points: np.ndarray | list | tuple) -> np.ndarray:
    """Real coordinates in OpenCV's fixed point: four bits behind the point."""
    return np.round(np.asarray(points, float) * 16).astype(np.int32)


def fill(canvas: np.ndarray, points: np.ndarray, tone: float) -> None:
    """A polygon (n, 2)."""
    cv2.fillPoly(canvas, [fixed(points)], float(tone), cv2.LINE_AA, 4)


def line(canvas: np.ndarray, points: np.ndarray | list, tone: float, width: float, closed: bool = False) -> None:
    """A polyline (n, 2)."""
    cv2.polylines(canvas, [fixed(points)], closed, float(tone), max(1, round(width)), cv2.LINE_AA, 4)


def disc(canvas: np.ndarray, centre: np.ndarray, axes: np.ndarray | tuple, tone: float, angle: float = 0.0) -> None:
    """An ellipse of half axes `axes`, turned by `angle` degrees."""
    (x, y), (a, b) = centre, axes
    at, half = (round(16 * x), round(16 * y)), (round(16 * a), round(16 * b))
    cv2.ellipse(canvas, at, half, angle, 0, 360, float(tone), -1, cv2.LINE_AA, 4)


def window(canvas: np.ndarray, points: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of a canvas around some points, and its corner (x, y)."""
    height, width = canvas.shape
    x0, y0 = (int(min(max(low - pad, 0), size - 1)) for low, size in zip(points.min(axis=0), (width, height), strict=True))
    x1, y1 = (int(high) + pad + 2 for high in points.max(axis=0))
    return canvas[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)], np.array([x0, y0])


def paste(canvas: np.ndarray, points: np.ndarray, tones: float | Callable, soft: float = 0.0, strength: float = 1.0) -> None:
    """Put a tone, or tones(part) of the part's shape, inside a polygon, its edge blurred by `soft` pixels."""
    part, corner = window(canvas, points, 1 + round(2.5 * soft))
    mask = np.zeros(part.shape, np.uint8)
    fill(mask, points - corner, 255)
    if soft:
        mask = blur(mask, soft)
    colour = np.clip(tones(part) if callable(tones) else tones, 0, 255, dtype=np.float32)
    part[...] = part + (colour - part) * (mask * np.float32(strength / 255))


def soft_line(canvas: np.ndarray, points: np.ndarray, tone: float, width: float, strength: float) -> None:
    """A smooth line with blurred edges, for folds."""
    part, corner = window(canvas, points, 8)
    mask = np.zeros(part.shape, np.uint8)
    line(mask, curve(points) - corner, 255, width)
    mask = blur(mask, 2.0)
    part[...] = part + (np.float32(tone) - part) * (mask * np.float32(strength / 255))
