"""`faceseed train` and `evaluate`, from options to files."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from models.cli import main
from models.faces.augment import view
from models.faces.ibug import load
from models.paper.numbers import PAPER_CFPD, PAPER_COREFAN
from models.runs import open_run, training_faces
from models.settings import PRESETS, Settings, settings_for
from models.tasks import predict
from nn import checkpoint
from nn.training import read_metrics

LANDMARK_KEYS = ["n", "nme_interocular_percent", "nme_interpupil_percent", "auc_008_percent", "failure_percent"]
KEPT = ["best.npz", "config.json", "last.npz", "lock", "metrics.jsonl", "previous.npz"]  # in every run folder
BOX_KEYS = ["n", "box_mse_px2", "box_iou"]


def picture(path):
    """A PNG that a reader can look at: some hundred pixels a side, and something on it."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    image = cv2.imread(str(path))
    assert min(image.shape[:2]) >= 200 and max(image.shape[:2]) <= 4000
    assert image.std() > 5
    return image


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- train ----


def test_train_on_drawn_faces(faceseed, small, tmp_path):
    """The first command of a new user, made small; nothing is downloaded, nothing but the run folder is written."""
    code, out, err = faceseed("train", "corefan", *small, "--set", "drawn=8", "--epochs", 2)
    assert (code, err) == (0, "")
    assert names(tmp_path) == ["runs"] and names(tmp_path / "runs") == ["corefan"]
    run = tmp_path / "runs" / "corefan"
    assert names(run) == sorted([*KEPT, "trained_on.json", "ced.png", "faces.png", "loss.png"])
    for name in ("ced.png", "faces.png", "loss.png"):
        picture(run / name)
    assert "drawing 9 faces" in out and "8 images an epoch" in out
    assert re.search(r"^epoch 1/2  loss .* nme_interocular_percent .* images_per_second ", out, re.M)
    assert re.search(r"^epoch 2/2 ", out, re.M)
    assert re.search(r"^done in \d+\.\d minutes; best epoch [12]: nme_interocular_percent \d+", out, re.M)


@pytest.mark.parametrize(
    ("model", "error", "pictures"),
    [
        ("sine", "mse", ["loss.png", "sine.png"]),
        ("cfpd", "box_mse_px2", ["faces.png", "loss.png"]),
        ("corefan", "nme_interocular_percent", ["ced.png", "faces.png", "loss.png"]),
    ],
)
def test_what_a_run_folder_holds(model, error, pictures, runs):
    run = getattr(runs, model)
    data = [] if model == "sine" else ["trained_on.json"]
    assert names(run) == sorted([*KEPT, *data, *pictures])
    (row,) = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert list(row) == ["epoch", "loss", error, "lr", "gradient_norm", "gradient_norm_max", "update_ratio", "images_per_second", "seconds"]
    assert row["epoch"] == 1 and all(np.isfinite(value) and value > 0 for value in row.values())
    config = json.loads((run / "config.json").read_text())
    assert (config["model"], config["preset"], config["epochs"], config["batch"], config["net"]["width"]) == (model, "small", 1, 4, 2)
    assert row["lr"] == config["optim"]["lr"] == PRESETS[model]["small"]["optim"]["lr"]
    for name in pictures:
        picture(run / name)
    for name in ("best.npz", "last.npz"):
        _, record = checkpoint.load(run / name)
        assert record["settings"] == config and record["epoch"] == 1


def test_training_photos_are_the_official_ones_split_by_photo(album, runs):
    """Of 8 faces on 6 photos one photo is held out; faces of one photo stay together; test folders are never trained on."""
    faces, validation = training_faces(settings_for("corefan", "small", str(album)))
    assert len(faces) + len(validation) == 8
    assert set(faces.subsets) == set(validation.subsets) == {"train"}
    assert not set(faces.photos) & set(validation.photos)
    record = json.loads((runs.corefan / "trained_on.json").read_text())
    assert record["photos"] == sorted(set(faces.photos))
    _, points = view(faces, np.arange(len(faces)), "original", None)
    np.testing.assert_allclose(record["mean"], points.mean(0), atol=6e-4)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_two_faces_of_a_photo_are_never_parted(fraction, album):
    for seed in range(8):
        settings = settings_for("cfpd", "small", str(album), None, [f"seed={seed}", f"validation={fraction}"])
        train, validation = training_faces(settings)
        assert len(train) + len(validation) == 8
        assert not set(train.photos) & set(validation.photos)


def test_folders_without_the_official_names_are_trained_on_whole(faceseed, small, make_album, tmp_path):
    make_album(tmp_path / "mine", ["a.png", "b.png", "deeper/c.jpg", "deeper/d.jpg", "e.png"])
    code, out, _ = faceseed("train", "cfpd", *small, "--data", "mine", "--out", "run")
    assert code == 0
    assert "mine: 4 faces to train on, 1 to validate" in out


def test_resume_goes_on(faceseed, small, album, tmp_path):
    """Two epochs at once, and one and one more, end in the same weights."""
    common = ["train", "cfpd", *small, "--data", album, "--set", "net.dropout=0.3"]
    assert faceseed(*common, "--epochs", 2, "--out", "whole")[0] == 0
    assert faceseed(*common, "--out", "parts")[0] == 0
    code, out, _ = faceseed("train", "cfpd", "--resume", "--epochs", 2, "--out", "parts")
    assert code == 0
    assert "epoch 2/2" in out and "epoch 1/" not in out
    whole, parts = (checkpoint.load(tmp_path / name / "last.npz")[0] for name in ("whole", "parts"))
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name])
    assert [row["epoch"] for row in read_metrics(tmp_path / "parts")] == [1, 2]
    assert names(tmp_path / "whole") == names(tmp_path / "parts")


def test_resume_of_a_finished_run_changes_no_number(faceseed, runs, tmp_path):
    shutil.copytree(runs.sine, tmp_path / "sine")
    before = {name: (tmp_path / "sine" / name).read_bytes() for name in ("last.npz", "best.npz", "metrics.jsonl", "config.json")}
    assert faceseed("train", "sine", "--resume", "--out", "sine")[0] == 0
    assert {name: (tmp_path / "sine" / name).read_bytes() for name in before} == before


def test_the_same_seed_gives_the_same_run(faceseed, small, tmp_path):
    for out, seed in (("one", 3), ("two", 3), ("other", 4)):
        assert faceseed("train", "sine", *small, "--batch", 500, "--seed", seed, "--out", out)[0] == 0
    one, two, other = (checkpoint.load(tmp_path / name / "best.npz")[0] for name in ("one", "two", "other"))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one if name.endswith("weight"))


def test_debugging_and_a_limit_out_of_reach_change_no_number(faceseed, small, tmp_path):
    """A limit within reach does, and the norms are those before it was applied."""
    for out, options in (("plain", ["optim.clip=0"]), ("same", ["optim.clip=1e9", "--debug-numerics"]), ("clipped", ["optim.clip=0.01"])):
        assert faceseed("train", "sine", *small, "--batch", 500, "--set", *options, "--out", out)[0] == 0
    plain, same, clipped = (checkpoint.load(tmp_path / name / "best.npz")[0] for name in ("plain", "same", "clipped"))
    assert all(np.array_equal(plain[name], same[name]) for name in plain)
    assert not any(np.array_equal(plain[name], clipped[name]) for name in plain)
    rows = [read_metrics(tmp_path / name)[0] for name in ("plain", "same", "clipped")]
    assert rows[0]["gradient_norm"] == rows[1]["gradient_norm"] < rows[1]["gradient_norm_max"]
    assert rows[2]["gradient_norm_max"] > 0.01


def test_a_run_from_before_there_were_limits_still_opens(runs, tmp_path):
    shutil.copytree(runs.sine, tmp_path / "sine")
    settings = json.loads((tmp_path / "sine" / "config.json").read_text())
    assert settings["optim"].pop("clip") == 0
    (tmp_path / "sine" / "config.json").write_text(json.dumps(settings))
    assert open_run(tmp_path / "sine").settings == open_run(runs.sine).settings


# ---- settings ----


def test_defaults_are_the_papers():
    settings = settings_for("corefan", "paper", "data")
    assert settings == Settings(data="data")
    assert (settings.net.width, settings.net.units, settings.batch, settings.set, settings.views) == (64, 512, 64, "augmented", 15 + 2)
    assert (settings.optim.lr, settings.optim.decay, settings.optim.every) == (0.001, 0.5, 20)
    settings = settings_for("cfpd", "paper", "data")
    assert (settings.net.width, settings.batch, settings.epochs, settings.views) == (64, 64, 61, 4 + 2)
    assert (settings.optim.lr, settings.optim.decay, settings.optim.every, settings.net.dropout) == (0.01, 0.4, 10, 0.5)


def test_a_file_overrules_the_preset_and_the_command_line_the_file(faceseed, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'set = "normalised"\nepochs = 3\nbatch = 500\nseed = 8\n[net]\nunits = 5\n[optim]\nlr = 1\n[augment]\nmirror = false\n'
    )
    code, *_ = faceseed(
        "train", "sine", "--config", "mine.toml", "--epochs", 1, "--set", "optim.lr=0.5", "--set", "original", "--out", "run"
    )
    assert code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["set"], config["epochs"], config["batch"], config["seed"]) == ("original", 1, 500, 8)
    assert (config["net"]["units"], config["optim"]["lr"], config["augment"]["mirror"]) == (5, 0.5, False)
    assert config["optim"]["every"] == PRESETS["sine"]["small"]["optim"]["every"]
    assert checkpoint.load(tmp_path / "run" / "best.npz")[0]["model/lstm.weight"].shape == (4 * 5, 5 + 1)


@pytest.mark.parametrize("kind", ["original", "normalised", "augmented"])
def test_set_names_the_training_set(kind, faceseed, small, album, tmp_path):
    assert faceseed("train", "cfpd", *small, "--set", kind, "--set", "views=2", "--data", album, "--out", "run")[0] == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["set"] == kind


@pytest.mark.parametrize(
    ("name", "value", "of"),
    [
        ("feed", "window", lambda model: model.feed),
        ("injection", "first", lambda model: model.lstm.injection),
        ("readout", "point", lambda model: "point" if model.lstm.steps == (17, 10, 12, 9, 20) else "mean"),
        ("seeding", "window", lambda model: model.seeding),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_readings_of_the_paper_are_settings(name, value, of, runs, faceseed, small, album, tmp_path):
    assert faceseed("train", "corefan", *small, "--set", f'net.{name}="{value}"', "--data", album, "--out", "run")[0] == 0
    assert of(open_run(tmp_path / "run").model) == value != of(open_run(runs.corefan).model)


# ---- evaluate ----


@pytest.fixture(scope="module")
def answers(runs, album, tmp_path_factory):
    """What `evaluate --json FILE` writes about both runs."""
    folder = tmp_path_factory.mktemp("answers")
    for model in ("corefan", "cfpd"):
        assert main(["evaluate", str(getattr(runs, model)), "--data", str(album), "--json", str(folder / f"{model}.json")]) == 0
    return {model: json.loads((folder / f"{model}.json").read_text()) for model in ("corefan", "cfpd")}


@pytest.mark.parametrize(("model", "keys"), [("corefan", LANDMARK_KEYS), ("cfpd", BOX_KEYS)])
def test_evaluate_json(model, keys, answers, runs):
    result = answers[model]
    assert list(result) == ["val", "common", "challenging", "full", "private"]
    assert all(list(row) == keys for row in result.values())
    trained = json.loads((runs.corefan / "trained_on.json").read_text())["photos"]
    faces_of = {"afw:11": 2, "afw:12": 2}
    assert {name: row["n"] for name, row in result.items()} == {
        "val": 8 - sum(faces_of.get(photo, 1) for photo in trained),
        "common": 3,
        "challenging": 2,
        "full": 5,
        "private": 1,
    }
    for key in keys[1:]:  # all are means over faces
        assert result["full"][key] == pytest.approx((3 * result["common"][key] + 2 * result["challenging"][key]) / 5, rel=1e-6)


def test_evaluate_measures_what_it_says(answers, runs, album):
    """The common set once more, by the definitions."""
    faces = load(album, ("common",))
    images, true = view(faces, np.arange(len(faces)), "original", None)
    found = predict(open_run(runs.corefan).model, images).astype(np.float64)
    distance = np.linalg.norm(found - true, axis=2).mean(1)
    corners = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    pupils = np.linalg.norm(true[:, 36:42].mean(1) - true[:, 42:48].mean(1), axis=1)
    row = answers["corefan"]["common"]
    assert row["nme_interocular_percent"] == pytest.approx(100 * (distance / corners).mean(), rel=1e-4)
    assert row["nme_interpupil_percent"] == pytest.approx(100 * (distance / pupils).mean(), rel=1e-4)
    assert row["failure_percent"] == pytest.approx(100 * (distance / corners >= 0.08).mean())


@pytest.mark.parametrize("model", ["corefan", "cfpd"])
def test_json_alone_on_standard_output(model, answers, runs, album, faceseed):
    code, out, err = faceseed("evaluate", getattr(runs, model), "--data", album, "--json", "-")
    assert code == 0
    assert json.loads(out) == answers[model]
    assert "the paper" in err and "mean face" in err


@pytest.mark.parametrize(("model", "paper"), [("corefan", PAPER_COREFAN), ("cfpd", PAPER_CFPD)])
def test_rows_beside_the_papers(model, paper, answers, runs, album, faceseed):
    code, out, err = faceseed("evaluate", getattr(runs, model), "--data", album)
    assert (code, err) == (0, "")
    table, subset = {}, ""
    for line in out.splitlines()[1:]:
        subset = line[:12].strip() or subset
        table[subset, line[12:24].strip()] = line[24:].split()
    for subset, result in answers[model].items():
        count, *numbers = result.values()
        assert table.pop((subset, "ours")) == [str(count), *(f"{number:.3f}" for number in numbers)]
        assert len(table.pop((subset, "mean face"))) == len(numbers)
        if printed := paper.get((subset, "augmented")):
            assert table.pop((subset, "the paper")) == ["-" if number is None else f"{number:.3f}" for number in printed]
    assert not table


def test_the_papers_numbers():
    """Tables 2, 5, 6 and 7, each once by hand."""
    assert PAPER_COREFAN["common", "augmented"] == (3.51, 4.87, 56.10, 0.18)
    assert PAPER_COREFAN["full", "augmented"][:2] == (4.07, 5.72)
    assert PAPER_COREFAN["private", "original"] == (5.84, None, 32.61, 13.5)
    assert PAPER_CFPD["challenging", "augmented"][0] == 3.328


def test_evaluate_on_drawn_faces_needs_no_data(faceseed, small, tmp_path):
    assert faceseed("train", "corefan", *small, "--set", "drawn=4", "--out", "run")[0] == 0
    code, out, _ = faceseed("evaluate", "run", "--json", "-")
    assert code == 0
    assert {name: (list(row), row["n"]) for name, row in json.loads(out).items()} == {"drawn": (LANDMARK_KEYS, 1)}
    (row,) = read_metrics(tmp_path / "run")
    assert json.loads(out)["drawn"]["nme_interocular_percent"] == pytest.approx(row["nme_interocular_percent"], rel=1e-5)


# ---- the command itself ----


def test_version_and_help(faceseed):
    code, out, _ = faceseed("--version")
    assert code == 0 and re.fullmatch(r"faceseed \d+\.\d+\.\d+\n", out)
    code, out, _ = faceseed("--help")
    assert code == 0 and all(command in out for command in ("train", "evaluate", "predict", "gradcheck"))
    for command in ("train", "evaluate", "predict", "gradcheck"):
        assert faceseed(command, "--help")[0] == 0


def test_ctrl_c_says_how_to_go_on(faceseed, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("models.runs.train", interrupted)
    code, _, err = faceseed("train", "sine")
    assert code == 130 and "--resume" in err
