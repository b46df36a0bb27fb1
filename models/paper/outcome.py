"""Figures 4 and 8, and where the errors are: what trained models make of faces that they never saw."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.random import Generator

from models.faces.draw import DPI, box_legend, draw_boxes, draw_landmarks, error_curves, face_lines, landmark_legend, plain, sheet
from models.faces.geometry import apply, frame
from models.faces.landmarks import COUNT
from models.paper.breakdown import Bin, by_landmark, by_part, missed

SHOWN = 5  # faces in a row of Figures 4 and 8
NAMED = 3  # of the landmarks with the largest errors
BAR = "#5b8db8"


def extremes(errors: np.ndarray, rng: Generator, count: int = SHOWN) -> dict[str, np.ndarray]:
    """Indices of up to `count` faces each, by the title of their row: drawn at random, with the lowest and with the highest errors (N,).

    The random ones are of all faces, in their order; a face without an error (nan: not found) is neither low nor high.
    """
    order = np.argsort(errors)[: np.isfinite(errors).sum()]  # nan comes last
    chosen = np.sort(rng.permutation(len(errors))[:count])
    lost = len(errors) - len(order)
    random = f"drawn at random{f' ({lost} of all {len(errors)} not found)' if lost else ''}"
    rows = {random: chosen, "lowest errors": order[:count], "highest errors, the highest first": order[::-1][:count]}
    return {title: row for title, row in rows.items() if len(row)}


def extremes_figure(
    path: str | Path,
    images: np.ndarray,
    predicted: np.ndarray,
    true: np.ndarray,
    errors: np.ndarray,
    caption_of: Callable[[float], str],
    rng: Generator,
) -> None:
    """Figures 4 (boxes) and 8 (landmarks): rows of random faces, of those with the lowest errors, and of those with the highest.

    images (N, S, S, 1) as the network sees them; predicted and true landmarks (N, 68, 2) or boxes (N, 4, 4), in pixels of the images;
    errors (N,), nan or infinite where no face was found: such a picture is crossed out. caption_of says an error: "3.4 %".
    """
    rows = extremes(np.where(np.isfinite(predicted).all((1, 2)), errors, np.nan), rng)
    shown = np.concatenate(list(rows.values()))
    found = np.isfinite(predicted[shown]).all((1, 2))
    captions = [caption_of(float(errors[n])) if well else "not found" for n, well in zip(shown, found, strict=True)]
    draw, legend = (draw_landmarks, landmark_legend()) if predicted.shape[1] == COUNT else (draw_boxes, box_legend())
    figure, axes = sheet([list(images[row]) for row in rows.values()], captions, legend, list(rows), side=1.8)
    for ax, n in zip(axes, shown, strict=True):
        draw(ax, predicted[n], true[n])
    figure.savefig(path, dpi=DPI)


def ced_figure(path: str | Path, panels: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Cumulative error curves, a panel a subset, in it a curve a training set: {subset: {set: inter-ocular errors (N,)}} (Tables 6, 7)."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, (subset, errors) in zip(axes, panels.items(), strict=False):
        error_curves(ax, errors)
        ax.set_title(f"{subset}: {len(next(iter(errors.values())))} faces", fontsize=10)
    for ax in axes[len(panels) :]:
        ax.remove()
    figure.savefig(path, dpi=DPI)


def landmark_errors_figure(path: str | Path, predicted: np.ndarray, true: np.ndarray) -> None:
    """Mean error of each landmark on the mean of the true faces, and beside it of each part, two (N, 68, 2) -> percent inter-ocular.

    The faces are normalised (eyes level, one size) before their mean is taken. Raises ValueError where no face was found.
    """
    errors, parts = by_landmark(predicted, true), by_part(predicted, true)
    mean = apply(frame(true, upright=True), true).mean(0)  # (68, 2)
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    face_lines(left, mean, "#9aa0a8", linewidth=1)
    scale = Normalize(0, errors.max())
    left.scatter(*mean.T, s=12 + 140 * scale(errors), c=errors, cmap="viridis_r", norm=scale, edgecolor="black", linewidth=0.4, zorder=3)
    middle, rim = mean.mean(0), [withStroke(linewidth=3, foreground="white")]
    for n in np.argsort(errors)[-NAMED:]:
        x, y = (mean[n] - middle) / np.linalg.norm(mean[n] - middle) * (14, -14)
        side = "left" if x > 5 else "right" if x < -5 else "center"
        text: dict[str, Any] = {"ha": side, "va": "center", "fontsize": 9, "path_effects": rim, "zorder": 4}
        left.annotate(f"{n}: {errors[n]:.1f} %", mean[n], (x, y), textcoords="offset points", **text)
    left.set_aspect("equal")
    left.margins(0.2, 0.12)
    left.invert_yaxis()
    left.set_axis_off()
    figure.colorbar(ScalarMappable(scale, "viridis_r"), ax=left, label="mean error, % inter-ocular", shrink=0.8)
    left.set_title(f"{len(true) - missed(predicted)} faces", fontsize=10)
    bars(right, list(parts), list(parts.values()), [f"{value:.2f} %" for value in parts.values()])
    right.set_xlabel("mean error, % inter-ocular")
    figure.savefig(path, dpi=DPI)


def pose_figure(path: str | Path, rows: Mapping[str, Sequence[Bin]]) -> None:
    """Mean error by the turn of the head, a panel an angle: {"yaw": [(bin, faces, percent inter-ocular or None), ...], ...}."""
    figure = Figure(figsize=(9.0, 3.1), layout="constrained")
    axes = figure.subplots(1, len(rows), sharex=True, squeeze=False)[0]
    for ax, (angle, bins) in zip(axes, rows.items(), strict=True):
        names = [f"{name}\n{count} face{'s' * (count != 1)}" for name, count, _ in bins]
        errors = [0.0 if error is None else error for _, _, error in bins]
        bars(ax, names, errors, ["" if error is None else f"{error:.2f} %" for _, _, error in bins])
        ax.set(title=angle, xlabel="mean error, % inter-ocular")
    figure.savefig(path, dpi=DPI)


def bars(ax: Axes, names: Sequence[str], values: Sequence[float], labels: Sequence[str]) -> None:
    """Horizontal bars, the first on top, each with its label at the end."""
    drawn = ax.barh(range(len(names)), values, height=0.65, color=BAR)
    ax.bar_label(drawn, labels, padding=4, fontsize=8)
    ax.set_yticks(range(len(names)), names)
    ax.margins(x=0.3)  # room for the labels
    ax.invert_yaxis()
    plain(ax)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
