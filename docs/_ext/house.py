"""A map of the library, drawn from its imports when the site is built: docs/_build/figures/house.svg."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (  # from the top of the house to its ground
    "tutorials",
    "models",
    "models.predicting",
    "models.explain",
    "models.paper",
    "models.measure",
    "models.faces",
    "nn",
    "nn.gpu",
    "nn.emulator",
    "nn.cpu",
    "nn.reference",
)


def room_of(module):
    """The package on the map that a module belongs to, None for a stranger."""
    parts = module.split(".")
    return next((name for n in (2, 1) if (name := ".".join(parts[:n])) in ROOMS), None)


def passages():
    """{(room, room): number of files of the first that import from the second}; the packages of the house, from top to ground."""
    found = Counter()
    for path in sorted(p for top in ("tutorials", "models", "nn") for p in (ROOT / top).rglob("*.py")):
        here = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        there = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                there |= {room_of(f"{node.module}.{name.name}") for name in node.names}
            elif isinstance(node, ast.Import):
                there |= {room_of(name.name) for name in node.names}
        found.update((here, room) for room in there - {None, here})
    return found


def draw(app):
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "house"
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    found = passages()
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    ax = figure.subplots()
    counts = [[found[row, column] ** 0.5 for column in ROOMS] for row in ROOMS]
    ax.imshow(counts, cmap="Blues")
    for y, row in enumerate(ROOMS):
        for x, column in enumerate(ROOMS):
            if files := found[row, column]:
                ax.text(x, y, str(files), ha="center", va="center", color="white" if files > 15 else "black")
        ax.add_patch(Rectangle((y - 0.5, y - 0.5), 1, 1, facecolor="#dddddd"))
    ax.set_xticks(range(len(ROOMS)), ROOMS, rotation=60, ha="left", rotation_mode="anchor")
    ax.set_yticks(range(len(ROOMS)), ROOMS)
    ax.xaxis.tick_top()
    ax.set(ylabel="imports from")
    folder = ROOT / "docs" / "_build" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "house.svg", metadata={"Date": None}, facecolor="white")


def setup(app):
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "version": "1"}
