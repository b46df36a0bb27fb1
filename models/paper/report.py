"""The report of `faceseed reproduce`: every table and figure of the paper, in its order, with our numbers beside it."""

import json
import os
from pathlib import Path
from typing import cast

import numpy as np
from numpy.random import default_rng

from models.corefan import Corefan
from models.faces import metrics
from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.crops import Faces
from models.measure.roofline import facts
from models.paper import tables
from models.paper.breakdown import by_pose
from models.paper.calls import picture, rows, story
from models.paper.diagram import diagram
from models.paper.document import Figure, Part, Section, Table, html, markdown
from models.paper.outcome import ced_figure, extremes_figure, landmark_errors_figure, pose_figure
from models.paper.preparation import augmentation_figure, parts_figure, rotation_figure
from models.paper.speed import speeds
from models.paper.structure import PAPER_TABLE_1, PAPER_TABLE_4, Row, difference, structure
from models.paper.tested import Tested
from models.paper.windows import windows_figure
from models.runs import Run, sine_picture
from models.sliding import train as train_finder
from models.subsets import score
from nn.training import read_metrics

FIGURES = "figures"
HOG_FACES = 1000  # that the sliding window learns from, at most: their examples are held in memory
TITLE = "The experiments of Yüksel & Skarbek (2019), reproduced"
SUBSETS = {
    "common": "test sets of LFPW and HELEN",
    "challenging": "IBUG",
    "full": "common and challenging",
    "private": "300-W private",
    "val": "held out of the training folders, by photo",
    "other": "faces of unknown origin, held out",
    "drawn": "drawn faces, held out",
}
DETECTORS = {"300w": "300-W's official boxes", "haar": "OpenCV's Haar cascade"}
UNITS = {"mse": "(mean square)", "box_mse_px2": "px²", "nme_interocular_percent": "% inter-ocular"}  # of the validation errors


def write(folder: Path, command: str, runs: dict[str, Run], train: Faces, tested: dict[str, Tested], results: tables.Results) -> Path:
    """Write figures/, results.json, report.md and report.html into `folder`, each file whole or not at all; the Markdown's path.

    Figures of faces show the subset that the paper's show, or else what there is.
    """
    (folder / FIGURES).mkdir(exist_ok=True)
    figures = folder / FIGURES
    sections = [
        Section("What was run", [*what_was_run(command, runs, train, tested)]),
        Section("Data (sections 2.1 and 3.3)", preparation(figures, train, runs)),
        Section("CFPD (section 2)", cfpd(figures, runs, train, tested, results)),
        Section("The sine (section 3.1)", [seeding(figures, runs["sine"])]),
        Section("COREFAN (section 3)", corefan(figures, runs, tested, results)),
        Section("Every number", [tables.all_ours(results), floor(runs, tested)]),
    ]
    put(folder / "results.json", json.dumps(results, indent=2) + "\n")
    put(folder / "report.html", html(TITLE, sections, folder))
    put(folder / "report.md", markdown(TITLE, sections, folder))
    return folder / "report.md"


def put(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def shown(tested: dict[str, Tested], *wanted: str) -> tuple[str, Tested]:
    """The first subset of the wanted ones that is there, else any."""
    name = next((name for name in wanted if name in tested), next(iter(tested)))
    return name, tested[name]


def what_was_run(command: str, runs: dict[str, Run], train: Faces, tested: dict[str, Tested]) -> list[Part]:
    """The command, the machine, the runs, and which faces there were."""
    machine = facts()
    one = runs["corefan-augmented"].settings
    lines = []
    for name, run in runs.items():
        epochs = read_metrics(run.folder)
        error = next(key for key in epochs[0] if key in UNITS)
        best = min(epochs, key=lambda row: row[error])
        minutes = sum(row["seconds"] for row in epochs) / 60
        lines.append([name, str(len(epochs)), str(best["epoch"]), f"{best[error]:.4g} {UNITS[error]}", f"{minutes:.1f}"])
    counts = [["training", str(len(train)), str(len(set(train.photos))), "what the six models learn from", "", ""]]
    for name, meaning in SUBSETS.items():
        if name in tested:
            subset = tested[name]
            seen = subset.seen["detector"]
            counts.append(
                [name, str(len(seen.found)), str(len(set(subset.faces.photos))), meaning, DETECTORS[seen.by], str((~seen.found).sum())]
            )
        elif name in ("common", "challenging", "full", "private"):
            counts.append([name, tables.ABSENT, "", meaning, "", ""])
    oracle = (
        "Crops: **oracle** ones are placed by the true landmarks, which is the paper's protocol and tells the network where the face is "
        "and how large; **detector** ones are placed by a detector's box alone. Faces are never turned upright for a test."
    )
    on = f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, NumPy {machine['numpy']}, {machine['date']}"
    return [
        f"`{command}` on {on}. Preset {one.preset}: first convolution {one.net.width} channels wide (the paper: 64), {one.net.units} LSTM "
        "units (512), "
        f"frames of {one.net.size} px (112).",
        Table("Runs", ["run", "epochs", "best", "validation error of the best", "minutes of training"], lines),
        Table("Faces", ["subset", "faces", "photos", "what they are", "detector", "missed"], counts),
        oracle,
    ]


def floor(runs: dict[str, Run], tested: dict[str, Tested]) -> Table:
    """What the mean face of the training set scores: any model must do better."""
    rows = []
    for name, subset in tested.items():
        boxes, points = (
            score(np.repeat(runs[f"{model}-augmented"].mean.reshape(1, -1, 2), len(subset.true), 0), subset.true)
            for model in ("cfpd", "corefan")
        )
        numbers = (boxes["box_mse_px2"], *(points[key] for key in ("nme_interocular_percent", "auc_008_percent", "failure_percent")))
        rows.append([name, str(len(subset.true)), *(f"{number:.2f}" for number in numbers)])
    title = "The mean face of the training set, answered for every face (oracle crops)"
    return Table(title, ["subset", "faces", "boxes, px²", "landmarks, ocular %", "AUC %", "failed %"], rows)


def preparation(figures: Path, train: Faces, runs: dict[str, Run]) -> list[Part]:
    """Figures 1 to 3, on training faces."""
    parts_figure(figures / "figure1.png", train[:4])
    rotation_figure(figures / "figure2.png", train[:200])
    augmentation_figure(figures / "figure3.png", train[:3], runs["corefan-augmented"].settings.augment, default_rng(0))
    return [
        Figure("Figure 1: boxes of the parts, made from landmarks", f"{FIGURES}/figure1.png"),
        Figure("Figure 2: the rotation, found from the eye centres, and the normalised face", f"{FIGURES}/figure2.png"),
        Figure("Figure 3: rotated, scaled, translated and mirrored copies", f"{FIGURES}/figure3.png"),
    ]


def structure_table(title: str, run: Run, printed: tuple[Row, ...]) -> Table:
    """Table 1 or 4 from the model itself, the paper's output shapes beside it."""
    found, net = structure(run.model, run.settings.net.size), run.settings.net
    theirs = {row.layer: row.texts()[2] for row in printed}
    note = "Read off the model with one image."
    if [row.layer for row in found] != list(theirs):
        note += f" Unlike the paper: {'; '.join(difference(found, printed))}."
    elif difference(found, printed):
        changed = [f"{net.width} channels wide instead of 64"] * (net.width != 64) + [f"on {net.size} px instead of 112"] * (
            net.size != 112
        )
        note += f" The paper's layers in its order, {' and '.join(changed)}."
    else:
        note += " As the paper prints it."
    rows = [[*row.texts(), theirs.get(row.layer, tables.NONE)] for row in found]
    return Table(title, ["layer", "input", "output", "filter, stride", "the paper's output"], rows, note)


def cfpd(figures: Path, runs: dict[str, Run], train: Faces, tested: dict[str, Tested], results: tables.Results) -> list[Part]:
    """Tables 1 to 3, Figure 4, and the sliding window that was tried before."""
    name, subset = shown(tested, "common", "val", "drawn")
    boxes, true = subset.boxes("augmented"), part_boxes(subset.true)
    errors = np.square(boxes - true).mean((1, 2))
    extremes_figure(figures / "figure4.png", subset.seen["oracle"].images, boxes, true, errors, "{:.2f} px²".format, default_rng(0))
    return [
        structure_table("Table 1: feed forward structure of CFPD", runs["cfpd-augmented"], PAPER_TABLE_1),
        tables.table2(results),
        Figure(f"Figure 4: CFPD, trained on augmented images, on {name}: random faces, best, worst", f"{FIGURES}/figure4.png"),
        tables.table3(speeds(subset.faces)),
        *sliding_windows(figures, train, name, subset),
    ]


def seeding(figures: Path, run: Run) -> Figure:
    """Figure 5."""
    sine_picture(figures / "figure5.png", run.model)
    return Figure("Figure 5: seeded with zeros, and with a training instance", f"{FIGURES}/figure5.png")


def corefan(figures: Path, runs: dict[str, Run], tested: dict[str, Tested], results: tables.Results) -> list[Part]:
    """Tables 4 to 7, Figures 6 to 8, error curves, and where the errors are."""
    run = runs["corefan-augmented"]
    name, subset = shown(tested, "challenging", "val", "drawn")
    predicted = subset.answers["corefan", "augmented", "oracle"]
    diagram(figures / "figure6.png", cast(Corefan, run.model))
    windows_figure(figures / "figure7.png", subset.true[0])
    errors = 100 * metrics.errors(predicted, subset.true)
    extremes_figure(
        figures / "figure8.png", subset.seen["oracle"].images, predicted, subset.true, errors, "{:.1f} %".format, default_rng(0)
    )
    curves = {
        f"{name}, {crops} crops": {
            kind: metrics.errors(one.answers["corefan", kind, crops], one.true) for kind in ("augmented", "original", "normalised")
        }
        for name, one in tested.items()
        for crops in one.seen
    }
    ced_figure(figures / "ced.png", curves)
    landmark_errors_figure(figures / "landmarks.png", predicted, subset.true)
    pose_figure(figures / "pose.png", by_pose(predicted, subset.true))
    of = f"COREFAN, trained on augmented images, on {name}"
    return [
        Figure("Figure 6: COREFAN, drawn from the model", f"{FIGURES}/figure6.png"),
        structure_table("Table 4: feed forward structure of COREFAN's CNN", run, PAPER_TABLE_4),
        Figure("Figure 7: the windows of a part", f"{FIGURES}/figure7.png"),
        tables.table5(results),
        tables.table6(results),
        tables.table7(results),
        Figure(f"Figure 8: {of}: random faces, best, worst", f"{FIGURES}/figure8.png"),
        Figure("Cumulative error curves, inter-ocular", f"{FIGURES}/ced.png"),
        Figure(f"Error by landmark and by part: {of}", f"{FIGURES}/landmarks.png"),
        Figure(f"Error by head pose: {of}", f"{FIGURES}/pose.png"),
    ]


def sliding_windows(figures: Path, train: Faces, name: str, subset: Tested) -> list[Part]:
    """Sliding-window HOG, which the paper tried first (section 2), beside CFPD on the same faces."""
    size = subset.seen["oracle"].images.shape[1]
    chosen = default_rng(0).permutation(len(train))[:HOG_FACES]
    images, points = view(train, chosen, "original", None, size=size)
    finder = train_finder(images, points, seed=0)
    tallies = story(finder, subset.seen["oracle"].images, subset.true, subset.boxes("augmented"))
    picture(figures / "hog.png", subset.seen["oracle"].images, tallies)
    note = (
        "A part is found where a call of it has an IoU of 0.5 or more with it; right is the best call alone. A call that lies on another "
        "part (IoU 0.3 or more), or on nothing, is false. CFPD answers one box a part by design, the window as often as it likes. The "
        f"window's classifier learned from {len(chosen)} training faces; duplicates and false calls are counts a face."
    )
    return [
        Table(f"A sliding window with HOG and a linear classifier, beside CFPD, on {name}", *rows(tallies), note),
        Figure("What the window and CFPD call on three faces; dashed and crossed out: false", f"{FIGURES}/hog.png"),
    ]
