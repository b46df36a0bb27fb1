"""The recurrent half at work, as an animation: a window of five points slides along each part and leaves a landmark behind at each step."""

from pathlib import Path
from typing import Any

import numpy as np

from models.corefan import Corefan
from models.explain.face import COLOURS, Face, part_lines
from models.explain.gif import stage
from models.explain.recurrent import Trace, settled
from models.faces.landmarks import PARTS
from models.faces.sequences import window_indices

FPS = 8
LAST = 10  # frames for which the whole face stays
THIN: dict[str, Any] = {"linewidth": 1.5, "marker": "o", "markersize": 2.5}


def drawing_gif(path: Path, model: Corefan, face: Face, trace: Trace, readout: str) -> None:
    """A frame a step, of the first face of the trace.

    In its part's colour what is settled; a broad band where the step's window lies, at the landmarks as they become in the end; crosses
    where this very step writes its points.
    """
    names, steps, points = list(PARTS), window_indices(readout), trace.points[0]
    with stage(path, face, FPS) as each:
        for t, part in enumerate(model.lstm.part_of_step):
            done = np.where(settled(model, t + 1)[:, None], points, np.nan)
            each.ax.plot(*points[steps[t]].T, color="white", linewidth=9, alpha=0.45, solid_capstyle="round", marker="o", markersize=9)
            part_lines(each.ax, done, **THIN)
            each.ax.plot(
                *trace.windows[0, t].T, color=COLOURS[names[part]], linewidth=0.8, marker="X", markersize=7, markeredgecolor="white"
            )
            each.shoot(f"step {t + 1} of {len(steps)}: {names[part]}, landmarks {' '.join(map(str, steps[t]))}")
        part_lines(each.ax, points, **THIN)
        each.shoot("68 landmarks", LAST)
