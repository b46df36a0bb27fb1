"""`faceseed ablate` and `faceseed transfer`, as small as they go."""

import json
import re

import numpy as np
import pytest

from models import ablate, transfer
from models.cli import main
from models.runs import open_run
from nn.training import read_metrics

TINY = [word for change in ("net.width=2", "net.units=4", "net.size=32", "batch=8", "epochs=1") for word in ("--set", change)]


@pytest.fixture(scope="module")
def ablated(album, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablate") / "out"
    assert main(["ablate", "--data", str(album), "--seeds", "0", "3", *TINY, "--out", str(folder)]) == 0
    return folder


def test_every_reading_is_trained_with_every_seed(ablated):
    runs = sorted(path.name for path in ablated.iterdir() if path.is_dir())
    assert len(runs) == 2 * len(ablate.READINGS)
    settings = {name: json.loads((ablated / name / "config.json").read_text()) for name in runs}
    readings = {tuple(each["net"][key] for key in ("feed", "injection", "readout", "seeding")) for each in settings.values()}
    assert len(readings) == len(ablate.READINGS) == 7
    assert {each["seed"] for each in settings.values()} == {0, 3}
    same = [{key: value for key, value in each.items() if key not in ("seed", "net")} for each in settings.values()]
    assert all(each == same[0] for each in same)


def test_the_table_of_readings_is_what_was_validated(ablated):
    rows = [line.strip("| ").split("|") for line in (ablated / "ablations.md").read_text().splitlines()[2:]]
    assert {row[0].strip() for row in rows} == set(ablate.READINGS)
    means = [float(row[1]) for row in rows]
    assert means == sorted(means)
    for row in rows:
        reading = ablate.READINGS[row[0].strip()]
        errors = [read_metrics(ablated / f"{ablate.name(reading)}-{seed}")[0]["nme_interocular_percent"] for seed in (0, 3)]
        assert [float(cell) for cell in row[3:5]] == pytest.approx(errors, abs=0.006)
        assert float(row[1]) == pytest.approx(np.mean(errors), abs=0.006)
        assert float(row[2].strip(" ±")) == pytest.approx(abs(errors[0] - errors[1]) / np.sqrt(2), abs=0.006)


def test_a_table_of_one_seed_has_no_spread():
    text = ablate.report(np.arange(7.0)[:, None], [4])
    assert text.count(" – |") == 7 and "seed 4" in text


def test_from_drawn_faces_to_real_ones(album, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["transfer", "--data", str(album), *TINY, "--set", "drawn=12", "--out", str(out)]
    assert main(command) == 0
    names = {path.name for path in out.iterdir() if path.is_dir()}
    assert names == {"drawn", "real", *(f"{start}-{k}" for start in ("real", "drawn-real") for k in transfer.FEW)}
    photos = {name: set(json.loads((out / name / "trained_on.json").read_text())["photos"]) for name in names}
    assert photos["drawn-real-50"] == photos["real-50"] | photos["drawn"] and not photos["real-50"] & photos["drawn"]
    assert photos["real-10"] <= photos["real-50"] == photos["real"]
    text = (out / "transfer.md").read_text()
    error = read_metrics(out / "real")[0]["nme_interocular_percent"]  # the same validation faces
    assert re.search(rf"^\| all +\| +{error:.2f} \|", text, re.MULTILINE)
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == ["none", "10", "50", "200", "all"]
    assert (out / "transfer.png").stat().st_size > 5000
    assert open_run(out / "drawn-real-10").settings.start == (out / "drawn").as_posix()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.count(": done\n") == 8
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")} == before
