"""A map of the library, drawn from its imports when the site is built: docs/_build/figures/house.svg."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {  # package: (column, row) on the map, and what it holds
    "tutorials": (1, 0, "the chapters"),
    "models": (1, 1, "the paper's systems, the command"),
    "models.faces": (2, 2, "landmarks, pictures, measures"),
    "models.predicting": (0, 2, "photos, videos, tracking"),
    "nn": (1, 3, "layers, losses, training"),
    "nn.reference": (0, 4, "plain loops: the spec"),
    "nn.cpu": (1, 4, "fast NumPy"),
    "nn.gpu": (2, 4, "CUDA kernels"),
    "nn.emulator": (2, 5, "a GPU on the CPU"),
}


def room_of(module):
    """The package on the map that a module belongs to, None for a stranger."""
    parts = module.split(".")
    return next((name for n in (2, 1) if (name := ".".join(parts[:n])) in ROOMS), None)


def passages():
    """{(room, room): number of files of the first that import from the second}."""
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

    figure = Figure(figsize=(8, 7), layout="constrained")
    ax = figure.subplots()
    for (start, end), files in passages().items():
        (x1, y1, _), (x2, y2, _) = ROOMS[start], ROOMS[end]
        bend = 0.25 if y1 == y2 or abs(y1 - y2) > 1 else 0.0
        style = {"arrowstyle": "->", "lw": 0.6 + files**0.5 / 3, "color": "#7f9db9", "connectionstyle": f"arc3,rad={bend}"}
        ax.annotate("", (3 * x2, -y2 + 0.28), (3 * x1, -y1 - 0.28), arrowprops=style)
        ax.text(1.5 * (x1 + x2) + 0.1, -(y1 + y2) / 2, str(files), fontsize=8, color="#555555")
    for name, (x, y, what) in ROOMS.items():
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#eaf2fa", "edgecolor": "#1f4e79"}
        ax.text(3 * x, -y, f"{name}\n{what}", ha="center", va="center", fontsize=10, bbox=box)
    ax.set(xlim=(-1.6, 7.6), ylim=(-5.6, 0.6))
    ax.axis("off")
    folder = ROOT / "docs" / "_build" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "house.svg", metadata={"Date": None}, facecolor="white")


def setup(app):
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "version": "1"}
