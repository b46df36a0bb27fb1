"""`faceseed evaluate`: a run's errors, a row a subset, beside what the paper reports for the same training set."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from models.faces import ibug, metrics
from models.faces.augment import view
from models.faces.boxes import iou, part_boxes
from models.faces.crops import Faces
from models.runs import Run, training_faces
from models.tasks import predict
from nn import InputError

# Tables 5, 6 and 7: inter-ocular error, inter-pupil error, AUC at 0.08, failure rate, in percent; None where the paper has no number.
# Table 6's rows for COREFAN are the common set's (0.18 % of failures is 1 face of 554).
PAPER_COREFAN = {
    ("common", "original"): (3.91, 5.42, 51.27, 0.54),
    ("common", "normalised"): (5.30, 7.35, 38.09, 13.35),
    ("common", "augmented"): (3.51, 4.87, 56.10, 0.18),
    ("challenging", "original"): (8.40, 12.15, None, None),
    ("challenging", "normalised"): (11.60, 16.74, None, None),
    ("challenging", "augmented"): (6.40, 9.24, None, None),
    ("full", "original"): (4.78, 6.73, None, None),
    ("full", "normalised"): (6.53, 9.19, None, None),
    ("full", "augmented"): (4.07, 5.72, None, None),
    ("private", "original"): (5.84, None, 32.61, 13.5),
    ("private", "normalised"): (7.58, None, 23.52, 30.16),
    ("private", "augmented"): (5.12, None, 39.32, 6.16),
}
# Table 2: mean squared error of the boxes in px². It has no row for the full set and none for IoU.
PAPER_CFPD = {
    ("common", "original"): (1.371, None),
    ("common", "normalised"): (3.005, None),
    ("common", "augmented"): (1.112, None),
    ("challenging", "original"): (4.977, None),
    ("challenging", "normalised"): (8.715, None),
    ("challenging", "augmented"): (3.328, None),
    ("private", "original"): (2.986, None),
    ("private", "normalised"): (4.832, None),
    ("private", "augmented"): (2.604, None),
}
HEADINGS = {
    "nme_interocular_percent": "ocular %",
    "nme_interpupil_percent": "pupil %",
    "auc_008_percent": "AUC %",
    "failure_percent": "failed %",
    "box_mse_px2": "MSE px²",
    "box_iou": "IoU",
}


def evaluate(run: Run, data: str, json_to: str | None = None, skip_bad: bool = False) -> None:
    """Print the table of a run; with `json_to` also write {subset: {"n": ..., error: ...}} to that file, or to standard output for "-".

    Crops are those of the paper's protocol: centred and scaled by the true landmarks, never turned.
    """
    if run.settings.model == "sine":
        raise InputError(f"{run.folder}: a sine has no faces to be evaluated on; look at its sine.png")
    if json_to not in (None, "-") and (Path(json_to).is_dir() or not Path(json_to).absolute().parent.is_dir()):
        raise InputError(f"{json_to}: expected a file in a folder that exists; make the folder, or give another --json")
    results, floor = {}, {}
    with redirect_stdout(sys.stderr if json_to == "-" else sys.stdout):  # with "-" standard output is for the numbers alone
        for name, faces in subsets(run, data, skip_bad).items():
            images, points = view(faces, np.arange(len(faces)), "original", None, size=run.settings.net.size)
            results[name] = score(run, predict(run.model, images), points)
            floor[name] = score(run, np.repeat(run.mean[None], len(points), 0), points)
        print(table(run, results, floor))
    if json_to == "-":
        print(json.dumps(results))
    elif json_to:
        Path(json_to).write_text(json.dumps(results, indent=2) + "\n")


def subsets(run: Run, data: str, skip_bad: bool = False) -> dict[str, Faces]:
    """The faces to test on by subset. Of the training folders only photos that the run never saw: they are "val".

    Faces whose fold (boxes.csv) is "train" stay out for every run, so that all runs are measured on the same ones.
    """
    if not data:
        if run.settings.data:
            raise InputError(f"give --data FOLDER: {run.folder} was trained on photos, which are not kept in the run")
        return {"drawn": training_faces(run.settings)[1]}
    faces = ibug.load(data, skip_bad=skip_bad)
    unseen = np.array([fold != "train" and photo not in run.photos for fold, photo in zip(faces.folds, faces.photos, strict=True)])
    subset = np.array(faces.subsets)
    masks = {
        "val": unseen & (subset == "train"),
        "common": subset == "common",
        "challenging": subset == "challenging",
        "full": np.isin(subset, ("common", "challenging")) & (subset == "common").any() & (subset == "challenging").any(),
        "private": subset == "private",
        "other": unseen & (subset == "other"),
    }
    found = {name: faces[mask] for name, mask in masks.items() if mask.any()}
    if not found:
        raise InputError(f"{data}: all {len(faces)} faces were trained on; give photos that the run has not seen")
    if faces.skipped:
        print(f"{faces.skipped} files skipped", file=sys.stderr)
    return found


def score(run: Run, predicted: np.ndarray, points: np.ndarray) -> dict[str, float]:
    """The numbers of one row."""
    if run.settings.model == "corefan":
        return metrics.summary(predicted, points)
    boxes, true = predicted.reshape(-1, 4, 4), part_boxes(points)
    return {"n": len(points), "box_mse_px2": metrics.box_mse(boxes, true), "box_iou": float(iou(boxes, true).mean())}


def table(run: Run, results: dict[str, dict[str, float]], floor: dict[str, dict[str, float]]) -> str:
    """Our rows, under each the paper's where it has one, and the mean face's, which any model must beat."""
    columns = [name for name in next(iter(results.values())) if name != "n"]
    paper = PAPER_COREFAN if run.settings.model == "corefan" else PAPER_CFPD
    lines = [f"{'subset':<12}{'':<12}{'faces':>6}" + "".join(f"{HEADINGS[name]:>10}" for name in columns)]
    for name, row in results.items():
        lines.append(f"{name:<12}{'ours':<12}{row['n']:>6}" + "".join(f"{row[column]:>10.3f}" for column in columns))
        if theirs := paper.get((name, run.settings.set)):
            numbers = ("-" if value is None else f"{value:.3f}" for value in theirs)
            lines.append(f"{'':<12}{'the paper':<12}{'':>6}" + "".join(f"{number:>10}" for number in numbers))
        lines.append(f"{'':<12}{'mean face':<12}{'':>6}" + "".join(f"{floor[name][column]:>10.3f}" for column in columns))
    return "\n".join(lines)
