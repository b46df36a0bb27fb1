"""How far off each landmark is, where the photo comes with true ones."""

import numpy as np
from matplotlib.figure import Figure

from models.explain.face import COLOURS, WIDTH, Face
from models.faces.draw import face_lines, plain, show
from models.faces.landmarks import PARTS, corner_distance, tight_box


def landmark_errors(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distance of each landmark, two (68, 2) -> (68,), in percent of the distance between the true outer eye corners."""
    return 100 * np.linalg.norm(predicted - true, axis=1) / corner_distance(true)


def errors_figure(face: Face, true: np.ndarray) -> Figure:
    """The true landmarks (68, 2) as circles whose size and colour are the error, with lines to the predicted ones; and bars by landmark."""
    errors = landmark_errors(face.points, true)
    figure = Figure(figsize=(WIDTH, 6.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    show(left, face.image[0])
    face_lines(left, true, "white", linewidth=0.7, alpha=0.6)
    circles = left.scatter(*true.T, s=10 + 18 * errors, c=errors, cmap="YlOrRd", vmin=0, edgecolor="black", linewidth=0.5, zorder=3)
    left.plot(*np.stack([true, face.points], axis=1).T, color="#0072e5", linewidth=1.2, zorder=4)
    x0, y0, x1, y1 = tight_box(np.concatenate([true, face.points]))
    half = 0.56 * max(x1 - x0, y1 - y0)
    left.set(xlim=((x0 + x1) / 2 - half, (x0 + x1) / 2 + half), ylim=((y0 + y1) / 2 + half, (y0 + y1) / 2 - half))
    figure.colorbar(circles, ax=left, location="bottom", shrink=0.9, pad=0.01, label="error, % of the distance of the outer eye corners")
    for name, indices in PARTS.items():
        right.barh(indices, errors[indices], color=COLOURS[name], label=f"{name}: {errors[indices].mean():.1f} %")
    right.axvline(errors.mean(), color="black", linewidth=0.8, linestyle="--")
    right.set(ylabel="landmark", xlabel="error, %", ylim=(len(errors) - 0.3, -0.7))
    plain(right)
    right.legend(frameon=False, fontsize=9, loc="lower right")
    return figure
