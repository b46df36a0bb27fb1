"""Every run's answers on every subset, on both kinds of crops, and the numbers they make."""

from dataclasses import dataclass, field

import numpy as np

from models.faces import metrics
from models.faces.crops import Faces
from models.faces.geometry import apply
from models.paper.tables import Results
from models.runs import Run
from models.subsets import CROPS, Frames, answer, frames, missed, score, subsets


@dataclass
class Tested:
    """A subset's faces, what the networks see of them, and what they answered."""

    faces: Faces
    seen: dict[str, Frames]  # by crops
    true: np.ndarray  # landmarks (N, 68, 2) in the oracle's frame
    answers: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)  # (model, training set, crops): (N, K, 2) in that frame

    def boxes(self, kind: str, crops: str = "oracle") -> np.ndarray:
        """What CFPD answered: (N, 4, 4)."""
        return self.answers["cfpd", kind, crops].reshape(-1, 4, 4)


def prepare(train: Faces, validation: Faces, everything: Faces, size: int) -> dict[str, Tested]:
    """The subsets to test on: the validation faces, and what test sets there are among everything that was read."""
    tests = subsets(everything, set(train.photos))
    own = {"train": "val"}.get(validation.subsets[0], validation.subsets[0])  # val, other or drawn
    found = {own: validation} | {name: tests[name] for name in ("common", "challenging", "full", "private") if name in tests}
    tested = {}
    for name, faces in found.items():
        seen = {crops: frames(faces, crops, size) for crops in CROPS}
        tested[name] = Tested(faces, seen, apply(seen["oracle"].matrices, faces.landmarks))
    return tested


def ask(run: Run, tested: dict[str, Tested]) -> None:
    """Have a run answer every subset."""
    for subset in tested.values():
        for crops, seen in subset.seen.items():
            found = answer(run.model, seen, subset.seen["oracle"].matrices)
            subset.answers[run.settings.model, run.settings.set, crops] = found


def numbers(tested: dict[str, Tested]) -> Results:
    """results[model][training set][crops][subset]: what the tables print."""
    results: Results = {}
    for name, subset in tested.items():
        for (model, kind, crops), predicted in subset.answers.items():
            row = score(predicted, subset.true) | {"missed": int(missed(predicted).sum())}
            if model == "corefan":
                row["auc_008_grid_percent"] = 100 * metrics.auc_on_grid(metrics.errors(predicted, subset.true))
            results.setdefault(model, {}).setdefault(kind, {}).setdefault(crops, {})[name] = row
    return results
