"""The weights that ship: small, whole, and as good on the validation fold as their card says."""

import re
from pathlib import Path

import numpy as np
import pytest

from models.faces.geometry import apply
from models.runs import open_run
from models.subsets import answer, frames, score, subsets
from models.weights import shipped

CARD = (Path(shipped("corefan")).parent / "README.md").read_text()
MEASURE = {"corefan": "nme_interocular_percent", "cfpd": "box_mse_px2"}


def weights(name):
    """corefan, cfpd or corefan-drawn."""
    return shipped(name.removesuffix("-drawn"), drawn=name.endswith("-drawn"))


@pytest.mark.parametrize("name", ["corefan", "cfpd", "corefan-drawn"])
def test_they_are_small_and_say_what_they_were_trained_on(name):
    run = open_run(weights(name))
    assert weights(name).stat().st_size <= 6_000_000
    assert bool(run.settings.data) == (not name.endswith("-drawn"))
    assert all(photo.startswith("drawn-") for photo in run.photos) == name.endswith("-drawn")
    assert all(np.isfinite(array).all() for array in run.model.state().values())
    assert f"`{name}.npz`" in CARD and f"### {name}.npz" in CARD


@pytest.mark.parametrize(("name", "bar"), [("corefan", 4.8), ("cfpd", 1.6), ("corefan-drawn", 9.0)])
def test_the_card_tells_their_errors(name, bar, real_faces):
    """On oracle crops of faces never trained on: below the bar, and the card's number to its last digit."""
    run = open_run(weights(name))
    faces = subsets(real_faces, open_run(shipped("corefan")).photos)["val"]
    seen = frames(faces, "oracle", run.settings.net.size)
    error = score(answer(run.model, seen, seen.matrices), apply(seen.matrices, faces.landmarks))[MEASURE[run.settings.model]]
    assert error < bar
    table = CARD[CARD.index(f"### {name}.npz") :]
    (told,) = re.findall(r"\| oracle \(landmarks\) \| +once \| +([\d.]+) \|", table)[:1]
    assert error == pytest.approx(float(told), abs=0.006)
