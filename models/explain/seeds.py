"""What each seeding number does: the face drawn again with one number of S_part moved (Figure 5's idea, on faces)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.random import Generator

from models.corefan import SEED, Corefan
from models.explain.face import WIDTH, Face, part_lines
from models.explain.gif import stage
from models.explain.recurrent import seeds_and_features, trace
from models.faces.augment import Augmentation, random_frames
from models.faces.geometry import apply
from models.faces.landmarks import PARTS, POLYLINES, tight_box
from models.locate import cut

VIEWS = 48
AMOUNTS = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])  # standard deviations
COLOURS = ("#2166ac", "#7fb3d9", "#333333", "#f09a76", "#b2182b")
FPS, SWEEP = 8, 12  # frames a second, frames a part


def spread(model: Corefan, face: Face, augmentation: Augmentation, rng: Generator) -> np.ndarray:
    """Standard deviation (5, 10) of each seeding number over views of this face, turned, scaled and shifted as copies in training are."""
    landmarks = np.repeat(apply(np.linalg.inv(face.matrix), face.points)[None], VIEWS, axis=0)
    matrices, _, _ = random_frames(landmarks, rng, replace(augmentation, mirror=False), face.size)
    views = cut(np.broadcast_to(face.photo, (VIEWS, *face.photo.shape)), matrices, face.size)
    return seeds_and_features(model, views)[0].std(0)


def moved(model: Corefan, face: Face, unit: np.ndarray, amounts: np.ndarray = AMOUNTS) -> np.ndarray:
    """The face drawn with each seeding number alone moved by each amount of its `unit` (5, 10): (5, 10, A, 68, 2), in px of the frame."""
    seeds, features = seeds_and_features(model, face.image)
    alone = np.diag(unit.ravel())[:, None] * amounts[:, None]  # (50, A, 50)
    many = (seeds.reshape(-1) + alone).reshape(-1, *unit.shape).astype(seeds.dtype)
    points = trace(model, many, np.repeat(features, len(many), axis=0)).points
    return points.reshape(*unit.shape, len(amounts), *points.shape[1:])


def effect(drawn: np.ndarray) -> np.ndarray:
    """How far the landmarks go from the least to the greatest amount, their mean, in px: (5, 10, A, 68, 2) -> (5, 10)."""
    return np.linalg.norm(drawn[:, :, -1] - drawn[:, :, 0], axis=-1).mean(-1)


def seeds_figure(drawn: np.ndarray) -> Figure:
    """A column a part, a row a seeding number, blue where it is least, red where most, dark gray unmoved; with how far it goes."""
    x0, y0, x1, y1 = tight_box(drawn.reshape(-1, 2))
    width, height = 1.12 * (x1 - x0), 1.25 * (y1 - y0)
    figure = Figure(figsize=(WIDTH, WIDTH / len(PARTS) * SEED * height / width))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, len(PARTS) * width), ylim=(SEED * height, 0))
    ax.set_axis_off()
    far = effect(drawn)
    for part, name in enumerate(PARTS):
        for k in range(SEED):
            corner = np.array([part * width, k * height])
            ax.text((part + 0.5) * width, (k + 0.09) * height, f"{name} {k + 1}: {far[part, k]:.1f} px", ha="center", fontsize=9)
            places = drawn[part, k] - [x0, y0] + corner + [0.06 * width, 0.18 * height]
            for a in (0, 4, 1, 3, 2):  # the unmoved one last: what no number moves stays gray
                outline(ax, places[a], COLOURS[a])
    return figure


def outline(ax: Axes, points: np.ndarray, colour: str) -> None:
    """The lines of a face."""
    lines = [points[np.r_[indices, indices[0]] if closed else indices] for indices, closed in POLYLINES]
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=1))


def sweep_gif(path: Path, model: Corefan, face: Face, unit: np.ndarray, best: np.ndarray) -> None:
    """One number of each part, best (5,), there and back: 0, the greatest amount, 0, the least, 0."""
    swing = AMOUNTS[-1] * np.sin(2 * np.pi * np.arange(SWEEP) / SWEEP)
    drawn = moved(model, face, unit, swing)
    with stage(path, face, FPS) as each:
        for part, name in enumerate(PARTS):
            for amount, points in zip(swing, drawn[part, best[part]], strict=True):
                part_lines(each.ax, points, linewidth=1.8)
                each.shoot(f"{name}, seeding number {best[part] + 1}: {amount:+.1f} standard deviations")
