"""The ratios ours / PyTorch as horizontal bars around a line at 1."""

from io import BytesIO
from typing import Any

from models.measure.report import size, whole

Row = dict[str, Any]
Bars = list[tuple[str, float]]  # label, ratio
FASTER, SLOWER = "#2f7d6b", "#c4673d"
WIDTH, BAR, AROUND = 9.0, 0.21, 1.2  # inches: of the chart, for a bar, and for what stands around a panel's bars
ROOM = 1.5  # the axis ends by this factor beyond the longest bar, for the bar's number


def bars(found: dict[str, Any]) -> dict[str, Bars]:
    """{title of a panel: its bars}, from what was measured against PyTorch."""
    panels = {
        "models": [
            (f"{row['model']} {row['what']}, batch {row['batch']}", row["ratio"].get(row["what"])) for row in found.get("models", [])
        ],
        "layers, forward + backward": [(label(row), row["ratio"].get(whole(row))) for row in found.get("layers", [])],
    }
    return {title: drawn for title, of in panels.items() if (drawn := [(name, ratio) for name, ratio in of if ratio])}


def label(row: Row) -> str:
    """The layer, and the map that it works on: H×W where its channels are named already, else H×W×C."""
    if row["layer"] == "Adam":
        return f"Adam, {row['where'][0]}"
    shape = row["inputs"][0][1:]
    named = "→" in row["layer"]
    if named and len(shape) < 3:
        return row["layer"]
    return f"{row['layer']}, {size([shape[:2] if named else shape])}"


def png(panels: dict[str, Bars]) -> bytes:
    """The chart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = [len(of) for of in panels.values()]
    figure = Figure(figsize=(WIDTH, AROUND * len(counts) + BAR * sum(counts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(counts), 1, squeeze=False, sharex=True, height_ratios=counts)[:, 0]
    ratios = [ratio for of in panels.values() for _, ratio in of]
    for ax, (title, of) in zip(axes, panels.items(), strict=True):
        panel(ax, title, of)
        ax.set_xlim(min(1, *ratios) / ROOM, max(1, *ratios) * ROOM)
    axes[-1].set_xlabel("time of ours / time of PyTorch: left of the line ours is faster")
    image = BytesIO()
    figure.savefig(image, dpi=100)
    return image.getvalue()


def panel(ax: Any, title: str, of: Bars) -> None:
    """One group of bars, the first on top, each with its number at the end."""
    from matplotlib.ticker import LogLocator, NullLocator

    for k, (_, ratio) in enumerate(of):
        faster = ratio <= 1
        ax.barh(k, ratio - 1, left=1, height=0.7, color=FASTER if faster else SLOWER)
        ax.annotate(
            f"{ratio:.2f}",
            (ratio, k),
            (-3 if faster else 3, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
            ha="right" if faster else "left",
        )
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(LogLocator(base=2))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks(range(len(of)), [name for name, _ in of], fontsize=8)
    ax.set_ylim(len(of) - 0.4, -0.6)
    ax.set_title(title, fontsize=10, loc="left")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelbottom=True, labelsize=8)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
