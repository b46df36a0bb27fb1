"""The measurements as Markdown tables."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Row = dict[str, Any]
TIMES = """\
Medians in ms, training mode, batch {batch}; ratio = ours / PyTorch, below 1 where ours is faster. PyTorch's figure is that of the faster
memory format (of Adam: of the fastest way), column by column. A network's first convolution has nobody to pass a gradient on to: PyTorch
is spared that work, as in training. Adam is one step over all weights of a model. Before each time both sides' threads have gone to
sleep, so that none disturbs the other side; to wake them takes PyTorch some ms, which is most of its time in the smallest rows."""
LIMITS = """\
limit = max(flops / GEMM peak, bytes / copy bandwidth), forward and backward one after the other, each input read once and each output
written once; then the share of it that each side reaches, limit / time. Convolutions count the flops of the direct algorithm: Winograd's
multiplies less, so our share may pass 100 %. So may a layer small enough to stay in the cache."""
MODELS = """\
Medians in ms; ratio = ours / PyTorch, below 1 where ours is faster. forward: evaluation mode. step: zero_grad, forward, loss, backward
and Adam in training mode. PyTorch runs eagerly, in the faster memory format; folded: each batch norm folded into its convolution
beforehand; our blocks do so when their weights have changed. Adam: PyTorch's fastest here ({adam}). At batch 1 PyTorch's batch norm
module refuses to train; the function beneath it does not, and is what is timed."""
LADDER = """\
A 3×3 convolution, batch {batch}, forward and backward in ms (medians), and its multiplications for one output number. ≈ marks what was
extrapolated by the number of multiplications: the plain loops ran on a small map with few channels."""
MEMORY = """\
The most that was resident in a training step at batch {batch}, in MB, each side in a process of its own: in all, and the rise over what
was resident after the imports. PyTorch's figure is that of the memory format with the smaller rise. It is the peak of {peak}."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, the first to the left and the others to the right."""
    cells = [header, *rows]
    widths = [max(3, *(len(row[k]) for row in cells)) for k in range(len(header))]

    def line(row: Sequence[str]) -> str:
        return f"| {' | '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(rule), *map(line, cells[1:])])


def number(value: float | None) -> str:
    """Three digits or more, without an exponent; a dash for what was not measured."""
    if value is None:
        return "–"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3}f}"


def size(shapes: Iterable[Sequence[int]]) -> str:
    """16×112×112×64; several inputs are parted by commas."""
    return ", ".join("×".join(map(str, shape)) for shape in shapes)


def theirs(row: Row, stage: str) -> float | None:
    """PyTorch's median of a stage in ms."""
    name = row["fastest"].get(stage)
    return row["pytorch"][name][stage]["median"] if name else None


def compared(row: Row, stage: str) -> list[str]:
    """Ours, PyTorch's, ratio; blank where the row has no such stage."""
    if stage not in row["ours"]:
        return ["", "", ""]
    return [number(row["ours"][stage]["median"]), number(theirs(row, stage)), number(row["ratio"].get(stage))]


def whole(row: Row) -> str:
    """The stage that holds all of a row's work."""
    return "both" if "both" in row["ours"] else next(iter(row["ours"]))


def machine(found: Row) -> str:
    """What was measured on."""
    facts = {"GEMM peak, GFLOP/s": number(found["gemm_gflops"]), "copy bandwidth, GB/s": number(found["copy_gb_s"])}
    return table(["machine", ""], [[name, str(value)] for name, value in {**found["facts"], **facts}.items()])


def layers(rows: list[Row]) -> str:
    """Times, and the limits."""
    header = [f"{name} {side}" for name in ("forward", "backward", "both") for side in ("ours", "PyTorch", "ratio")]
    times = [
        [row["layer"], size(row["inputs"]), *compared(row, "forward"), *compared(row, "backward"), *compared(row, whole(row))]
        for row in rows
    ]
    limits = []
    for row in rows:
        stage = whole(row)
        shares = [f"{100 * share[stage]:.0f} %" for share in row["share"].values()] + ["–"] * (2 - len(row["share"]))
        work = [number(row["flops"][stage] / 1e9), number(row["bytes"][stage] / 1e6), number(row["limit_ms"][stage])]
        limits.append([row["layer"], size(row["inputs"]), *work, *shares])
    return "\n\n".join(
        [
            TIMES.format(batch=rows[0]["inputs"][0][0]),
            table(["layer", "input", *header], times),
            LIMITS,
            table(["layer", "input", "GFLOP", "MB", "limit, ms", "ours", "PyTorch"], limits),
        ]
    )


def models(rows: list[Row]) -> str:
    """The whole models."""
    adam = ", ".join(sorted({row["adam"] for row in rows if row.get("adam")})) or "not measured"
    lines = [
        [f"{row['model']} {row['what']}", str(row["batch"]), *compared(row, row["what"]), row["fastest"].get(row["what"], "–")]
        for row in rows
    ]
    return f"{MODELS.format(adam=adam)}\n\n{table(['model', 'batch', 'ours', 'PyTorch', 'ratio', 'its format'], lines)}"


def ladder(rows: list[Row]) -> str:
    """Each convolution's rungs, and PyTorch's time below."""
    lines = []
    for row in rows:
        name = f"{row['channels']} → {row['channels']}, {row['size']}×{row['size']}"
        for rung, of in row["rungs"].items():
            mark = "≈ " if of["extrapolated"] else ""
            lines.append(
                [name, rung, number(of["multiplications"]), *(mark + number(of[stage]["median"]) for stage in ("forward", "backward"))]
            )
        lines.append([name, "PyTorch", "–", *(number(theirs(row, stage)) for stage in ("forward", "backward"))])
    header = ["convolution", "rung", "multiplications", "forward", "backward"]
    return f"{LADDER.format(batch=rows[0]['batch'])}\n\n{table(header, lines)}"


def memory(rows: list[Row]) -> str:
    """Peaks of a training step."""
    lines = []
    for row in rows:
        pytorch = row["pytorch"].get(row["smallest"], {})
        mb = [number(of[what] / 1e6) if of else "–" for what in ("rise", "peak") for of in (row["ours"], pytorch)]
        lines.append([row["model"], *mb[:2], number(row["ratio"]), *mb[2:], row["smallest"] or "–"])
    header = ["model", "ours, rise", "PyTorch, rise", "ratio", "ours, in all", "PyTorch, in all", "its format"]
    return f"{MEMORY.format(batch=rows[0]['batch'], peak=rows[0]['ours']['peak_of'])}\n\n{table(header, lines)}"


TABLES: dict[str, Callable[[Any], str]] = {"machine": machine, "layers": layers, "models": models, "ladder": ladder, "memory": memory}


def markdown(found: dict[str, Any]) -> str:
    """The page: a section a part that was measured."""
    sections = [f"## {part.capitalize()}\n\n{TABLES[part](rows)}" for part, rows in found.items()]
    return "\n\n".join(["# Measured by `faceseed bench`", *sections]) + "\n"
