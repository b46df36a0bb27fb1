"""The gates, the cell and the hidden state over the 48 steps, as heat maps."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.explain.face import COLOURS, WIDTH
from models.explain.recurrent import GATES, Trace
from models.faces.landmarks import PARTS
from models.faces.sequences import steps, window_indices

TITLES = {
    "i": "input gate i: how much of the candidate is taken in",
    "f": "forget gate f: how much of the cell is kept",
    "g": "candidate g (the paper's C̃): what would be taken in",
    "o": "output gate o: how much of the cell is shown",
    "c": "cell state C",
    "h": "hidden state h, from which each step's window is read",
}


def order(hidden: np.ndarray) -> np.ndarray:
    """Units by the step at which they differ most from their own mean: h (T, U) -> (U,)."""
    return np.argsort(np.abs(hidden - hidden.mean(0)).argmax(0), kind="stable")


def gates_figure(trace: Trace, readout: str) -> Figure:
    """Six maps (units x steps) of the first face, their rows in one common order; below each step the landmark that it draws anew."""
    rows = order(trace.hidden[0])
    maps = {name: trace.gates[0, :, k] for k, name in enumerate(GATES)} | {"c": trace.cell[0], "h": trace.hidden[0]}
    figure = Figure(figsize=(WIDTH, 12.5), layout="constrained")
    axes = figure.subplots(len(maps), 1, sharex=True)
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        high = np.quantile(np.abs(values), 0.99) if name == "c" else 1  # a few cells are far larger
        cmap, low = ("viridis", 0) if name in "ifo" else ("RdBu_r", -high)
        picture = ax.imshow(values[:, rows].T, aspect="auto", cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
        figure.colorbar(picture, ax=ax, pad=0.01, aspect=12, extend="both" if name == "c" else "neither")
        ax.set_title(TITLES[name], fontsize=10, loc="left")
        ax.set_ylabel(f"{len(rows)} units", fontsize=9)
        ax.set_yticks([])
        ax.tick_params(length=0)
        for end in np.cumsum(steps(readout))[:-1]:
            ax.axvline(end - 0.5, color="white" if name in "ifo" else "black", linewidth=1.2)
    landmark_axis(axes[-1], readout)
    return figure


def landmark_axis(ax: Axes, readout: str) -> None:
    """Below a map of steps: the landmark that each one draws anew, and the parts."""
    ax.set_xticks(range(sum(steps(readout))), [str(window[-1]) for window in window_indices(readout)], fontsize=7)
    style: dict[str, Any] = {"fontweight": "bold", "ha": "center", "transform": ax.get_xaxis_transform()}
    for name, count, end in zip(PARTS, steps(readout), np.cumsum(steps(readout)), strict=True):
        ax.text(end - (count + 1) / 2, -0.2, name, color=COLOURS[name], **style)
    ax.set_xlabel("the landmark that the step draws anew, and its part", fontsize=9, labelpad=22)
