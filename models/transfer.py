"""`faceseed transfer`: what drawn faces teach about real ones, alone, and before a few real ones are seen."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from models.faces.draw import DPI, plain
from models.faces.geometry import apply
from models.measure.report import table
from models.runs import open_run, training_faces
from models.series import Planned, train_all
from models.settings import Settings, settings_for
from models.subsets import answer, frames, score

FEW = (10, 50, 200)  # real faces
VIEWS = {10: 24, 50: 8, 200: 3}  # of each in an epoch, so that epochs are of a like length
# Three times the preset's faces, and distortions that photos have and drawings lack: together they brought 9.0 % on real faces to 7.3.
DRAWN = ["drawn=3000", "epochs=8", "optim.every=2", *(f"augment.{name}=0.3" for name in ("light", "blur", "noise", "occlusion"))]
START = ["optim.lr=0.0003"]  # a tenth of the preset's: the weights know faces already, and few faces would make them forget


def planned(out: Path, data: str, seed: int, changes: list[str]) -> dict[str, Planned]:
    """The runs: drawn faces alone; few real ones from random weights and from those; all real ones."""
    few = {k: [f"faces={k}", f"views={VIEWS[k]}", "epochs=10", "optim.every=3", "patience=10"] for k in FEW}
    start = [*START, f'start="{(out / "drawn").as_posix()}"']
    wanted: dict[str, tuple[str, list[str]]] = {"drawn": ("", DRAWN)}
    wanted |= {f"real-{k}": (data, few[k]) for k in FEW}
    wanted |= {f"drawn-real-{k}": (data, few[k] + start) for k in FEW} | {"real": (data, [])}
    return {
        name: Planned(out / name, settings_for("corefan", "small", of, changes=[*more, *changes, f"seed={seed}"]))
        for name, (of, more) in wanted.items()
    }


def run(data: str, out: Path, seed: int, changes: list[str], device: str = "cpu") -> None:
    """Train them all, or go on where that stopped; measure on the real validation faces; write OUT/transfer.md and transfer.png."""
    runs = planned(out, data, seed, changes)
    real = training_faces(runs["real"].settings)
    drawn: list = []

    def faces_for(settings: Settings) -> tuple:
        if settings.data:
            return real
        if not drawn:
            drawn.extend(training_faces(settings))
        return tuple(drawn)

    train_all(list(runs.values()), faces_for, device)
    size = runs["real"].settings.net.size
    seen = frames(real[1], "oracle", size)
    true = apply(seen.matrices, real[1].landmarks)
    errors = {name: nme(answer(open_run(run.folder).model, seen, seen.matrices), true) for name, run in runs.items()}
    for name in ("drawn", "real"):
        mean = open_run(runs[name].folder).mean
        errors[f"mean {name}"] = nme(np.repeat(mean[None], len(true), 0), true)
    text = report(errors)
    (out / "transfer.md").write_text(text + "\n")
    picture(out / "transfer.png", errors)
    print(text)


def nme(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean error in percent of the distance of the outer eye corners."""
    return score(predicted, true)["nme_interocular_percent"]


def report(errors: dict[str, float]) -> str:
    """A Markdown table: real faces seen, error from random weights, error after drawn faces."""
    rows = [["none", f"{errors['mean real']:.2f} (mean real face)", f"{errors['drawn']:.2f} (mean drawn face: {errors['mean drawn']:.2f})"]]
    rows += [[str(k), f"{errors[f'real-{k}']:.2f}", f"{errors[f'drawn-real-{k}']:.2f}"] for k in FEW]
    rows += [["all", f"{errors['real']:.2f}", ""]]
    return table(["real faces to train on", "from random weights", "after drawn faces"], rows)


def picture(path: Path, errors: dict[str, float]) -> None:
    """Error over the number of real faces, from random weights and after drawn ones."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    ax = figure.subplots()
    for prefix, label, colour in (("real", "from random weights", "C7"), ("drawn-real", "after drawn faces", "C1")):
        ax.plot(FEW, [errors[f"{prefix}-{k}"] for k in FEW], "o-", color=colour, label=label)
    levels = {"mean real": ("mean real face", "C7"), "drawn": ("drawn faces alone", "C1"), "real": ("all real training faces", "C0")}
    for name, (label, colour) in levels.items():
        ax.axhline(errors[name], color=colour, linestyle="--", linewidth=1, label=f"{label}: {errors[name]:.1f} %")
    ax.set(
        xscale="log",
        xticks=FEW,
        xticklabels=FEW,
        xlabel="real faces to train on",
        ylabel="error on real faces never seen, %",
        ylim=(0, None),
    )
    ax.minorticks_off()
    plain(ax)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=DPI)
