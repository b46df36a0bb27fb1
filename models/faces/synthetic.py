"""Drawn faces: pictures of a random 3-D head, with 68 landmarks that are exact by construction.

A face is painted flat (frontal albedo: skin, eyes, brows, lips, beard), its head is shaded from the normals of the surface,
and both are brought to the picture through one map, picture pixel -> place on the head. Hair, clothes, glasses and whatever
covers a face are drawn around it in the same perspective. Everything is drawn at twice the size and averaged down; then the
picture goes through a camera: blur, noise, contrast, JPEG. The landmarks never see a pixel: they are points of the head.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2
from models.faces.brush import blur, fixed, noise
from models.faces.crops import CROP, MARGIN, Faces
from models.faces.head import Camera, Head, landmarks, random_face
from models.faces.light import Light, random_light, shade
from models.faces.paint import CORNER, TEXELS, Looks, paint, random_looks
from models.faces.scene import back_hair, background, body, cover, ear, glasses, grow, hat, locks
from nn.cpu.threads import one_blas_thread

_FINE = 2 * CROP  # the size that is drawn


def _locate(head: Head, camera: Camera, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Where each picture pixel lies on the head's grid: (columns, rows, coverage) of a window, and its corner (x, y).

    The grid points are thrown onto the picture at half size, far ones first (by angle from the camera), so that near ones cover them;
    one Newton step moves every pixel from the point that fell on it to the place that projects to its centre.
    """
    rows, columns = head.x.shape
    px, py = (np.ascontiguousarray((c - 0.5) / 2) for c in camera.project_grid(head.x, head.y, head.z))
    half = size // 2
    x0, y0 = (int(max(0, np.floor(p.min()) - 5)) for p in (px, py))  # a rim for the filters below
    x1, y1 = (int(min(half, np.ceil(p.max()) + 6)) for p in (px, py))
    width, height = x1 - x0, y1 - y0
    ix, iy = np.rint(px).astype(np.int32) - x0, np.rint(py).astype(np.int32) - y0
    cell = np.where((ix >= 0) & (ix < width) & (iy >= 0) & (iy < height), iy * width + ix, width * height)
    slopes = [cv2.Sobel(p, cv2.CV_32F, i, 1 - i, scale=0.125) for p in (px, py) for i in (1, 0)]
    turned = slopes[0] * slopes[3] <= slopes[1] * slopes[2]  # these points face away
    turned[:, [0, -1]] = True  # the seam at the back
    cell[turned] = width * height
    away = np.abs((head.theta + camera.yaw + np.pi) % (2 * np.pi) - np.pi)
    order = np.argsort(-away, kind="stable")
    hit = np.full(width * height + 1, -1, np.int32)
    hit[cell[:, order].T.ravel()] = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)[:, order].T.ravel()
    point = hit[:-1].reshape(height, width)  # which grid point is seen
    seen = (point >= 0).astype(np.float32)
    u, v = (point % columns).astype(np.float32) * seen, (point // columns).astype(np.float32) * seen
    weight = cv2.blur(seen, (5, 5)) + 1e-6
    u, v = (np.where(seen > 0, g, cv2.blur(g, (5, 5)) / weight) for g in (u, v))
    covered = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    # the Newton step
    grid_x, grid_y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    landed = cv2.remap(cv2.merge([px, py]), u, v, cv2.INTER_LINEAR)
    missing_x, missing_y = grid_x - landed[..., 0], grid_y - landed[..., 1]
    a, b, c, d = cv2.split(cv2.remap(cv2.merge(slopes), u, v, cv2.INTER_NEAREST))
    area = a * d - b * c
    area = np.where(np.abs(area) < 0.05, np.float32(np.inf), area)
    u += np.clip((d * missing_x - b * missing_y) / area, -2, 2)
    v += np.clip((a * missing_y - c * missing_x) / area, -2, 2)
    u, v, covered = (cv2.resize(g, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR) for g in (u, v, cv2.blur(covered, (3, 3))))
    return u, v, np.clip((covered - 0.5) * 5, 0, 1), (2 * x0, 2 * y0)


def _draw_head(canvas: np.ndarray, head: Head, camera: Camera, looks: Looks, light: Light, rng: Generator) -> None:
    """Paint, shade and place the head on a canvas of twice the picture's size."""
    painting, hair = paint(head, looks, rng), grow(head, looks, rng)
    shading, glow = shade(head, camera, light)
    fine, coarse = rng.uniform(0.05, 0.3), rng.uniform(0.1, 0.3)
    strands = looks.hair * np.clip(1 + fine * noise(rng, "strand", hair.shape) + coarse * noise(rng, "lock", hair.shape), 0.2, 2)
    u, v, alpha, (x, y) = _locate(head, camera, len(canvas))
    gain, add = (1 - hair) * shading, hair * strands * shading + 255 * glow
    at_x, at_y, gain, add = cv2.split(cv2.remap(cv2.merge([head.x, head.y, gain, add]), u, v, cv2.INTER_LINEAR))
    flat_x, flat_y = (at_x - CORNER[0]) * np.float32(TEXELS), (at_y - CORNER[1]) * np.float32(TEXELS)
    tones = gain * cv2.remap(painting, flat_x, flat_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) + add
    part = canvas[y : y + u.shape[0], x : x + u.shape[1]]
    part[...] = np.clip(part + (tones - part) * alpha, 0, 255)


def _photograph(canvas: np.ndarray, rng: Generator) -> np.ndarray:
    """What a camera and a file do to a picture: light, focus, noise, size, compression, and an edge beyond which it is black."""
    picture = cv2.resize(canvas, (CROP, CROP), interpolation=cv2.INTER_AREA)
    table = np.arange(256) / 255
    table = 255 * np.clip(rng.normal(0.48, 0.05) + (table ** np.exp(rng.normal(-0.05, 0.2)) - 0.5) * np.exp(rng.normal(0.0, 0.15)), 0, 1)
    table = table * (1 if rng.random() < 0.85 else rng.uniform(0.4, 0.9))
    picture = cv2.LUT(picture, table.astype(np.uint8))
    small = rng.uniform(0.3, 0.7) if rng.random() < 0.2 else 1.0
    if small < 1:
        low = cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(low, (CROP, CROP), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        picture = blur(picture, rng.uniform(0.3, 1.0))
    grain = rng.uniform(0, 6) * (rng.random() < 0.5)
    picture = np.clip(picture + grain * noise(rng, rng.choice(["fine", "grain"]), picture.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.85:  # the photo ends somewhere outside the face
        left, top, right, bottom = (rng.uniform(0, 0.32, 4) * (rng.random(4) < 0.6) * CROP).astype(int)
        picture[:top], picture[CROP - bottom :], picture[:, :left], picture[:, CROP - right :] = 0, 0, 0, 0
    if rng.random() < 0.8:
        picture = cv2.imdecode(
            cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))))[1], cv2.IMREAD_GRAYSCALE
        )
    return picture


@one_blas_thread()  # the same bits on any number of cores
def draw_face(rng: Generator, size: int = CROP) -> tuple[np.ndarray, np.ndarray]:
    """Draw one face -> gray picture (size, size) uint8 and its landmarks (68, 2), pixels, centres at integers.

    The picture obeys the crop rule: the landmarks' mean is its centre, the longer side of their box a third of it. Another size
    than the crop's is resampled from it.
    """
    head = Head(random_face(rng), rng)
    camera = Camera(np.clip(rng.standard_t(4) * 0.21, -0.75, 0.75), rng.normal(0.05, 0.18), rng.normal(0, 0.14), rng.uniform(800, 4000))
    points = landmarks(head, camera)
    camera.aim(points, _FINE, MARGIN)
    looks, light = random_looks(rng), random_light(rng)

    canvas = background(rng, _FINE)
    back_hair(canvas, head, camera, looks, light, rng)
    body(canvas, head, camera, looks, light, rng)
    ears = looks.style not in ("medium", "long")
    for side in (-1, 1):
        if ears and side * camera.yaw > -0.15:
            ear(canvas, head, camera, side, looks, light, rng)
    _draw_head(canvas, head, camera, looks, light, rng)
    for side in (-1, 1):
        if ears and side * camera.yaw <= -0.15:
            ear(canvas, head, camera, side, looks, light, rng)
    locks(canvas, camera, looks, light, rng)
    if rng.random() < 0.18:
        glasses(canvas, head, camera, rng)
    if rng.random() < 0.08:
        hat(canvas, camera, light, rng)
    if rng.random() < 0.18:
        cover(canvas, camera, looks, light, rng)
    picture = _photograph(canvas, rng)
    if size != CROP:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if size < CROP else cv2.INTER_LINEAR)
    return picture, (camera.project(points) + 0.5) * (size / _FINE) - 0.5


def drawn_faces(count: int, seed: int, progress: Callable[[int, int], None] | None = None) -> Faces:
    """Draw `count` faces -> Faces. Face k depends on (seed, k) alone. `progress(done, count)` is called as they come."""
    images, truth = np.empty((count, CROP, CROP), np.uint8), np.empty((count, 68, 2))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for k, (image, points) in enumerate(pool.map(lambda k: draw_face(np.random.default_rng([seed, k])), range(count))):
            images[k], truth[k] = image, points
            if progress:
                progress(k + 1, count)
    names = [f"drawn-{seed}-{k}" for k in range(count)]
    return Faces(images, truth, names, ["drawn"] * count, names, [""] * count)


def sheet(path: str, seed: int = 1, rows: int = 4, columns: int = 8) -> None:
    """Write a PNG of drawn faces, every other row with its landmarks: `python -m models.faces.synthetic docs/img/drawn-faces.png`."""
    faces = [draw_face(np.random.default_rng([seed, k])) for k in range(rows * columns)]
    tiles = []
    for k, (image, points) in enumerate(faces):
        tile = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if k // columns % 2:
            for x, y in fixed(points):
                cv2.circle(tile, (int(x), int(y)), 16, (80, 220, 60), -1, cv2.LINE_AA, 4)
        tiles.append(tile[48:208, 48:208])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(path, np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)]), (cv2.IMWRITE_PNG_COMPRESSION, 9))


if __name__ == "__main__":
    sheet(sys.argv[1])
