"""Pictures for people: sheets of faces with landmarks or boxes, error curves, and landmarks on a photo.

The sheets and plots are PNG files at 120 dots an inch; true values are drawn in white, predicted ones in colour.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from models.faces.augment import normalise_gray
from models.faces.boxes import PART_BOXES
from models.faces.landmarks import POLYLINES
from models.faces.metrics import LIMIT, auc, ced, failure_rate

DPI = 120
GROUND = "#1d1f24"
TRUE = "white"
DASHES = (0, (3, 2))
PREDICTED = "#ff9d2e"
WRONG = "#ff4d4d"
PART_COLOURS = ("#4cc9f0", "#80ed99", "#ff9d2e", "#ff6b9a")

Legend = dict[str, dict[str, Any]]  # what it says: the style of its line


def landmark_sheet(
    path: str | Path, images: np.ndarray, predicted: np.ndarray, true: np.ndarray | None, captions: Sequence[str] = ()
) -> None:
    """Faces side by side with predicted and, where known, true landmarks.

    images (N, S, S) or (N, S, S, 1), gray levels or what the network sees; landmarks (N, 68, 2) in pixels of the image, nan where
    none were found; a caption a face.
    """
    figure, axes = sheet(in_rows(images), captions, landmark_legend(true is not None))
    for n, ax in enumerate(axes):
        draw_landmarks(ax, predicted[n], None if true is None else true[n])
    figure.savefig(path, dpi=DPI)


def box_sheet(path: str | Path, images: np.ndarray, predicted: np.ndarray, true: np.ndarray | None, captions: Sequence[str] = ()) -> None:
    """Faces side by side with the predicted boxes of the four parts in colour and, where known, the true ones dashed in white.

    images as in `landmark_sheet`; boxes (N, 4, 4) as x0, y0, x1, y1 in pixels of the image, nan where none were found.
    """
    figure, axes = sheet(in_rows(images), captions, box_legend(true is not None))
    for n, ax in enumerate(axes):
        draw_boxes(ax, predicted[n], None if true is None else true[n])
    figure.savefig(path, dpi=DPI)


def ced_plot(path: str | Path, errors: Mapping[str, np.ndarray], limit: float = LIMIT) -> None:
    """Cumulative error curves up to `limit`, one for each named array of inter-ocular errors (N,), with area and failure rate."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    error_curves(figure.subplots(), errors, limit)
    figure.savefig(path, dpi=DPI)


def loss_plot(path: str | Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Training loss and validation error over the epochs.

    rows: lines of metrics.jsonl, each with "epoch", "loss" and then the validation errors, of which the first is drawn.
    """
    error = next(name for name in rows[0] if name not in ("epoch", "loss"))
    epochs = np.array([row["epoch"] for row in rows])
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for ax, name, colour in ((left, "loss", "C0"), (right, error, "C1")):
        values = np.array([row[name] for row in rows])
        ax.plot(epochs, values, color=colour, linewidth=1.8, marker="o" if len(rows) < 30 else None, markersize=3.5)
        ax.set(xlabel="epoch", xlim=(0, 1.04 * epochs[-1]))
        if (span := values.max() / values.min()) > 3:
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span > 20 else (1, 1.5, 2, 3, 4, 5, 7)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain(ax)
    best = np.nanargmin(values)
    right.plot(epochs[best], values[best], "o", color="black", markersize=7, fillstyle="none")
    left.set_title("training loss", fontsize=10)
    right.set_title(f"validation {error.replace('_', ' ')}: best {values[best]:.4g}, epoch {epochs[best]}", fontsize=10)
    figure.savefig(path, dpi=DPI)


def in_rows(images: np.ndarray, columns: int = 6) -> list[list[np.ndarray]]:
    """Images cut into rows of a sheet."""
    return [list(images[k : k + columns]) for k in range(0, len(images), columns)]


def sheet(
    rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], legend: Legend, titles: Sequence[str] = (), side: float = 2.2
) -> tuple[Figure, list[Axes]]:
    """Rows of pictures `side` inches wide on a dark ground, with a caption below each, a title over each row, and one legend above all.

    Gives the figure and an axes a picture, in order.
    """
    columns = max(map(len, rows))
    width = max(side * columns, 4.4)
    lines = max((caption.count("\n") for caption in captions), default=0)
    above, below = 0.3 * bool(titles), 0.25 + 0.13 * lines  # of a picture, inches
    entries = min(len(legend), int(width / 1.3))  # in one line of the legend
    head = 0.15 + 0.2 * -(-len(legend) // entries)
    height = (above + side + below) * len(rows) + head
    figure = Figure(figsize=(width, height), facecolor=GROUND)
    axes: list[Axes] = []
    for r, row in enumerate(rows):
        bottom = (above + side + below) * (len(rows) - 1 - r) + below + 0.02
        if titles:
            figure.text(0.02 / columns, (bottom + side + 0.06) / height, titles[r], color="white", fontsize=10, va="bottom")
        for column, image in enumerate(row):
            ax = figure.add_axes(((column + 0.02) / columns, bottom / height, 0.96 / columns, (side - 0.05) / height))
            show(ax, image)
            if len(axes) < len(captions):
                ax.text(0.5, -0.03, captions[len(axes)], color="white", fontsize=8, ha="center", va="top", transform=ax.transAxes)
            axes.append(ax)
    handles = [Line2D([], [], **{"linewidth": 2, "label": name, **style}) for name, style in legend.items()]
    figure.legend(handles=handles, loc="upper center", ncols=entries, frameon=False, labelcolor="white", fontsize=9)
    return figure, axes


def show(ax: Axes, image: np.ndarray) -> None:
    """A gray picture, (S, S) or (S, S, 1): gray levels or what the network sees, from black to white, without axes."""
    low, high = (0, 255) if image.dtype == np.uint8 else normalise_gray(np.array([0, 255]))
    ax.imshow(np.squeeze(image), cmap="gray", vmin=low, vmax=high, interpolation="bicubic")
    ax.autoscale(False)  # landmarks beyond the frame are cut off
    ax.set_axis_off()


def landmark_legend(true: bool = True) -> Legend:
    """What the colours of `draw_landmarks` mean."""
    return ({"true": {"color": TRUE}} if true else {}) | {"predicted": {"color": PREDICTED}}


def box_legend(true: bool = True) -> Legend:
    """What the colours of `draw_boxes` mean."""
    parts: Legend = {part: {"color": colour} for part, colour in zip(PART_BOXES, PART_COLOURS, strict=True)}
    return parts | ({"true": {"color": TRUE, "linestyle": DASHES}} if true else {})


def draw_landmarks(ax: Axes, predicted: np.ndarray, true: np.ndarray | None = None) -> None:
    """One face's landmarks (68, 2) over its picture; a picture whose prediction is nan is crossed out."""
    if true is not None:
        face_lines(ax, true, TRUE, alpha=0.75, linewidth=0.9)
    if np.isnan(predicted).any():
        return cross_out(ax)
    face_lines(ax, predicted, PREDICTED, alpha=0.9, linewidth=0.9)
    ax.plot(*predicted.T, ".", color=PREDICTED, markersize=2.6)


def draw_boxes(ax: Axes, predicted: np.ndarray, true: np.ndarray | None = None) -> None:
    """One face's boxes (4, 4) over its picture; a picture whose prediction is nan is crossed out."""
    missed = bool(np.isnan(predicted).any())
    for part, colour in enumerate(PART_COLOURS):
        if not missed:
            box_outline(ax, predicted[part], edgecolor=colour, linewidth=1.6)
        if true is not None:
            box_outline(ax, true[part], edgecolor=TRUE, linewidth=0.9, linestyle=DASHES)
    if missed:
        cross_out(ax)


def cross_out(ax: Axes) -> None:
    """Two diagonals: no face was found here."""
    for y in ((0, 1), (1, 0)):
        ax.plot((0, 1), y, color=WRONG, linewidth=1.2, alpha=0.8, transform=ax.transAxes)


def face_lines(ax: Axes, points: np.ndarray, colour: str, **style: Any) -> None:
    """The outlines that landmarks (68, 2) make."""
    for indices, closed in POLYLINES:
        path = points[np.r_[indices, indices[0]] if closed else indices]
        ax.plot(*path.T, color=colour, **style)


def box_outline(ax: Axes, box: np.ndarray, **style: Any) -> None:
    """A box x0, y0, x1, y1."""
    x0, y0, x1, y1 = box
    ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, **style))


def error_curves(ax: Axes, errors: Mapping[str, np.ndarray], limit: float = LIMIT) -> None:
    """Cumulative error curves of named inter-ocular errors (N,) up to `limit`; a face without an answer (nan) never counts as reached."""
    grid = np.linspace(0, limit, 401)
    for name, values in errors.items():
        label = f"{name}: AUC {100 * auc(values, limit):.1f} %, failures {100 * failure_rate(values, limit):.1f} %"
        ax.step(100 * grid, 100 * ced(values, grid), where="post", linewidth=1.8, label=label)
    ax.set(xlim=(0, 100 * limit), ylim=(0, 100), xlabel="error, % of the distance of the outer eye corners", ylabel="share of faces, %")
    plain(ax)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=9)


def plain(ax: Axes) -> None:
    """A faint grid, and no frame above and to the right."""
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
