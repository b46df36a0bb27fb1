"""The flat painting of a drawn face: who it is in tones, and the frontal albedo of skin, eyes, brows, lips and beard."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from models.faces import opencv as cv2
from models.faces.brush import blur, curve, disc, fill, fixed, line, noise, oval, paste, soft_line, window
from models.faces.head import Head
from models.faces.landmarks import LEFT_EYE, RIGHT_EYE

TEXELS = 2.0  # texels of the painting a head unit
CORNER, WIDTH, HEIGHT = np.array([-100, -130], np.float32), 400, 520  # where the painting starts (head units), its size (texels)


@dataclass
class Looks:
    """Tones (albedo, 0-255) and what grows on the head."""

    skin: float
    hair: float
    lips: float
    style: str
    beard: float  # density, 0 for none
    moustache: float


_STYLES = {"bald": 0.07, "receding": 0.08, "short": 0.3, "fringe": 0.13, "medium": 0.15, "long": 0.22, "tied": 0.05}


def random_looks(rng: Generator) -> Looks:
    """Draw tones, hair and beard."""
    skin = float(np.clip(rng.normal(170, 32), 75, 225))
    hair = rng.uniform(8, 50) if rng.random() < 0.65 else rng.uniform(60, 215)
    style = rng.choice(list(_STYLES), p=list(_STYLES.values()))
    hairy = style not in ("long", "tied") and rng.random() < 0.45
    beard = hairy * rng.choice([0.0, rng.uniform(0.1, 0.4), rng.uniform(0.6, 1.0)], p=[0.3, 0.45, 0.25])
    moustache = hairy * (rng.uniform(0.5, 1) if rng.random() < 0.3 else beard)
    return Looks(skin, hair, skin * rng.uniform(0.45, 0.92), str(style), float(beard), float(moustache))


def _flat(points: np.ndarray) -> np.ndarray:
    """Head units -> texels of the flat painting."""
    return (np.asarray(points) - CORNER) * TEXELS


def _paint_eye(canvas: np.ndarray, eye: np.ndarray, gaze: np.ndarray, iris: float, skin: float, made_up: bool, rng: Generator) -> None:
    """An eyeball seen through the lids: sclera, iris, pupil, catchlight, shadow of the upper lid; lashes and crease."""
    lids, upper, lower = curve(eye, closed=True), curve(eye[:4]), curve(eye[[3, 4, 5, 0]])
    width = float(np.linalg.norm(eye[3] - eye[0]))
    line(canvas, upper[1:-1] - (0, width * rng.uniform(0.1, 0.2)), 0.74 * skin, 0.05 * width)
    part, corner = window(canvas, lids, 4)
    ball = np.full(part.shape, rng.uniform(190, 245), np.uint8)
    centre = lids.mean(axis=0) - corner + width * (np.array([0.2, 0.08]) * gaze - (0, 0.02))
    radius = width * rng.uniform(0.2, 0.225)
    disc(ball, centre, (radius, radius), 0.5 * iris)
    disc(ball, centre, (0.8 * radius, 0.8 * radius), iris)
    disc(ball, centre, (0.45 * radius, 0.45 * radius), 5)
    line(ball, upper - corner, 0.35 * skin, 0.1 * width)
    ball = blur(ball, 1.2)
    if rng.random() < 0.8:
        disc(ball, centre + radius * np.array([rng.uniform(-0.5, 0.5), -0.4]), (0.22 * radius, 0.22 * radius), 255)
    mask = np.zeros(part.shape, np.uint8)
    fill(mask, lids - corner, 255)
    np.copyto(part, ball, where=mask > 127)
    line(canvas, lower, 0.68 * skin, 0.035 * width)
    line(canvas, upper, (0.12 if made_up else 0.3) * skin, (0.09 if made_up else 0.06) * width)


def _paint_brow(canvas: np.ndarray, brow: np.ndarray, thickness: float, tone: float, strength: float, rng: Generator) -> None:
    """A band that tapers outwards, with short hairs leaning out."""
    path = curve(brow, steps=3)
    half = 0.5 * thickness * (0.3 + 0.7 * np.sin(np.pi * np.linspace(0.15, 0.85, len(path)))[:, None])
    middle = path + thickness * np.array([0, 0.2])
    paste(canvas, np.concatenate([middle - (0, 1) * half, (middle + (0, 1) * half)[::-1]]), tone, 1.8, strength)
    at = rng.integers(len(path), size=24)
    start = middle[at] + (0, 1) * half[at] * rng.uniform(-1, 1, (24, 1))
    outwards = np.sign(brow[:, 0].mean() - canvas.shape[1] / 2)
    end = start + np.stack([outwards * rng.uniform(2, 8, 24), rng.uniform(-6, 1, 24)], axis=1)
    cv2.polylines(canvas, list(fixed(np.stack([start, end], axis=1))), False, float(0.8 * tone), 1, cv2.LINE_AA, 4)


def _paint_mouth(canvas: np.ndarray, mouth: np.ndarray, lips: float, smile: float, rng: Generator) -> None:
    """Lips with soft borders; between them a dark line, or where they part the dark, with teeth and a tongue."""
    paste(canvas, curve(mouth[:12], closed=True, steps=3), lips, 1.3, 0.9)
    upper, lower = curve(mouth[12:17]), curve(mouth[[16, 17, 18, 19, 12]])
    gap = np.ptp(mouth[[14, 18], 1])
    if gap < 2.5:
        line(canvas, (upper + lower[::-1]) / 2, 0.4 * lips, 2.5)
        return
    hole = np.concatenate([upper, lower[1:-1]])
    part, corner = window(canvas, hole, 3)
    inside = np.full(part.shape, rng.uniform(5, 50), np.uint8)
    if gap > 16:
        disc(inside, mouth[18] - corner, (0.3 * np.ptp(hole[:, 0]), 0.35 * gap), rng.uniform(0.4, 0.8) * lips)
    if rng.random() < (0.93 if smile > 0.2 else 0.55):
        tall = np.array([0, min(rng.uniform(9, 16), (1.3 if smile > 0.2 else 0.5) * gap)])
        fill(inside, np.concatenate([upper, upper[::-1] + tall]) - corner, rng.uniform(180, 250))
        gaps = np.linspace(upper[1], upper[-2], 10) - corner
        cv2.polylines(inside, list(fixed(np.stack([gaps, gaps + tall], axis=1))), False, 150.0, 1, cv2.LINE_AA, 4)
        if rng.random() < 0.25 and gap > 8:
            fill(inside, np.concatenate([lower, lower[::-1] - (0, 0.3 * gap)]) - corner, rng.uniform(130, 220))
    inside = blur(inside, 1.2)
    mask = np.zeros(part.shape, np.uint8)
    fill(mask, hole - corner, 255)
    np.copyto(part, inside, where=mask > 127)
    line(canvas, upper, 0.5 * lips, 2)


def paint(head: Head, looks: Looks, rng: Generator) -> np.ndarray:
    """The frontal albedo (texels, uint8) of a face: all that is flat on it."""
    face, skin = head.face, looks.skin
    p = _flat(face.points)
    canvas = cv2.convertScaleAbs(noise(rng, "skin", (HEIGHT, WIDTH)), None, skin * rng.uniform(0.01, 0.045), skin)
    for _ in range(rng.integers(0, 4)):  # moles and spots
        disc(canvas, rng.uniform((90, 80), (310, 420)), rng.uniform(1, 3, 2), 0.5 * skin)
    if rng.random() < 0.12:
        for spot in rng.normal((0, -15), (35, 14), (60, 2)):
            disc(canvas, _flat(spot), (1.5, 1.5), 0.75 * skin)
    _beard(canvas, p, looks, rng)

    made_up = rng.random() < 0.35
    shadow = rng.uniform(0.45, 0.8) if made_up else rng.uniform(0.72, 0.95)
    gaze = rng.normal(0, (0.45, 0.3)).clip(-1, 1)
    iris = rng.uniform(20, 70) if rng.random() < 0.7 else rng.uniform(80, 140)
    for eye in (LEFT_EYE, RIGHT_EYE):
        middle, width = p[eye].mean(axis=0), np.ptp(p[eye][:, 0])
        around = oval(middle - (0, 0.1 * width), 0.75 * width, 0.5 * width)
        paste(canvas, around, shadow * skin, soft=0.2 * width, strength=0.7)
        _paint_eye(canvas, p[eye], gaze, iris, skin, made_up, rng)
    thickness, strength = rng.uniform(7, 20), rng.uniform(0.35, 0.95)
    tone = min(0.8 * looks.hair, 0.6 * skin) if rng.random() < 0.7 else 0.45 * skin
    for brow in (p[17:22], p[22:27]):
        _paint_brow(canvas, brow, thickness, tone, strength, rng)

    for side, wing, inner in ((-1, 31, 32), (1, 35, 34)):
        nostril = 0.3 * p[wing] + 0.7 * p[inner] - (0, rng.uniform(1, 4))
        paste(canvas, oval(nostril, 6.5, 3.5), 0.22 * skin, soft=1.5, strength=rng.uniform(0.5, 1.0))
        wing_line = p[wing] + np.array([(0, -14), (side * 5, -8), (side * 4, 0), (-side * 4, 5)])
        soft_line(canvas, wing_line, 0.7 * skin, 3, rng.uniform(0.2, 0.7))
    _paint_mouth(canvas, p[48:], looks.lips, face.smile, rng)
    return canvas


def _beard(canvas: np.ndarray, p: np.ndarray, looks: Looks, rng: Generator) -> None:
    """Beard, moustache and stubble: hair tone through speckled noise, thickest along the jaw."""
    tone = min(looks.hair * rng.uniform(0.8, 1.5), 0.8 * looks.skin)

    def hairs(part: np.ndarray) -> np.ndarray:
        return tone * (1 + 0.35 * noise(rng, "strand", part.shape))

    if looks.beard:
        top = rng.uniform(-0.1, 0.6)  # how far up the cheek
        cheek = p[[48, 54]] * (1 - top) + p[[2, 14]] * top + (0, 8)
        inner = [cheek[0], p[48] + (-14, 6), p[59] + (0, 10), p[57] + (0, 10), p[55] + (0, 10), p[54] + (14, 6), cheek[1]]
        outline = p[1:16] + 0.1 * (p[1:16] - p[8]) + (0, 8)
        paste(canvas, np.concatenate([outline, inner[::-1]]), hairs, soft=7, strength=looks.beard)
    if looks.moustache:
        low = curve(p[48:55])
        high = curve(np.array([p[48] + (-8, 10), p[48] * 0.6 + p[31] * 0.4, p[33] + (0, 6), p[54] * 0.6 + p[35] * 0.4, p[54] + (8, 10)]))
        paste(canvas, np.concatenate([low, high[::-1]]), hairs, soft=2.5, strength=looks.moustache)
