"""Light on a head: shading from the surface's normals, hollows that get less of it, shadows of the relief, highlights."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2
from models.faces.brush import blur
from models.faces.head import Camera, Head, sample


class Light(NamedTuple):
    """Where the light is (x right, y down, z to the viewer), the part that comes from everywhere, the strength of highlights."""

    direction: np.ndarray
    ambient: float
    gloss: float


def random_light(rng: Generator) -> Light:
    """Draw a light: mostly from above and in front."""
    side, up = rng.normal(0, 0.65), rng.normal(0.45, 0.35)
    direction = np.array([np.sin(side) * np.cos(up), -np.sin(up), np.cos(side) * np.cos(up)])
    return Light(direction, rng.uniform(0.3, 0.8), rng.uniform(0, 0.35) ** 1.3)


def shade(head: Head, camera: Camera, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Shading (multiplies the albedo) and highlight (adds) of each grid point, from the normals of the surface."""
    direction, ambient, gloss = light
    rotation = camera.rotation.astype(np.float32)
    du = [cv2.Sobel(g, cv2.CV_32F, 1, 0) for g in (head.x, head.y, head.z)]
    dv = [cv2.Sobel(g, cv2.CV_32F, 0, 1) for g in (head.x, head.y, head.z)]
    normal = [du[1] * dv[2] - du[2] * dv[1], du[2] * dv[0] - du[0] * dv[2], du[0] * dv[1] - du[1] * dv[0]]
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-6
    half = direction + np.array([0, 0, 1])
    lit, mirror = (
        sum(np.float32(c) * n for c, n in zip(rotation.T @ d, normal, strict=True)) / length
        for d in (direction, half / np.linalg.norm(half))
    )
    # cavities get less of the light from everywhere; the relief throws shadows along the light
    hollow = blur(head.bump, 6) - head.bump
    toward = rotation.T @ direction
    flat = np.hypot(toward[0], toward[1]) + 1e-6
    above = np.zeros_like(head.bump)
    for reach in (5.0, 10.0, 18.0, 28.0):
        move = np.array([[1, 0, -toward[0] / flat * reach / 1.25], [0, 1, -toward[1] / flat * reach / 1.25]], np.float32)
        higher = cv2.warpAffine(head.bump, move, head.bump.shape[::-1], borderMode=cv2.BORDER_REPLICATE) - head.bump
        np.maximum(above, higher - np.float32(reach * max(toward[2], 0.05) / flat), out=above)
    shadow = blur(np.exp(-above / 2.5), 2)
    both = cv2.merge([np.exp(-0.09 * np.clip(hollow, -1.5, 8)), shadow])
    open_, clear = cv2.split(sample(both, head.x, head.y))
    behind = np.cos(head.theta) < 0
    open_[:, behind] = clear[:, behind] = 1
    gain = np.float32(ambient) * open_ + np.float32((1.25 - ambient) / 1.15) * np.maximum(lit + np.float32(0.15), 0) * clear
    mirror = np.maximum(mirror, 0) ** 2
    mirror = mirror * mirror
    return gain, gloss * mirror * (mirror * mirror) ** 2 * clear
