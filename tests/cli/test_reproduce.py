"""`faceseed reproduce --quick`: every table and figure is there, and the same command goes on where it was stopped."""

import json
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from models.cli import main
from models.faces.augment import view
from models.runs import open_run, training_faces
from models.settings import QUICK
from models.tasks import predict

FIGURES = [*(f"figure{k}" for k in range(1, 9)), "ced", "hog", "landmarks", "pose"]
SETS = ("original", "normalised", "augmented")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder of a quick reproduction on drawn faces, what it printed, and its report."""
    folder = tmp_path_factory.mktemp("quick") / "out"
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        assert main(["reproduce", "--quick", "--out", str(folder)]) == 0
    text = (folder / "report.md").read_text()
    return SimpleNamespace(folder=folder, lines=lines, text=text, results=json.loads((folder / "results.json").read_text()))


def test_every_table_and_figure_is_there(quick):
    page = (quick.folder / "report.html").read_text()
    for kind, numbers in (("Table", range(1, 8)), ("Figure", range(1, 9))):
        for number in numbers:
            assert re.search(rf"^### {kind} {number}: ", quick.text, re.MULTILINE), (kind, number)
            assert f"{kind} {number}: " in page
    for name in FIGURES:
        picture = cv2.imread(str(quick.folder / "figures" / f"{name}.png"))
        assert picture is not None and picture.shape[1] >= 700 and picture.std() > 10, name
        assert f"](figures/{name}.png)" in quick.text
    assert page.count("data:image/png;base64,") == len(FIGURES)


def test_absent_subsets_are_said_to_be_absent(quick):
    faces = quick.text.partition("### Faces")[2]
    for name in ("common", "challenging", "full", "private"):
        assert re.search(rf"^\| {name} +\| absent ", faces, re.MULTILINE), name
    assert re.search(r"ours: augmented, oracle\*\* +\| +absent \| +absent \| +absent \| +[\d.]+ \|", quick.text)


def test_all_is_measured_on_both_crops(quick):
    """The numbers of one run once more, by `predict` and the definitions; and each has its place in the tables."""
    assert set(quick.results) == {"cfpd", "corefan"}
    for model in quick.results.values():
        assert set(model) == set(SETS)
        for kind in model.values():
            assert {crops: list(rows) for crops, rows in kind.items()} == {"oracle": ["drawn"], "detector": ["drawn"]}
            assert kind["oracle"]["drawn"]["missed"] == 0 < kind["detector"]["drawn"]["n"] == QUICK["drawn"] // 10
    run = open_run(quick.folder / "corefan-normalised")
    _, validation = training_faces(run.settings)
    images, true = view(validation, np.arange(len(validation)), "original", None, size=run.settings.net.size)
    distance = np.linalg.norm(predict(run.model, images) - true, axis=2).mean(1)
    error = 100 * (distance / np.linalg.norm(true[:, 36] - true[:, 45], axis=1)).mean()
    row = quick.results["corefan"]["normalised"]["oracle"]["drawn"]
    assert row["nme_interocular_percent"] == pytest.approx(error, rel=1e-5)
    assert f" {error:.2f} |" in quick.text.partition("### Table 5")[2].partition("### Table 6")[0]


def test_the_plan_comes_first_and_has_every_run(quick):
    plan = [line for text in quick.lines for line in text.splitlines() if re.search(r"to do$", line)]
    assert [line.split()[0] for line in plan] == ["sine", *(f"{model}-{kind}" for model in ("cfpd", "corefan") for kind in SETS)]
    assert all(int(line.split()[1]) == QUICK["faces"] and int(line.split()[2]) == QUICK["epochs"] for line in plan[1:])


def test_the_same_command_trains_nothing_anew(quick, capsys):
    """And --plan alone writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in quick.folder.rglob("*")}
    assert main(["reproduce", "--quick", "--plan", "--out", str(quick.folder)]) == 0
    out = capsys.readouterr().out
    assert out.count("done\n") == 7 and "In all 0 s" in out
    assert {path: path.stat().st_mtime_ns for path in quick.folder.rglob("*")} == before


def test_another_preset_in_the_same_folder_is_refused(quick, capsys):
    assert main(["reproduce", "--preset", "tiny", "--out", str(quick.folder)]) == 2
    assert "holds a run with another" in capsys.readouterr().err


def test_a_preset_that_there_is_none_of(capsys, tmp_path):
    assert main(["reproduce", "--preset", "huge", "--out", str(tmp_path / "out")]) == 2
    assert "unknown preset 'huge'" in capsys.readouterr().err and not (tmp_path / "out").exists()
