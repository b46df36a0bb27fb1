"""`faceseed export` and `faceseed import`, as a user runs them."""

import json
import sys

import numpy as np
import pytest

from models.interchange.state_dict import to_torch_names
from models.runs import open_run, task_for
from models.settings import settings_for
from models.tasks import predict
from nn import checkpoint

SIZES = ["--set", "net.width=2", "--set", "net.units=4"]


def state_of(path):
    return open_run(path).model.state()


@pytest.mark.parametrize("model", ["corefan", "cfpd", "sine"])
def test_a_run_goes_out_and_comes_back(model, runs, faceseed, tmp_path):
    run = getattr(runs, model)
    code, out, _ = faceseed("export", "there.npz", "--run", run)
    assert code == 0 and out.startswith("there.npz: 0.")
    code, out, err = faceseed("import", "there.npz", "--model", model, *SIZES, "--out", "back")
    assert (code, err) == (0, "") and "run folder back" in out
    before, after = state_of(run), state_of(tmp_path / "back")
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, strict=True)


def test_an_onnx_file(runs, faceseed, tmp_path):
    pytest.importorskip("onnx", reason="not run: ONNX files need the extra, pip install '.[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="not run: needs the extra, pip install '.[parity]'")
    code, out, err = faceseed("export", "new/boxes.onnx", "--run", runs.cfpd)
    assert (code, err) == (0, "") and out.startswith("new/boxes.onnx: 0.")
    session = runtime.InferenceSession(tmp_path / "new/boxes.onnx")
    gray = np.random.default_rng(0).integers(0, 256, (3, 1, 112, 112)).astype(np.float32)
    (boxes,) = session.run(None, {"gray": gray})
    ours = predict(open_run(runs.cfpd).model, ((gray / 255 - 0.485) / 0.229).reshape(3, 112, 112, 1).astype(np.float32))
    np.testing.assert_allclose(boxes.reshape(3, 16), ours, rtol=0, atol=1e-4)
    assert "research only" in session.get_modelmeta().custom_metadata_map["licence"]


@pytest.mark.parametrize(("options", "name"), [([], "corefan"), (["--model", "cfpd"], "cfpd")])
def test_the_shipped_weights_are_the_default(options, name, runs, faceseed, monkeypatch, tmp_path):
    monkeypatch.setattr("models.weights.shipped", lambda model: getattr(runs, model))
    assert faceseed("export", "weights.npz", *options)[0] == 0
    expected = to_torch_names(open_run(getattr(runs, name)).model)
    with np.load(tmp_path / "weights.npz") as file:
        assert file.files == list(expected)
        assert all(np.array_equal(file[key], expected[key]) for key in expected)


def test_photos_that_an_import_was_trained_on_are_left_out(runs, album, faceseed, tmp_path):
    """As training itself notes them, but for those held out: nobody knows what another program held out."""
    faceseed("export", "there.npz", "--run", runs.corefan)
    assert faceseed("import", "there.npz", "--model", "corefan", *SIZES, "--data", album, "--out", "back")[0] == 0
    back = open_run(tmp_path / "back")
    assert back.photos > open_run(runs.corefan).photos
    assert back.mean.shape == (68, 2) and np.abs(back.mean.mean(0) - 55.5).max() < 1e-2  # the mean landmark is the frame's centre
    assert faceseed("evaluate", "back", "--data", album, "--json", "found.json")[0] == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) >= {"common", "challenging", "private"} and not set(found) & {"train", "val"}


def test_an_import_whose_photos_nobody_names(runs, album, faceseed, tmp_path):
    """A floor to beat there is all the same, and its weights may have seen photos."""
    faceseed("export", "there.npz", "--run", runs.cfpd)
    assert faceseed("import", "there.npz", "--model", "cfpd", *SIZES, "--set", "normalised", "--out", "back")[0] == 0
    back = open_run(tmp_path / "back")
    assert back.settings.set == "normalised" and back.photos == {"unknown"}
    centres = back.mean.reshape(4, 2, 2).mean(1)  # left eye, right eye, nose, mouth
    assert centres[0, 0] < centres[2, 0] < centres[1, 0] and centres[0, 1] < centres[2, 1] < centres[3, 1]
    assert faceseed("evaluate", "back", "--data", album)[0] == 0
    pytest.importorskip("onnx", reason="not run: ONNX files need the extra, pip install '.[onnx]'")
    assert faceseed("export", "again.onnx", "--run", "back")[0] == 0
    assert b"research only" in (tmp_path / "again.onnx").read_bytes()


def test_training_starts_from_an_import(runs, faceseed, tmp_path):
    from models.faces.synthetic import drawn_faces

    faceseed("export", "there.npz", "--run", runs.corefan)
    faceseed("import", "there.npz", "--model", "corefan", *SIZES, "--out", "back")
    settings = settings_for("corefan", "small", "", changes=["net.width=2", "net.units=4", f'start="{(tmp_path / "back").as_posix()}"'])
    faces = drawn_faces(2, seed=0)
    for name, array in task_for(settings, (faces, faces)).model.state().items():
        np.testing.assert_array_equal(array, state_of(runs.corefan)[name])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "model.h5", "--run", "RUN"], "model.h5: expected a name that ends in .onnx (ONNX) or .npz (a PyTorch state dict)"),
        (["export", "there.npz", "--run", "RUN"], "there.npz: exists already; choose another file, or remove it"),
        (["export", "out.npz", "--run", "nowhere"], "nowhere: not a run folder"),
        (["import", "nowhere.npz", "--model", "cfpd"], "nowhere.npz: no .npz that can be read"),
        (
            ["import", "there.npz", "--model", "corefan"],
            "there.npz: 'cnn.conv1.conv.weight' is float32 (2, 1, 3, 3), expected floating-point numbers (64, 1, 3, 3)",
        ),
        (["import", "there.npz", "--model", "cfpd", *SIZES], "there.npz: 'cnn.conv7.conv.weight' in the place of 'fc1.dense.weight'"),
        (["import", "there.npz", "--model", "corefan", *SIZES, "--out", "there.npz"], "there.npz: cannot be made (File exists)"),
        (["import", "weights.npz", "--model", "corefan", *SIZES], "weights.npz: is of faceseed's own making, no state dict"),
    ],
    ids=["suffix", "exists", "no-run", "no-file", "width", "model", "out", "our-own-weights"],
)
def test_one_line_for_what_is_wrong(arguments, words, runs, faceseed, tmp_path):
    faceseed("export", "there.npz", "--run", runs.corefan)
    faceseed("weights", runs.corefan, "weights.npz")
    code, out, err = faceseed(*(runs.corefan if word == "RUN" else word for word in arguments))
    assert (code, out) == (2, "")
    assert words in err and err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.npz", "weights.npz"]


def test_without_the_onnx_package(runs, faceseed, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "onnx" or name == "models.interchange.graph"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = faceseed("export", "model.onnx", "--run", runs.cfpd)
    assert code == 2 and "pip install onnx" in err and err.count("\n") == 1
    assert not (tmp_path / "model.onnx").exists()


def test_what_best_npz_says_of_itself(runs, faceseed, tmp_path):
    faceseed("export", "there.npz", "--run", runs.sine)
    faceseed("import", "there.npz", "--model", "sine", *SIZES, "--out", "back")
    _, record = checkpoint.load(tmp_path / "back" / "best.npz")
    assert record["settings"] == json.loads((tmp_path / "back" / "config.json").read_text())
