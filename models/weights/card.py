"""The figures of the card, README.md here: `python -m models.weights.card DATA [PICTURE.png]`, DATA being the training folders of 300-W."""

import sys
from pathlib import Path

import numpy as np

from models.evaluate import faces_to_test
from models.faces import draw, metrics
from models.faces.crops import Faces
from models.faces.geometry import apply
from models.measure.report import table
from models.paper.breakdown import by_part
from models.runs import Run, open_run
from models.subsets import Frames, answer, frames, score
from models.weights import shipped

WAYS = ((1, False), (1, True), (2, False), (2, True))  # passes, mirrored
WORST = 12  # faces in the picture


def main(data: str, picture: str | None = None) -> None:
    """Print the tables of all shipped weights; draw the worst answers, as outlines alone, for the photos are not ours to show."""
    everything: dict[str, Faces] = {}
    for path in sorted(Path(__file__).parent.glob("*.npz")):
        run = open_run(path)
        everything = everything or faces_to_test(open_run(shipped("corefan")), data)
        faces = next(iter(everything.values()))
        oracle = frames(faces, "oracle", run.settings.net.size)
        true = apply(oracle.matrices, faces.landmarks)
        print(f"\n### {path.name}, {path.stat().st_size / 1e6:.2f} MB, {len(faces)} faces\n")
        print(errors(run, {"oracle": oracle, "detector": frames(faces, "detector", run.settings.net.size)}, oracle.matrices, true))
        if path == shipped("corefan"):
            predicted = answer(run.model, oracle, oracle.matrices)
            print("\n" + ", ".join(f"{part} {error:.2f} %" for part, error in by_part(predicted, true).items()))
            if picture:
                worst(Path(picture), predicted, true)


def errors(run: Run, seen: dict[str, Frames], oracle: np.ndarray, true: np.ndarray) -> str:
    """A row for each kind of crops and each way to look."""
    corefan = run.settings.model == "corefan"
    names = (
        ["nme_interocular_percent", "nme_interpupil_percent", "auc_008_percent", "failure_percent"]
        if corefan
        else ["box_mse_px2", "box_iou"]
    )
    header = ["crops", "looks", *(["inter-ocular %", "inter-pupil %", "AUC %", "failed %"] if corefan else ["MSE px²", "IoU"])]
    rows = []
    for crops, images in seen.items():
        for passes, mirrored in WAYS if corefan else WAYS[:2]:
            found = score(answer(run.model, images, oracle, passes, mirrored), true)
            how = ("once", "twice")[passes - 1] + (", and in the mirror" if mirrored else "")
            rows.append([f"{crops} ({images.by})", how, *(f"{found[name]:.2f}" for name in names)])
    return table(header, rows)


def worst(path: Path, predicted: np.ndarray, true: np.ndarray) -> None:
    """The faces with the largest errors: what was marked, and what was answered."""
    wrong = metrics.errors(predicted, true)
    order = np.argsort(-wrong)[:WORST]
    blank = np.zeros((len(order), 112, 112), np.uint8)
    draw.landmark_sheet(path, blank, predicted[order], true[order], [f"{100 * error:.1f} %" for error in wrong[order]])


if __name__ == "__main__":
    main(*sys.argv[1:])
