"""How right the calls of detectors of face parts are, and what they confuse: the sliding window's beside CFPD's (section 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from models.faces.augment import normalise_gray
from models.faces.boxes import iou, part_boxes
from models.faces.draw import DASHES, DPI, PART_COLOURS
from models.sliding import NAMES, NEAR, RIGHT, Detection, PartFinder, find

NOTHING = len(NAMES)  # what a call lies on that lies on no part


@dataclass
class Tally:
    """What one detector called on N faces, and how much of it was right."""

    calls: list[list[tuple[Detection, int]]]  # each face's, best first, with the part it lies on or NOTHING
    found: np.ndarray  # (N, 4) whether some call of the part is right
    first: np.ndarray  # (N, 4) whether its best call is right
    loose: np.ndarray  # (N, 4) whether some call lies on the part, but none is right

    @property
    def confusion(self) -> np.ndarray:
        """How often each part was called (row) on each part or nothing (column): (4, 5)."""
        table = np.zeros((NOTHING, NOTHING + 1), int)
        for call, truth in (judged for face in self.calls for judged in face):
            table[call.part, truth] += 1
        return table

    def false(self, n: int) -> int:
        """Calls on face n that lie on another part or on nothing."""
        return sum(call.part != truth for call, truth in self.calls[n])


Story = dict[str, Tally]


def story(finder: PartFinder, images: np.ndarray, points: np.ndarray, cfpd_boxes: np.ndarray | None = None) -> Story:
    """HOG's calls on N faces and, where given, CFPD's boxes (N, 4, 4), nan for a missed face, by the same rules: {"HOG", "CFPD"}.

    images (N, S, S, 1) as the network sees them; true landmarks (N, 68, 2), from which the true boxes are made as those that both
    learned from, with 2 px below. The rules are those of `judge`. CFPD answers one box a part by design, HOG as many as it likes.
    """
    true = part_boxes(points)
    tallies = {"HOG": judge(find(finder, images), true)}
    if cfpd_boxes is not None:
        answers = [[Detection(p, box, 1.0) for p, box in enumerate(face) if np.isfinite(box).all()] for face in cfpd_boxes]
        tallies["CFPD"] = judge(answers, true)
    return tallies


def judge(calls: Sequence[Sequence[Detection]], true: np.ndarray) -> Tally:
    """Says what is right and wrong in the calls on N faces, best first on each, by the true boxes (N, 4, 4).

    A call lies on its own part where their IoU is at least 0.3, else on the other part with the greatest IoU if that is at least 0.3
    (a confusion), else on nothing. A part is found where the IoU of some call of it is at least 0.5, else missed, loosely where some
    call lies on it. Of several calls of a part on it, one counts and the others are duplicates.
    """
    judged: list[list[tuple[Detection, int]]] = []
    found, first, loose = np.zeros((3, len(true), NOTHING), bool)
    for n, (face, boxes) in enumerate(zip(calls, true, strict=True)):
        judged.append([])
        own: list[list[float]] = [[] for _ in NAMES]  # IoU of each part's calls with the part
        for call in face:
            overlap = iou(call.box, boxes)
            on = call.part if overlap[call.part] >= NEAR else int(overlap.argmax())
            judged[n].append((call, on if overlap[on] >= NEAR else NOTHING))
            own[call.part].append(overlap[call.part])
        best = np.array([max(overlaps, default=0) for overlaps in own])
        found[n], loose[n] = best >= RIGHT, (best >= NEAR) & (best < RIGHT)
        first[n] = [bool(overlaps) and overlaps[0] >= RIGHT for overlaps in own]
    return Tally(judged, found, first, loose)


def rows(tallies: Story) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table: for each detector a row a part and one for all four. Shares in percent, counts a face."""
    headings = ["detector", "part", "found %", "best call right %", "missed %", "duplicates", "calls on another part", "calls on nothing"]
    table = []
    for name, tally in tallies.items():
        confusion, faces = tally.confusion, len(tally.calls)
        own = np.diag(confusion)
        shares = 100 * np.stack([tally.found.mean(0), tally.first.mean(0), 1 - tally.found.mean(0)])  # (3, 4)
        counts = np.stack([own - (tally.found | tally.loose).sum(0), confusion[:, :NOTHING].sum(1) - own, confusion[:, NOTHING]]) / faces
        for part, share, count in [*zip(NAMES, shares.T, counts.T, strict=True), ("all", shares.mean(1), counts.sum(1))]:
            table.append([name, part, *(f"{value:.1f}" for value in share), *(f"{value:.2f}" for value in count)])
    return headings, table


def picture(path: str | Path, images: np.ndarray, tallies: Story) -> None:
    """Three faces with each detector's calls, and how often it calls what on what: a row a detector, 900 px wide.

    The faces are those at 25, 50 and 90 % in the order of HOG's false calls. A false call is dashed and crossed out.
    """
    order = np.argsort([tallies["HOG"].false(n) for n in range(len(images))], kind="stable")
    shown = order[[round(q * (len(order) - 1)) for q in (0.25, 0.5, 0.9)]]
    height = 2.0 * len(tallies) + 0.4  # inches
    figure = Figure(figsize=(7.5, height))
    for row, (name, tally) in enumerate(tallies.items()):
        bottom = 2.0 * (len(tallies) - 1 - row) + 0.5
        for column, n in enumerate(shown):
            ax = figure.add_axes((0.035 + 0.215 * column, bottom / height, 0.21, 1.575 / height))
            _show_calls(ax, images[n], tally.calls[n])
            false = tally.false(n)
            title = f"{tally.found[n].sum()} of 4 found, {false or 'no'} false call{'s' * (false != 1)}"
            ax.set_title(title, fontsize=8, pad=3)
            if column == 0:
                ax.text(-0.07, 0.5, name, rotation=90, fontsize=10, weight="bold", ha="center", va="center", transform=ax.transAxes)
        _show_confusion(figure.add_axes((0.775, (bottom + 0.4) / height, 0.215, 1.175 / height)), tally)
    handles = [Line2D([], [], color=colour, linewidth=2, label=part) for part, colour in zip(NAMES, PART_COLOURS, strict=True)]
    handles.append(Line2D([], [], color="black", linewidth=1.2, linestyle=DASHES, marker="x", markersize=4, label="false call"))
    figure.legend(handles=handles, loc="lower left", ncols=len(handles), frameon=False, fontsize=8, bbox_to_anchor=(0.02, 0))
    figure.savefig(path, dpi=DPI)


def _show_calls(ax: Axes, image: np.ndarray, calls: Sequence[tuple[Detection, int]]) -> None:
    low, high = normalise_gray(np.array([0, 255]))
    ax.imshow(image[..., 0], cmap="gray", vmin=low, vmax=high, interpolation="bicubic")
    ax.autoscale(False)
    ax.set_axis_off()
    for call, truth in reversed(calls):  # the best on top
        (x0, y0, x1, y1), colour, right = call.box, PART_COLOURS[call.part], call.part == truth
        style: dict = {"linewidth": 1.8} if right else {"linewidth": 1.3, "linestyle": DASHES}
        ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, **style))
        if not right:
            ax.plot((x0 + x1) / 2, (y0 + y1) / 2, "x", color=colour, markersize=4.5)


def _show_confusion(ax: Axes, tally: Tally) -> None:
    calls = tally.confusion / len(tally.calls)
    ax.imshow(calls, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (part, truth), value in np.ndenumerate(calls):
        colour = "white" if value > 0.6 else "black" if value else "0.65"
        ax.text(truth, part, f"{value:.2f}" if value else "0", fontsize=7, ha="center", va="center", color=colour)
    ax.set_xticks(range(NOTHING + 1), [*NAMES, "nothing"], fontsize=7, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(NOTHING), NAMES, fontsize=7)
    ax.tick_params(length=0, pad=2)
    ax.set_title("calls a face: called × true", fontsize=8, pad=3)
