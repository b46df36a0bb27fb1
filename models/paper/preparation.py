"""Figures 1, 2 and 3: how faces become what the networks are trained on."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.patches import Arc, Rectangle
from matplotlib.patheffects import withStroke
from numpy.random import Generator

from models.faces.augment import Augmentation, random_frames, view
from models.faces.boxes import PART_BOXES, part_boxes
from models.faces.crops import Faces
from models.faces.draw import (
    DASHES,
    DPI,
    GROUND,
    PART_COLOURS,
    PREDICTED,
    TRUE,
    Legend,
    box_legend,
    box_outline,
    face_lines,
    in_rows,
    sheet,
)
from models.faces.geometry import eye_angle
from models.faces.landmarks import eye_centres, pupil_distance, tight_box

COPIES = 4  # augmented copies of a face in Figure 3
FINE = 224  # side of Figure 2's frames, px: twice the network's, so that one sees something
LINE = PART_COLOURS[0]
NEARLY_ALL = 10**9  # of an augmented set's members are copies where it has so many of each face


def parts_figure(path: str | Path, faces: Faces) -> None:
    """Figure 1: up to four faces, each twice: landmarks with the tight box of each part, and the boxes made of them.

    A box reaches 2 px of the 112-px frame further down than the tight one; that strip is filled.
    """
    faces = faces[:4]
    images, points = view(faces, np.arange(len(faces)), "original", None)  # (n, 112, 112, 1), (n, 68, 2)
    boxes = part_boxes(points)  # (n, 4, 4)
    captions = ["landmarks, tight boxes", "the boxes: 2 px further down"] * len(faces)
    legend = box_legend(False) | {"2 px added": {"color": TRUE, "linewidth": 6, "alpha": 0.5}}
    figure, axes = sheet(in_rows(np.repeat(images, 2, axis=0), 4), captions, legend)
    for n, (left, right) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        near, far = boxes[n, :, :2].min(0), boxes[n, :, 2:].max(0)
        middle, half = (near + far) / 2, (far - near).max() / 2 + 4
        for ax in (left, right):
            ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] + half, middle[1] - half))
        for box, indices, colour in zip(boxes[n], PART_BOXES.values(), PART_COLOURS, strict=True):
            tight = tight_box(points[n, indices])
            left.plot(*points[n, indices].T, ".", color=colour, markersize=5)
            box_outline(left, tight, edgecolor=colour, linewidth=1, linestyle=DASHES)
            right.add_patch(Rectangle((box[0], tight[3]), box[2] - box[0], box[3] - tight[3], color=TRUE, alpha=0.5, linewidth=0))
            box_outline(right, box, edgecolor=colour, linewidth=1.8)
    figure.savefig(path, dpi=DPI)


def rotation_figure(path: str | Path, faces: Faces) -> None:
    """Figure 2: of the most tilted face the line between the eye centres and its angle, and beside it the normalised face."""
    tilted = np.abs(eye_angle(faces.landmarks)).argmax(keepdims=True)
    (before, points), (after, normal) = (view(faces, tilted, kind, None, size=FINE) for kind in ("original", "normalised"))
    angle = np.degrees(eye_angle(points[0]))
    captions = [
        f"the line between the eye centres: θ = {angle:.1f}°\n(positive where the right eye is lower)",
        "turned by θ about the mean landmark,\nthe longer side of its box half of the frame",
    ]
    legend: Legend = {
        "landmarks": {"color": PREDICTED, "marker": ".", "linestyle": ""},
        "line between the eye centres": {"color": LINE},
        "horizontal": {"color": TRUE, "linestyle": DASHES},
        "mean landmark": {"color": TRUE, "marker": "+", "linestyle": "", "markersize": 9},
    }
    figure, axes = sheet([[before[0], after[0]]], captions, legend, side=4.4)
    for ax, face in zip(axes, (points[0], normal[0]), strict=True):
        eyes = eye_centres(face)
        ax.plot(*face.T, ".", color=PREDICTED, markersize=4)
        along = (eyes[1] - eyes[0]) / 2
        ax.plot(*np.stack([eyes[0] - along, eyes[1] + along]).T, color=LINE, linewidth=2)
        ax.plot(*eyes.T, "o", color=LINE, markersize=5)
        ax.plot(*face.mean(0), "+", color=TRUE, markersize=12, markeredgewidth=2)
    left, right = axes
    corner, reach = eye_centres(points[0])[0], 1.6 * float(pupil_distance(points[0]))
    left.plot(*np.stack([corner, corner + np.array([reach, 0])]).T, color=TRUE, linewidth=1.2, linestyle=DASHES)
    left.add_patch(Arc(tuple(corner), 1.7 * reach, 1.7 * reach, theta1=min(0, angle), theta2=max(0, angle), color=TRUE, linewidth=1.5))
    x, y = corner + 0.93 * reach * np.array([np.cos(np.radians(angle / 2)), np.sin(np.radians(angle / 2))])
    rim = [withStroke(linewidth=3, foreground=GROUND)]
    left.text(x, y, f"{angle:.1f}°", color=TRUE, fontsize=12, ha="left", va="center", path_effects=rim)
    box_outline(right, tight_box(normal[0]), edgecolor=TRUE, linewidth=0.9, linestyle=DASHES)
    figure.savefig(path, dpi=DPI)


def augmentation_figure(path: str | Path, faces: Faces, augmentation: Augmentation, rng: Generator) -> None:
    """Figure 3: of each of up to three faces its original, its normalised self and random copies, with what was drawn for each copy.

    A caption says what is seen against the normalised face: the turn (positive: clockwise), the scale, and how far the mean landmark
    has moved, in pixels of the 112-px frame.
    """
    faces = faces[:3]
    rows, captions, landmarks = [], [], []
    copies = replace(augmentation, copies=NEARLY_ALL)
    for n in range(len(faces)):
        (first, original), (second, normal) = (view(faces, np.array([n]), kind, None) for kind in ("original", "normalised"))
        index = np.full(COPIES, n)
        mirrored = random_frames(faces.landmarks[index], deepcopy(rng), copies)[1]
        images, points = view(faces, index, "augmented", rng, copies)
        rows.append([first[0], second[0], *images])
        landmarks += [original[0], normal[0], *points]
        turn = np.degrees(eye_angle(points))
        scale = pupil_distance(points) / pupil_distance(normal)
        x, y = (points.mean(1) - normal.mean(1)).T
        captions += ["original", "normalised"]
        captions += [
            f"{round(turn[k]):+d}°, × {scale[k]:.2f}\n{round(x[k]):+d}, {round(y[k]):+d} px{', mirrored' if mirrored[k] else ''}"
            for k in range(COPIES)
        ]
    figure, axes = sheet(rows, captions, {"landmarks": {"color": PREDICTED}}, side=1.5)
    for ax, face in zip(axes, landmarks, strict=True):
        face_lines(ax, face, PREDICTED, linewidth=0.9)
    figure.savefig(path, dpi=DPI)
