"""What surrounds a drawn face: hair, ears, body, glasses, hats, things held in front of it, and a background.

All are placed in head coordinates and projected by the same camera.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2
from models.faces.brush import TURN, blur, curve, disc, line, noise, oval, paste
from models.faces.head import Camera, Head, smoothstep
from models.faces.landmarks import LEFT_EYE, RIGHT_EYE
from models.faces.light import Light
from models.faces.paint import Looks


def grow(head: Head, looks: Looks, rng: Generator) -> np.ndarray:
    """Thicken the head under its hair (in place) and return how much of each grid point is hair, 0-1."""
    if looks.style == "bald":
        return np.zeros_like(head.x)
    around = np.abs(head.theta)
    front = {"receding": -128, "fringe": -76, "medium": -100, "long": -104}.get(looks.style, -104) + rng.normal(0, 6)
    temple = front + (34 if looks.style != "receding" else 22)
    ear = rng.uniform(-5, 60) if looks.style in ("medium", "long") else rng.uniform(-45, -5)
    edge = np.interp(around, [0, 0.75, 1.2, 1.5, 1.75, 2.2, np.pi], [front, front + 6, max(temple, -75), ear - 15, ear, 45, 50])
    parting = rng.uniform(-1.2, 1.2)
    edge = edge - rng.uniform(0, 22) * np.exp(-(((head.theta - parting) / 0.35) ** 2)) * (looks.style != "fringe")
    columns = len(head.theta)
    edge = edge + rng.uniform(1, 4) * noise(rng, "strand", (1, columns))[0] + rng.uniform(0, 6) * noise(rng, "cloth", (1, columns))[0]
    hair = np.clip((edge - head.y) / rng.uniform(2, 7) + 0.5, 0, 1).astype(np.float32)
    volume = {"short": rng.uniform(2, 16), "receding": rng.uniform(1, 6)}.get(looks.style, rng.uniform(6, 20))
    out = np.where(head.y_of < head.ears, head.radius / head.radius.max(), 1).astype(np.float32)[:, None]  # up at the top, out at the sides
    lift = np.float32(volume) * blur(hair, 4) * (1 + 0.25 * out * noise(rng, "cloud", hair.shape))
    lift *= 0.1 + 0.9 * smoothstep(-head.y, -10, 100)
    head.x += lift * out * np.sin(head.theta).astype(np.float32)
    head.z += lift * out * np.cos(head.theta).astype(np.float32)
    head.y -= lift * np.sqrt(1 - out**2)
    return hair


def background(rng: Generator, size: int) -> np.ndarray:
    """Something behind: a slope of gray, noise of some scale, and blobs, bars and lines, sharp or out of focus."""
    slope = np.add.outer(np.linspace(-1, 1, size), rng.uniform(-1, 1) * np.linspace(-1, 1, size)).astype(np.float32)
    kind = rng.choice(["grain", "cloth", "cloud", "sky", "strand", "lock"])
    gray = rng.uniform(0, 255) + rng.normal(0, 30) * slope + rng.uniform(0, 45) * rng.random() * noise(rng, kind, (size, size))
    canvas = np.clip(gray, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        for _ in range(rng.integers(1, 14)):
            at, tone = rng.uniform(0, size, 2), rng.uniform(0, 255)
            shape = rng.integers(4)
            if shape == 0:
                disc(canvas, at, rng.uniform(5, 0.2 * size, 2), tone, rng.uniform(0, 180))
            elif shape == 1:
                cv2.rectangle(canvas, at.astype(int).tolist(), (at + rng.uniform(10, 0.5 * size, 2)).astype(int).tolist(), tone, -1)
            elif shape == 2:
                line(canvas, [at, rng.uniform(0, size, 2)], tone, rng.uniform(1, 24))
            else:  # somebody else, far off or close
                width = rng.uniform(0.05, 0.15) * size
                disc(canvas, at + width * np.array([0, 1.9]), (1.6 * width, width), rng.uniform(0, 255))
                disc(canvas, at, (width, 1.35 * width), tone)
                disc(canvas, at - width * np.array([0, 0.8]), (1.05 * width, 0.75 * width), 0.4 * tone)
        if rng.random() < 0.7:
            canvas = blur(canvas, rng.uniform(0.5, 12))
    return canvas


def _outline(points: np.ndarray, rng: Generator, rough: float) -> np.ndarray:
    """Convex hull of points (n, 2), made a little uneven."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    around = curve(hull[:: max(1, len(hull) // 24)].astype(float), closed=True, steps=3)
    return around + rough * rng.normal(size=around.shape)


def _strands(tone: float, rng: Generator) -> Callable:
    """The look of hair, for `paste`."""
    fine = rng.uniform(0.05, 0.25)
    return lambda part: tone * np.clip(1 + fine * noise(rng, "strand", part.shape) + 0.3 * noise(rng, "lock", part.shape), 0.2, 2)


def back_hair(canvas: np.ndarray, head: Head, camera: Camera, looks: Looks, light: Light, rng: Generator) -> None:
    """The hair behind the head and on the shoulders, or gathered in a knot."""
    if looks.style not in ("medium", "long", "tied"):
        return
    tone = looks.hair * (light.ambient + 0.35)
    wide, low = rng.uniform(1.02, 1.3), {"medium": rng.uniform(20, 90), "long": rng.uniform(90, 240)}.get(looks.style, 0)
    skull = np.stack([head.x * wide, head.y * wide, head.z - 20], axis=-1)[head.y_of < 0].reshape(-1, 3)[::23]
    ends = np.array([(s * rng.uniform(70, 115) * wide, low * f, z) for s in (-1, 1) for f in (0.5, 1) for z in (-60, 10)])
    if looks.style == "tied":
        knot = np.array([rng.uniform(-60, 60), rng.uniform(-170, -60), -80])
        paste(canvas, _outline(camera.project(knot + rng.normal(0, 26, (30, 3))), rng, 2), _strands(tone, rng), 2)
        ends = skull[:1]
    paste(canvas, _outline(camera.project(np.concatenate([skull, ends])), rng, 3), _strands(tone, rng), 2.5)


def locks(canvas: np.ndarray, camera: Camera, looks: Looks, light: Light, rng: Generator) -> None:
    """Long hair that falls over the sides of the face."""
    if looks.style != "long":
        return
    for side in (-1, 1):
        if side * camera.yaw > 0.35 or rng.random() < 0.3:  # hidden behind the head, or put behind the ear
            continue
        low, over = rng.uniform(60, 230), rng.uniform(-6, 16)
        inner = np.array(
            [(20, -150, 50), (55, -105, 62), (76 - 0.5 * over, -60, 50), (82 - over, -15, 36), (84 - over, 35, 26), (78, low, 25)]
        )
        outer = np.array([(95, low, 0), (112, 40, 0), (106, -20, 0), (98, -80, 0), (60, -150, 20)])
        lock = curve(camera.project(np.concatenate([inner, outer]) * (side, 1, 1)), closed=True, steps=4)
        paste(canvas, lock, _strands(looks.hair * (light.ambient + 0.45 * (1 + side * light.direction[0])), rng), 2)


def body(canvas: np.ndarray, head: Head, camera: Camera, looks: Looks, light: Light, rng: Generator) -> None:
    """Neck and shoulders: skin in the shadow of the chin, and clothes of some pattern."""
    direction, ambient = light.direction, light.ambient
    chin = head.y_of[-1]
    across, depth = rng.uniform(48, 66), -15
    neck = np.array([(-across, 10, depth), (across, 10, depth), (across * 1.1, chin + 70, depth), (-across * 1.1, chin + 70, depth)])
    around = np.linspace(-1, 1, 64)  # across the neck, a cylinder
    lit = ambient + (1.25 - ambient) * np.maximum(around * direction[0] + np.sqrt(1 - 0.8 * around**2) * direction[2], 0)

    def skin(part: np.ndarray) -> np.ndarray:
        across = np.interp(np.linspace(-1, 1, part.shape[1]), around, lit)
        return looks.skin * across * np.clip(np.linspace(0.1, 1.1, part.shape[0]), 0.4, 0.9)[:, None]

    paste(canvas, camera.project(neck), skin, 2)
    cloth, wave = rng.uniform(5, 240), rng.uniform(0, 50) * (rng.random() < 0.4)
    angle, step = rng.uniform(0, np.pi), rng.uniform(0.05, 0.5)
    open_, drop = rng.uniform(20, 75), rng.uniform(30, 62)
    kind = rng.choice(["cloud", "cloth", "sky"])

    def pattern(part: np.ndarray) -> np.ndarray:
        down, across = (
            np.arange(n, dtype=np.float32) * step * turn for n, turn in zip(part.shape, (np.cos(angle), np.sin(angle)), strict=True)
        )
        down, across = np.stack([np.sin(down), np.cos(down)], axis=1), np.stack([np.cos(across), np.sin(across)])
        stripes = (np.float32(wave) * down) @ across  # wave sin(down + across)
        side = np.linspace(-1, 1, part.shape[1], dtype=np.float32)
        return stripes + 12 * noise(rng, kind, part.shape) + np.float32(cloth + 20 * direction[0] * side)

    wide = rng.uniform(150, 240)
    half = np.array(
        [(0, drop + 25), (open_ * 0.6, drop), (open_, drop - 15), (wide * 0.75, drop + 25), (wide, drop + 60), (wide * 1.1, 500)]
    )
    both = np.concatenate([half[::-1] * (-1, 1), half])
    turned = Camera(0.4 * camera.yaw, 0, 0, camera.distance)
    turned.plane, turned.offset = camera.plane, camera.offset
    clothes = turned.project(np.c_[both + np.array([0, chin - 25]), np.full(len(both), depth)])
    clothes += camera.project(np.array([0.0, 60, depth])) - turned.project(np.array([0.0, 60, depth]))  # under the neck
    paste(canvas, clothes, pattern, 1)


def ear(canvas: np.ndarray, head: Head, camera: Camera, side: int, looks: Looks, light: Light, rng: Generator) -> None:
    """One ear: a bowl of skin with a dark fold."""
    turn = TURN[:, None]
    centre = np.array([side * (head.radius.max() - 3), -22, -8])
    rim = centre + np.cos(turn) * np.array([side * 7, 2, -15]) + np.sin(turn) * np.array([side * 2, 26, -3])
    tone = looks.skin * (light.ambient * 0.9 + 0.35 * max(0, side * light.direction[0] + 0.5 * light.direction[2]))
    paste(canvas, camera.project(rim), tone, 1)
    paste(canvas, camera.project(centre + 0.6 * (rim - centre)), 0.6 * tone, 1.5)


def glasses(canvas: np.ndarray, head: Head, camera: Camera, rng: Generator) -> None:
    """Frames in front of the eyes, clear or dark, with a gleam."""
    p = head.face.points
    tone, width = rng.choice([rng.uniform(0, 60), rng.uniform(90, 230)], p=[0.8, 0.2]), rng.uniform(1.5, 7)
    dark, corner = rng.random() < 0.4, rng.uniform(0.45, 1.0)
    size, drop = np.array([rng.uniform(23, 31), rng.uniform(13, 24)]), rng.uniform(0, 6)
    z = head.lift(p[27])[2] + 3
    for eye, side in ((LEFT_EYE, -1), (RIGHT_EYE, 1)):
        round_ = oval(np.zeros(2), 1, 1)
        rim = p[eye].mean(axis=0) + (side * 1.5, drop) + size * np.sign(round_) * np.abs(round_) ** corner
        rim = camera.project(np.c_[rim, z - 0.0045 * rim[:, 0] ** 2])
        if dark:
            paste(canvas, rim, lambda part: np.linspace(8, 60, part.shape[0])[:, None], 0, 0.93)
        if rng.random() < 0.4:
            a = rim.mean(axis=0) + 0.5 * (rim[[3, 6, 10, 14]] - rim.mean(axis=0))
            paste(canvas, a, rng.uniform(150, 255), 3, rng.uniform(0.1, 0.6))
        line(canvas, rim, tone, width, closed=True)
        if side * camera.yaw < 0.25:
            hinge = np.array([side * (p[eye, 0] * side).max() + side * 12, p[eye, 1].mean() - 3])
            arm = np.array([(*hinge, z - 0.0045 * hinge[0] ** 2), (side * (head.radius.max() + 3), -35, 0)])
            line(canvas, camera.project(arm), tone, width)
    bridge = p[[39, 42]] + ((-1, 2), (1, 2))
    line(canvas, camera.project(np.c_[bridge, (z, z)]), tone, width)


def hat(canvas: np.ndarray, camera: Camera, light: Light, rng: Generator) -> None:
    """A cap with a peak, or a knitted hat, pulled down to the forehead."""
    edge, high, wide = rng.uniform(-105, -80), rng.uniform(-185, -160), rng.uniform(1.04, 1.16)
    tone = rng.uniform(10, 235) * (light.ambient + 0.4)
    t = TURN[:, None]
    brow = np.concatenate([np.sin(t) * 84 * wide, edge - 7 * (1 - np.cos(t)), np.cos(t) * 98 * wide], axis=1)
    top = brow * (0.72, 0, 0.72) + (0, high, 0)
    lower_top = brow * (0.97, 0, 0.97) + (0, 0.6 * high + 0.4 * edge, 0)
    crown = cv2.convexHull(camera.project(np.concatenate([brow, lower_top, top])).astype(np.float32))[:, 0].astype(float)

    def cloth(part: np.ndarray) -> np.ndarray:
        return tone * (1 + 0.4 * light.direction[0] * np.linspace(-1, 1, part.shape[1]) + 0.12 * noise(rng, "cloth", part.shape))

    paste(canvas, curve(crown, closed=True, steps=3), cloth, 1)
    if rng.random() < 0.6:
        s = np.linspace(-1.2, 1.2, 9)[:, None]
        near = np.concatenate([np.sin(s) * 84 * wide, edge + 0 * s, np.cos(s) * 98 * wide], axis=1)
        far = np.concatenate([np.sin(s) * 80, edge + 8 + 12 * s**2, np.cos(s) * rng.uniform(130, 165) + 5], axis=1)
        paste(canvas, camera.project(np.concatenate([near, far[::-1]])), 0.65 * tone, 1)


def cover(canvas: np.ndarray, camera: Camera, looks: Looks, light: Light, rng: Generator) -> None:
    """Something in front of the face: a hand, hair, a microphone, a cup, a scarf."""
    thing = rng.choice(["hand", "hair", "microphone", "cup", "scarf"], p=[0.35, 0.25, 0.12, 0.13, 0.15])
    place = camera.project(np.array([rng.uniform(-90, 90), rng.uniform(0, 100), 100]))
    unit = float(np.linalg.norm(camera.plane[0]))
    if thing == "hand":
        tone, side = looks.skin * (light.ambient + 0.5) * rng.uniform(0.8, 1.1), rng.choice([-1, 1])
        palm = place + unit * np.array([side * 30, 50])
        aim = np.arctan2(-1, -side * rng.uniform(0, 1.2))
        for finger in np.linspace(-0.5, 0.5, rng.integers(2, 5)):
            tip = palm + unit * rng.uniform(60, 85) * np.array([np.cos(aim + finger), np.sin(aim + finger)])
            bend = (palm + tip) / 2 + unit * rng.normal(0, 4, 2)
            for width, shade in ((19, 0.55), (16, 0.9), (9, 1.0)):
                line(canvas, curve(np.array([palm, bend, tip])), min(255, shade * tone), width * unit)
        paste(canvas, oval(palm, 30 * unit, 34 * unit), min(255, 0.9 * tone), 3)
        line(canvas, [palm, palm + unit * np.array([side * 60, 200])], min(255, 0.8 * tone), 48 * unit)
    elif thing == "hair":
        for _ in range(rng.integers(3, 30)):
            x = rng.normal(0, 45)
            points = np.array([(x * 0.6, -130, 60), (x, -70, 98), (x * 1.2 + rng.normal(0, 12), rng.uniform(-60, 30), 100)])
            line(canvas, curve(camera.project(points)), looks.hair * rng.uniform(0.5, 1.1), rng.uniform(1, 3))
    elif thing == "microphone":
        line(canvas, [place, place + unit * np.array([rng.normal(0, 60), 200])], rng.uniform(5, 60), 18 * unit)
        paste(canvas, oval(place, 20 * unit, 24 * unit), lambda part: 60 + 25 * noise(rng, "fine", part.shape), 1)
    elif thing == "cup":
        shape = np.array([(-26, -10), (26, -10), (20, 70), (-20, 70)]) * unit * rng.uniform(0.8, 1.4)
        tone = rng.uniform(20, 240)
        paste(canvas, place + shape, lambda part: tone * (1 - 0.4 * np.linspace(-1, 1, part.shape[1]) ** 2), 1)
    else:
        low = rng.uniform(35, 80)
        shape = np.array(
            [(-105, low - 20, 20), (-40, low, 85), (0, low + 6, 100), (40, low, 85), (105, low - 20, 20), (115, 200, 20), (-115, 200, 20)]
        )
        tone = rng.uniform(10, 220)
        paste(canvas, curve(camera.project(shape), closed=True), lambda part: tone + 20 * noise(rng, "cloth", part.shape), 1)
