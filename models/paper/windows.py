"""Figure 7: the windows of a part, and how they are read back."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from models.faces.draw import DPI
from models.faces.head import MEAN
from models.faces.landmarks import PARTS
from models.faces.sequences import WINDOW, readout_matrix, window_indices

PART = "eyebrows"  # ten landmarks, as in the paper's example
EXAMPLE, SHARED = 10, 2  # landmarks of the paper's example, and points of its windows: l = 4 numbers
COVERED, NEW = "#bcd9f2", "#3d85c6"
FIRST, SECOND = "#f4b183", "#3d85c6"


def windows_figure(path: str | Path, points: np.ndarray | None = None) -> None:
    """Figure 7: above the paper's example, ten landmarks and l = 4; below ours, the eyebrows with windows of five points.

    Left the landmarks with their first two windows; right which window holds which landmark, and of how many its readout is the mean.
    points: a face (68, 2) in pixels, y down; without one, a neutral drawn face.
    """
    face = MEAN if points is None else points
    part = PARTS[PART]
    angle = np.linspace(1.15 * np.pi, 1.85 * np.pi, EXAMPLE)
    curve = np.stack([np.cos(angle), 0.6 * np.sin(angle)], axis=1)
    small = np.lib.stride_tricks.sliding_window_view(np.arange(EXAMPLE), SHARED)  # (9, 2)
    all_windows = window_indices()
    ours = all_windows[np.isin(all_windows, part).any(1)]  # (6, 5)
    weights = readout_matrix()[part].reshape(len(part), len(all_windows), WINDOW)
    counts = np.round(1 / np.where(weights > 0, weights, np.inf).min((1, 2))).astype(int)  # a landmark's windows weigh the same

    figure = Figure(figsize=(9.0, 6.6), layout="constrained")
    axes = figure.subplots(2, 2, width_ratios=(1, 1.25), height_ratios=(len(small) + 1, len(ours) + 1.8))
    shape(axes[0, 0], curve, np.arange(EXAMPLE), small)
    grid(axes[0, 1], small, np.arange(EXAMPLE), np.array([(small == k).sum() for k in range(EXAMPLE)]))
    shape(axes[1, 0], face[part], part, ours)
    grid(axes[1, 1], ours, part, counts)
    axes[0, 0].set_title(f"the paper's example: {EXAMPLE} landmarks, l = {2 * SHARED}", loc="left", fontsize=11)
    axes[1, 0].set_title(f"ours: {PART}, {len(part)} landmarks, l = {2 * WINDOW}", loc="left", fontsize=11)
    axes[0, 1].set_title(f"{len(small)} windows of {SHARED} points; dark: what a window adds", loc="left", fontsize=11)
    axes[1, 1].set_title(f"{len(ours)} windows of {WINDOW} points; dark: what a window adds", loc="left", fontsize=11)
    figure.savefig(path, dpi=DPI)


def shape(ax: Axes, points: np.ndarray, names: np.ndarray, windows: np.ndarray) -> None:
    """Landmarks (n, 2) in their places with their indices `names` (n,), and the first two windows as bands under them."""
    for window, colour, width in zip(windows, (FIRST, SECOND), (20, 9), strict=False):
        band = points[np.isin(names, window)]
        ax.plot(*band.T, color=colour, linewidth=width, alpha=0.55, solid_capstyle="round", solid_joinstyle="round")
    ax.plot(*points.T, "o", color="black", markersize=4)
    for name, (x, y) in zip(names, points, strict=True):
        ax.annotate(str(name), (x, y), (0, -18), textcoords="offset points", ha="center", fontsize=9)
    handles = [Line2D([], [], color=colour, linewidth=6, alpha=0.55) for colour in (FIRST, SECOND)]
    ax.legend(handles, ["window 1", "window 2"], loc="upper center", ncols=2, frameon=False, fontsize=9)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.15, 0.5)
    ax.invert_yaxis()
    ax.set_axis_off()


def grid(ax: Axes, windows: np.ndarray, names: np.ndarray, counts: np.ndarray) -> None:
    """A row a window (T, K), a column a landmark; the one that is new in a window is dark. Below, of how many windows it is the mean."""
    seen: set[int] = set()
    for t, window in enumerate(windows):
        for index in window:
            fresh = index not in seen and t > 0
            column = int(np.flatnonzero(names == index)[0])
            ax.barh(t, 0.9, left=column - 0.45, height=0.8, color=NEW if fresh else COVERED)
            ax.text(column, t, str(index), ha="center", va="center", fontsize=9, color="white" if fresh else "black")
        seen.update(window)
    for column, count in enumerate(counts):
        ax.text(column, len(windows) + 0.1, str(count), ha="center", va="center", fontsize=9, fontweight="bold")
    ax.axhline(len(windows) - 0.45, color="black", linewidth=0.8)
    labels = [f"window {t + 1}" for t in range(len(windows))]
    ax.set_yticks([*range(len(windows)), len(windows) + 0.1], [*labels, "mean of … windows"], fontsize=9)
    ax.set_xticks([])
    ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(windows) + 0.6, -0.6))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
