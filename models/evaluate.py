"""`faceseed evaluate`: a run's errors, a row a subset, beside what the paper reports for the same training set."""

import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from models.faces import ibug
from models.faces.crops import Faces
from models.faces.geometry import apply
from models.paper.numbers import PAPER_CFPD, PAPER_COREFAN
from models.runs import Run, say_skipped, training_faces
from models.subsets import answer, frames, missed, score, subsets
from nn import InputError

HEADINGS = {
    "nme_interocular_percent": "ocular %",
    "nme_interpupil_percent": "pupil %",
    "auc_008_percent": "AUC %",
    "failure_percent": "failed %",
    "box_mse_px2": "MSE px²",
    "box_iou": "IoU",
    "missed": "missed",
}


def evaluate(
    run: Run,
    data: str,
    json_to: str | None = None,
    skip_bad: bool = False,
    crops: str = "oracle",
    passes: int = 1,
    mirrored: bool = False,
) -> None:
    """Print the table of a run; with `json_to` also write {subset: {"n": ..., error: ...}} to that file, or to standard output for "-".

    crops "oracle" are those of the paper's protocol: centred and scaled by the true landmarks, never turned; "detector" are placed by
    a detector's boxes, and "missed" counts the faces it did not find. passes, mirrored: as in models/locate.py.
    """
    if run.settings.model == "sine":
        raise InputError(f"{run.folder}: a sine has no faces to be evaluated on; look at its sine.png")
    if passes < 1 or (passes > 1 and run.settings.model != "corefan"):
        raise InputError(f"--passes {passes}: expected 1, or more for COREFAN, whose landmarks place the next pass's frame")
    if json_to not in (None, "-") and (Path(json_to).is_dir() or not Path(json_to).absolute().parent.is_dir()):
        raise InputError(f"{json_to}: expected a file in a folder that exists; make the folder, or give another --json")
    results, floor = {}, {}
    with redirect_stdout(sys.stderr if json_to == "-" else sys.stdout):  # with "-" standard output is for the numbers alone
        for name, faces in faces_to_test(run, data, skip_bad).items():
            oracle = frames(faces, "oracle", run.settings.net.size)
            points = apply(oracle.matrices, faces.landmarks)
            seen = oracle if crops == "oracle" else frames(faces, crops, run.settings.net.size)
            predicted = answer(run.model, seen, oracle.matrices, passes, mirrored)
            results[name] = score(predicted, points)
            if crops == "detector":
                results[name]["missed"] = int(missed(predicted).sum())
            floor[name] = score(np.repeat(run.mean.reshape(1, -1, 2), len(points), 0), points)
        print(table(run, results, floor))
    if json_to == "-":
        print(json.dumps(results))
    elif json_to:
        Path(json_to).write_text(json.dumps(results, indent=2) + "\n")


def faces_to_test(run: Run, data: str, skip_bad: bool = False) -> dict[str, Faces]:
    """Faces that the run never saw, by subset. Raises InputError where the data has none."""
    if not data:
        if run.settings.data:
            raise InputError(f"give --data FOLDER: {run.folder} was trained on photos, which are not kept in the run")
        return {"drawn": training_faces(run.settings)[1]}
    faces = ibug.load(data, skip_bad=skip_bad)
    say_skipped(faces.skipped)
    found = subsets(faces, run.photos)
    if not found:
        raise InputError(f"{data}: all {len(faces)} faces were trained on; give photos that the run has not seen")
    return found


def table(run: Run, results: dict[str, dict[str, float]], floor: dict[str, dict[str, float]]) -> str:
    """Our rows, under each the paper's where it has one, and the mean face's, which any model must beat."""
    columns = [name for name in next(iter(results.values())) if name != "n"]
    paper = PAPER_COREFAN if run.settings.model == "corefan" else PAPER_CFPD

    def line(subset: str, whose: str, count: object, values: Iterable[float | None]) -> str:
        return f"{subset:<12}{whose:<12}{count:>6}" + "".join(f"{number(value):>10}" for value in values)

    lines = [f"{'subset':<12}{'':<12}{'faces':>6}" + "".join(f"{HEADINGS[name]:>10}" for name in columns)]
    for name, row in results.items():
        lines.append(line(name, "ours", row["n"], (row[column] for column in columns)))
        if theirs := paper.get((name, run.settings.set)):
            lines.append(line("", "the paper", "", theirs))
        lines.append(line("", "mean face", "", (floor[name].get(column) for column in columns)))
    return "\n".join(lines)


def number(value: float | None) -> str:
    """To three decimals; a count as it is, a dash for what there is not."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
