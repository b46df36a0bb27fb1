"""Figure 6: COREFAN drawn from the model itself; every number in the picture is read from its layers and one forward pass.

Left the CNN, layer under layer, with the shapes of Table 4. Right a line a part: its seed and its W_ih enter from below, each square is
a step of the LSTM, windows leave above, and the state runs on into the next line.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.patheffects import withStroke

from models.corefan import Corefan
from models.faces.draw import DPI
from models.faces.head import MEAN
from models.faces.landmarks import PARTS, POLYLINES
from models.faces.sequences import READOUTS, readout_matrix
from models.paper.structure import structure, times

WIDTH, HEIGHT = 9.2, 8.4  # inches
TOP, ROW = 7.1, 1.27  # of the first part's line, and from one to the next
FEATURES_AT, SEEDS_AT = 2.75, 2.95  # where they rise beside the CNN
BOXES, CELLS, DRAWN = (3.12, 4.18), (4.4, 7.35), (7.6, 9.05)  # of a line, from left to right
FEATURES, SEEDS, STATE, INK = "#d9730d", "#2f6fb0", "#555b66", "#1d1f24"
FILLS = {"conv": "#dcebf7", "maxpool": "#eceef1", "fc": "#dff1e1", "input": "#ffffff"}
PART_FILLS = ("#cfe8f3", "#d8efd3", "#fbe3c4", "#f6d3de", "#e2d8f0")
# Where two lines cross, that of the features passes over that of the seeds.
OVER = {SEEDS: 1, FEATURES: 3}
CROSSING: dict[str, dict[str, Any]] = {
    SEEDS: {"zorder": 1},
    FEATURES: {"zorder": 2, "path_effects": [withStroke(linewidth=3, foreground="white")]},
}
READOUT = {
    "mean": "each the mean of the windows that show it",
    "newest": "each from the first window that shows it",
    "point": "one a step",
}


def diagram(path: str | Path, model: Corefan) -> None:
    """Draw `model`; it is in evaluation mode afterwards."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    ax.set_axis_off()
    heading(ax, model)
    features, seeds = cnn(ax, model)
    rise(ax, FEATURES_AT, features, TOP - 0.44, FEATURES)
    rise(ax, SEEDS_AT, seeds, TOP - 0.12, SEEDS)
    for part, name in enumerate(PARTS):
        line(ax, model, part, name, TOP - ROW * part)
    explanation(ax, model)
    figure.savefig(path, dpi=DPI)


def heading(ax: Axes, model: Corefan) -> None:
    """The model's name and its size, and how it reads the paper."""
    weights = sum(parameter.value.size for parameter in model.parameters().values())
    count = f"{weights / 1e6:.2f} million" if weights >= 1e5 else f"{weights}"
    label(ax, 0.2, HEIGHT - 0.25, f"COREFAN, {count} weights", size=12, ha="left", weight="bold")
    choices = f"feed {model.feed} · injection {model.lstm.injection} · readout {readout_of(model)} · seeding {model.seeding}"
    label(ax, WIDTH - 0.2, HEIGHT - 0.25, choices, size=9, ha="right")


def readout_of(model: Corefan) -> str:
    """Which readout's matrix the model holds."""
    return next(kind for kind in READOUTS if np.array_equal(readout_matrix(kind), model.matrix))


def cnn(ax: Axes, model: Corefan) -> tuple[float, float]:
    """The layers from top to bottom; gives the heights at which the features f_ih and the seeds leave."""
    rows = structure(model, model.size)
    step = (HEIGHT - 1.2) / (len(rows) + 1)
    y = HEIGHT - 0.75
    leaving = []
    for row in rows:
        box(ax, 0.2, y, 2.25, 0.72 * step, FILLS[row.layer.split("-")[0]])
        label(ax, 0.3, y, row.layer, ha="left")
        label(ax, 2.35, y, times(row.output), ha="right")
        if row is not rows[-1]:
            arrow(ax, (1.3, y - 0.36 * step), (1.3, y - (1.64 if row.layer == "fc-1" else 0.64) * step), STATE)
        if row.layer == "fc-1":
            y -= step
            box(ax, 0.2, y, 2.25, 0.72 * step, "#fdeadb", FEATURES)
            label(ax, 0.3, y, "features $f_{ih}$", ha="left")
            label(ax, 2.35, y, str(row.output[-1]), ha="right")
            leaving.append(y)
        y -= step
    leaving.append(y + step)
    return leaving[0], leaving[1]


def rise(ax: Axes, x: float, bottom: float, top: float, colour: str) -> None:
    """From the CNN's column to the right, and up."""
    ax.plot([2.45, x, x], [bottom, bottom, top], color=colour, linewidth=1.6, zorder=OVER[colour])


def line(ax: Axes, model: Corefan, part: int, name: str, y: float) -> None:
    """One part: what enters, its steps, what it gives, and the state's way to the next part."""
    lstm = model.lstm
    steps, units, features = lstm.steps[part], *lstm.feature_weight.value.shape[1:]
    side = min(0.26, (CELLS[1] - CELLS[0]) / max(lstm.steps))
    left = CELLS[0] + side * np.arange(steps)
    centre, end = left + side / 2, CELLS[0] + side * steps
    label(ax, BOXES[0], y + 0.2, name, size=10, ha="left", weight="bold")
    entry(ax, y - 0.12, f"$S_{{{name}}}$", str(lstm.weight.value.shape[1] - units), SEEDS_AT, SEEDS)
    entry(ax, y - 0.44, f"$W_{{ih_{part + 1}}}$", times((units, features)), FEATURES_AT, FEATURES)
    bus(ax, y - 0.44, centre - side / 6, y + 0.04, FEATURES, every=lstm.injection == "every")
    bus(ax, y - 0.12, centre + side / 6, y + 0.04, SEEDS, every=model.feed == "constant")
    for x in left:
        ax.add_patch(Rectangle((x, y + 0.05), 0.86 * side, 0.3, facecolor=PART_FILLS[part], edgecolor=INK, linewidth=0.7, zorder=4))
    for x in centre:
        ax.plot([x - 0.07 * side] * 2, [y + 0.36, y + 0.5], color=INK, linewidth=0.8)
    arrow(ax, (CELLS[0], y + 0.5), (DRAWN[0] - 0.05, y + 0.5), INK)
    if model.feed == "window":
        for x in centre[:-1]:
            arrow(ax, (x - 0.07 * side, y + 0.44), (x + 0.75 * side, y + 0.34), SEEDS, bend=-0.5)
    if part == 0:
        label(ax, CELLS[0] - 0.22, y + 0.2, "h, C: 0", size=8, ha="right", color=STATE)
        arrow(ax, (CELLS[0] - 0.2, y + 0.2), (CELLS[0], y + 0.2), STATE)
    if part < len(lstm.steps) - 1:
        below = y - ROW + 0.2
        xs = [end - 0.14 * side, end + 0.08, end + 0.08, CELLS[0] - 0.12, CELLS[0] - 0.12]
        ax.plot(xs, [y + 0.2, y + 0.2, y - 0.62, y - 0.62, below], color=STATE, linewidth=1.2)
        arrow(ax, (CELLS[0] - 0.12, below), (CELLS[0], below), STATE)
    result(ax, model, part, y)


def entry(ax: Axes, y: float, name: str, shape: str, start: float, colour: str) -> None:
    """What a part has of its own, in a box with its shape, reached from a line that rises at `start`."""
    ax.plot([start, BOXES[0]], [y, y], color=colour, linewidth=1.4, **CROSSING[colour])
    box(ax, BOXES[0], y, BOXES[1] - BOXES[0], 0.26, "white", colour)
    label(ax, BOXES[0] + 0.07, y, name, ha="left")
    label(ax, BOXES[1] - 0.07, y, shape, ha="right")


def bus(ax: Axes, y: float, stops: np.ndarray, top: float, colour: str, every: bool) -> None:
    """A line below the steps that goes up into every one of them, or only into the first."""
    stops = stops if every else stops[:1]
    ax.plot([BOXES[1], stops[-1]], [y, y], color=colour, linewidth=1.2, zorder=OVER[colour])
    for x in stops:
        ax.plot([x, x], [y, top], color=colour, linewidth=0.9, **CROSSING[colour])


def result(ax: Axes, model: Corefan, part: int, y: float) -> None:
    """The windows of a part, how many landmarks they make, and these in their places."""
    indices = list(PARTS.values())[part]
    numbers, steps = model.window.bias.value.size, model.lstm.steps[part]
    middle = sum(DRAWN) / 2
    label(ax, middle, y + 0.5, f"{steps} steps × {numbers} numbers", size=8)
    label(ax, middle, y + 0.3, f"→ {len(indices)} landmarks", size=8)
    points = MEAN[indices]
    low, high = points.min(0), points.max(0)
    scale = np.min([1.15, 0.6] / (high - low))  # inches
    places = (MEAN - (low + high) / 2) * [scale, -scale] + [middle, y - 0.2]
    for outline, closed in POLYLINES:
        if outline[0] in indices:
            ax.plot(*places[np.r_[outline, outline[0]] if closed else outline].T, color=INK, linewidth=0.7)
    ax.plot(*places[indices].T, "o", color=INK, markersize=2.6)


def explanation(ax: Axes, model: Corefan) -> None:
    """What enters when, what runs on, and how the windows become landmarks."""
    lstm = model.lstm
    gates, reads = lstm.weight.value.shape
    landmarks, points = model.matrix.shape
    numbers = 2 * points // sum(lstm.steps)
    reader = "every step of its part" if model.feed == "constant" else "the first step of its part"
    when = "at every step" if lstm.injection == "every" else "at the first step of a part"
    lines = [
        (SEEDS, f"$S_{{part}}$: {len(lstm.steps)} × {reads - lstm.units} numbers from fc-2, read by {reader}"),
        (FEATURES, f"$W_{{ih_n}}$ $f_{{ih}}$ + $b_{{ih_n}}$: a pair of weights a part, added to C inside the last tanh {when}"),
        (STATE, f"LSTM of {lstm.units} units: its gates ({times((gates, reads))}) serve all parts; h and C run on from part to part"),
        (INK, f"{sum(lstm.steps)} × {numbers} → {landmarks} × 2, in pixels of the {model.size}-px frame, {READOUT[readout_of(model)]}"),
    ]
    if model.feed == "window":
        lines.insert(1, (SEEDS, "each window is what the next step reads"))
    if model.seeding == "window":
        lines.append((INK, "$S_{part}$ is a window too: a part's first one is the mean of it and of what the first step draws"))
    for k, (colour, text) in enumerate(lines):
        y = 1.22 - 0.21 * k
        ax.plot([3.2, 3.45], [y, y], color=colour, linewidth=2.5)
        label(ax, 3.55, y, text, ha="left")


def box(ax: Axes, x: float, y: float, width: float, height: float, fill: str, edge: str = STATE) -> None:
    """A box whose left side has its middle at (x, y)."""
    style = "round,pad=0,rounding_size=0.05"
    ax.add_patch(FancyBboxPatch((x, y - height / 2), width, height, style, facecolor=fill, edgecolor=edge, linewidth=1, zorder=3))


def label(ax: Axes, x: float, y: float, text: str, size: float = 8.5, **style: Any) -> None:
    """A line of text, centred on y."""
    ax.text(x, y, text, fontsize=size, va="center", zorder=5, **{"ha": "center", "color": INK, **style})


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, bend: float = 0) -> None:
    """An arrow, straight or bent."""
    head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", color=colour, linewidth=1, **head))
