"""`faceseed weights`, the weights that come along, and other ways for `evaluate` to look."""

import json

import numpy as np
import pytest

from models.faces.geometry import apply, frame
from models.faces.ibug import load
from models.locate import locate
from models.runs import open_run


@pytest.fixture
def evaluated(faceseed, album, tmp_path):
    """evaluated(OPTIONS...): the numbers of the common set."""

    def evaluate(*options):
        code, out, err = faceseed("evaluate", *options, "--data", album, "--json", "-")
        assert code == 0, err
        return json.loads(out)["common"]

    return evaluate


def test_a_file_of_weights_stands_where_a_run_does(faceseed, runs, evaluated, tmp_path):
    """Its errors are those of the run, but for half precision."""
    code, out, _ = faceseed("weights", runs.corefan, tmp_path / "small.npz")
    assert code == 0 and out.startswith(f"{tmp_path / 'small.npz'}: 0.0")
    run, packed = evaluated(runs.corefan), evaluated(tmp_path / "small.npz")
    assert packed == pytest.approx(run, rel=1e-2) and packed != run


def test_weights_refuse(refused, runs, tmp_path):
    (tmp_path / "there.npz").write_text("mine")
    refused([tmp_path / "there.npz", "exists already"], "weights", runs.corefan, tmp_path / "there.npz")
    refused(["weights.bin", "choose a name that ends so"], "weights", runs.corefan, tmp_path / "weights.bin")
    refused(["there.npz", "no checkpoint of faceseed"], "evaluate", tmp_path / "there.npz", "--data", tmp_path)
    refused(["nowhere.npz", "no such checkpoint"], "evaluate", tmp_path / "nowhere.npz", "--data", tmp_path)


def test_no_run_is_the_weights_that_come_along(evaluated):
    """Drawn faces are not what they were trained on; they still know a face when they see one."""
    assert evaluated()["nme_interocular_percent"] < 9
    assert evaluated("--model", "cfpd")["box_mse_px2"] < 12


def test_passes_and_the_mirror_by_the_definition(evaluated, runs, album):
    """The common set once more: two looks, and the mean with the mirror's answer."""
    found = evaluated(runs.corefan, "--passes", "2", "--mirrored")["nme_interocular_percent"]
    faces, model = load(album, ("common",)), open_run(runs.corefan).model
    oracle = frame(faces.landmarks)
    true = apply(oracle, faces.landmarks)
    points = apply(oracle, locate(model, faces.images, oracle, 112, passes=2, mirrored=True))
    errors = np.linalg.norm(points - true, axis=2).mean(1) / np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    assert found == pytest.approx(100 * errors.mean(), rel=1e-6)
    ways = [(), ("--passes", "2"), ("--mirrored",), ("--passes", "2", "--mirrored")]
    assert len({evaluated(runs.corefan, *way)["nme_interocular_percent"] for way in ways}) == 4


def test_passes_that_make_no_sense(refused, runs, album):
    refused(["--passes 0", "expected 1, or more"], "evaluate", runs.corefan, "--data", album, "--passes", "0")
    refused(["--passes 2", "COREFAN"], "evaluate", runs.cfpd, "--data", album, "--passes", "2")
