"""Bad input ends in one clear line on standard error that names the file and the way out, exit code 2, and nothing written."""

import json
import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces.pts import read_pts


@pytest.fixture
def data(make_album, tmp_path):
    """Five good faces on five photos, to be spoiled."""
    return make_album(tmp_path / "data", [f"helen/trainset/{k}_1.png" for k in range(5)])


@pytest.fixture
def bad(data):
    """The third face: its image; the .pts lies beside it."""
    return data / "helen" / "trainset" / "2_1.png"


@pytest.fixture
def copy(runs, tmp_path):
    """copy("corefan"): a run that may be damaged."""

    def make(model):
        return Path(shutil.copytree(getattr(runs, model), tmp_path / model))

    return make


def rewrite(pts, change):
    """Change the lines of numbers of a .pts file."""
    lines = pts.read_text().splitlines()
    pts.write_text("\n".join([*lines[:3], *change(lines[3:-1]), lines[-1]]) + "\n")


# ---- photos and landmarks: each fault, met by train and evaluate, and passed over with --skip-bad ----


def with_67_points(image):
    rewrite(image.with_suffix(".pts"), lambda rows: rows[:-1])
    return image.with_suffix(".pts"), "found 67 points"


def with_nan(image):
    rewrite(image.with_suffix(".pts"), lambda rows: [*rows[:9], "nan 12.5", *rows[10:]])
    return image.with_suffix(".pts"), "found 'nan 12.5' as point 10"


def with_words(image):
    image.with_suffix(".pts").write_text("left eye: here\n")
    return image.with_suffix(".pts"), "expected 68 points of two numbers"


def with_a_landmark_far_outside(image):
    rewrite(image.with_suffix(".pts"), lambda rows: ["-4000.0 100.0", *rows[1:]])
    return image.with_suffix(".pts"), "x -4001"


def with_all_landmarks_in_one_place(image):
    rewrite(image.with_suffix(".pts"), lambda rows: ["10 10"] * 68)
    return image.with_suffix(".pts"), "68 points in one place"


def with_an_unreadable_image(image):
    image.write_bytes(image.read_bytes()[:40])
    return image, "expected an image"


def with_an_empty_image(image):
    image.write_bytes(b"")
    return image, "found 0 bytes"


def with_a_text_for_image(image):
    image.write_text("<html>404 Not Found</html>")
    return image, "expected an image"


def without_pts(image):
    image.with_suffix(".pts").unlink()
    return "helen/trainset/2_1", "found none for 1 of 5 images"


FAULTS = [
    with_67_points,
    with_nan,
    with_words,
    with_a_landmark_far_outside,
    with_all_landmarks_in_one_place,
    with_an_unreadable_image,
    with_an_empty_image,
    with_a_text_for_image,
    without_pts,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_bad_face(fault, refused, small, data, bad, runs):
    named, found = fault(bad)
    refused([named, found, "--skip-bad"], "train", "cfpd", *small, "--data", data)
    refused([named, found, "--skip-bad"], "evaluate", runs.corefan, "--data", data, "--json", "numbers.json")


def test_skip_bad_goes_on_and_counts(faceseed, small, make_album, tmp_path, runs):
    """All faults but that of a missing .pts at once, beside five good faces."""
    data = make_album(tmp_path / "data", [f"helen/trainset/{k}_1.png" for k in range(13)])
    for k, fault in enumerate(FAULTS[:8]):
        fault(data / "helen" / "trainset" / f"{k}_1.png")
    code, out, err = faceseed("train", "cfpd", *small, "--data", data, "--skip-bad", "--out", "run")
    lines = err.splitlines()
    assert code == 0 and lines[-1] == "8 files skipped"
    assert {line.split()[1].rstrip(":").rpartition(".")[0] for line in lines[:-1]} == {
        str(data / "helen" / "trainset" / f"{k}_1") for k in range(8)
    }
    assert f"{data}: 4 faces to train on, 1 to validate, 8 skipped" in out
    assert len(json.loads((tmp_path / "run" / "trained_on.json").read_text())["photos"]) == 4
    code, out, err = faceseed("evaluate", runs.corefan, "--data", data, "--skip-bad", "--json", "-")
    assert code == 0
    assert json.loads(out)["val"]["n"] == 5
    assert "8 files skipped" in err


def test_nothing_left_after_skipping(refused, small, make_album, tmp_path, runs):
    data = make_album(tmp_path / "data", ["a.png", "b.png"])
    for name in ("a", "b"):
        with_nan(data / f"{name}.png")
    refused([data, "no usable face"], "train", "cfpd", *small, "--data", data, "--skip-bad")
    refused([data, "no usable face"], "evaluate", runs.corefan, "--data", data, "--skip-bad")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_no_images(command, refused, small, tmp_path, runs):
    options = ["train", "corefan", *small] if command == "train" else ["evaluate", runs.corefan]
    (tmp_path / "empty" / "afw").mkdir(parents=True)
    (tmp_path / "empty" / "afw" / "1_1.pts").write_text("no image beside it")
    (tmp_path / "file").write_text("no folder")
    refused([tmp_path / "empty", "expected images (.jpg or .png) with .pts files, found none"], *options, "--data", tmp_path / "empty")
    refused([tmp_path / "nowhere", "no such folder"], *options, "--data", tmp_path / "nowhere")
    refused([tmp_path / "file", "no such folder"], *options, "--data", tmp_path / "file")


def test_test_folders_alone_cannot_be_trained_on(refused, small, make_album, tmp_path):
    data = make_album(tmp_path / "data", ["helen/testset/1_1.png", "ibug/image_02.png"])
    refused([data, "no usable face of the subsets train, other"], "train", "cfpd", *small, "--data", data)


def test_a_single_photo_cannot_be_split(refused, small, make_album, tmp_path):
    data = make_album(tmp_path / "data", ["afw/1_1.jpg", "afw/1_2.jpg"])
    refused([data, "at least 2 photos", "found 1", "add photos"], "train", "cfpd", *small, "--data", data)


def test_nothing_that_the_run_has_not_seen(refused, runs, album, tmp_path):
    """All that is left of the album is the photos trained on."""
    seen = json.loads((runs.corefan / "trained_on.json").read_text())["photos"]
    shutil.copytree(album / "afw", tmp_path / "data" / "afw")
    for path in (tmp_path / "data" / "afw").iterdir():
        if f"afw:{path.stem[:2]}" not in seen:
            path.unlink()
    refused([tmp_path / "data", "faces were trained on"], "evaluate", runs.corefan, "--data", tmp_path / "data")


# ---- settings ----


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "huge"], ["unknown preset 'huge'", "tiny", "small", "paper"]),
        (["--conv", "tf32"], ["--conv tf32", "direct, tile, igemm", "--device cuda or emulated"]),
        (["--conv", "fast", "--device", "emulated"], ["--conv fast", "direct, tile, igemm"]),
        (["--set", "net.size=30"], ["net.size should divide by 16", "30"]),
        (["--epochs", "0"], ["epochs should be 1 or more, got 0"]),
        (["--batch", "-4"], ["batch should be 1 or more, got -4"]),
        (["--seed", "-1"], ["seed should be 0 or more, got -1"]),
        (["--set", "mirrored"], ["unknown set 'mirrored'", "original, normalised, augmented"]),
        (["--set", "optim.speed=3"], ["unknown setting optim.speed", "optim.lr, optim.schedule, optim.decay"]),
        (["--set", "speed=3"], ["unknown setting speed", "epochs, batch, seed"]),
        (["--set", "optim.lr=fast"], ["--set optim.lr=fast", "name=value"]),
        (["--set", "optim.lr="], ["--set optim.lr=", "name=value"]),
        (["--set", "=3"], ["--set =3", "name=value"]),
        (["--set", 'optim.lr="fast"'], ["optim.lr should be float, got 'fast'"]),
        (["--set", "optim.lr=nan"], ["optim.lr should be 0 or more, got nan"]),
        (["--set", "optim.clip=-1"], ["optim.clip should be 0 or more, got -1.0"]),
        (["--set", "optim.every=0"], ["optim.every should be 1 or more, got 0"]),
        (["--set", "epochs=1.5"], ["epochs should be int, got 1.5"]),
        (["--set", "epochs=true"], ["epochs should be int, got True"]),
        (["--set", "augment.mirror=1"], ["augment.mirror should be bool, got 1"]),
        (["--set", "augment.copies=-2"], ["augment.copies should be 0 or more, got -2"]),
        (["--set", "net.width=0"], ["net.width should be 1 or more, got 0"]),
        (["--set", "net.dropout=1.0"], ["net.dropout should be 0 or more and below 1, got 1.0"]),
        (["--set", "validation=2"], ["validation should be 0 or more and below 1, got 2.0"]),
        (["--set", 'net.feed="both"'], ["unknown net.feed 'both'", "constant, window"]),
        (["--set", 'net.injection="never"'], ["unknown net.injection 'never'", "every, first"]),
        (["--set", 'net.readout="last"'], ["unknown net.readout 'last'", "mean, newest, point"]),
        (["--set", 'net.readout="point"', "--set", 'net.feed="window"'], ['net.readout "point"', 'net.feed "constant"']),
        (["--set", 'model="cfpd"'], ["model 'cfpd'", "corefan"]),
        (["--config", "nowhere.toml"], ["nowhere.toml", "not a TOML file that can be read"]),
        (["--config", "."], [".", "not a TOML file that can be read"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_settings(options, words, refused):
    refused(words, "train", "corefan", *options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = = 3", ["mine.toml", "not a TOML file"]),
        ("[net]\nwidht = 3", ["unknown setting net.widht", "net.width"]),
        ('[net]\nwidth = "narrow"', ["net.width should be int, got 'narrow'"]),
        ("net = 3", ["net should be", "got 3"]),
        ('model = "sine"', ["model 'sine'"]),
    ],
)
def test_a_settings_file(text, words, refused, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    refused(words, "train", "corefan", "--config", "mine.toml")


def test_a_settings_file_that_is_no_text(refused, tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\0")
    refused(["mine.toml", "not a TOML file"], "train", "corefan", "--config", "mine.toml")


@pytest.mark.parametrize(
    "arguments", [["train", "resnet"], ["train"], ["fly"], [], ["train", "cfpd", "--epochs", "many"], ["predict"], ["weights"]]
)
def test_what_argparse_refuses(arguments, faceseed, tmp_path):
    """Its usage, then one line; exit code 2."""
    code, out, err = faceseed(*arguments)
    assert code == 2 and not out
    assert err.startswith("usage: faceseed") and re.match(r"faceseed[a-z ]*: error: [^\n]+$", err.splitlines()[-1])
    assert not list(tmp_path.iterdir())


def test_a_learning_rate_that_blows_up(faceseed, small, album):
    """One line that says where it was seen and what to turn down; NumPy, whose warnings are errors here, says nothing."""
    code, _, err = faceseed("train", "cfpd", *small, "--data", album, "--epochs", 3, "--set", "optim.lr=1e30", "--out", "run")
    assert code == 2
    place = r"epoch 1, step 2: conv\d\.\w+, forward: y \(.*\) has \d+ .*, what goes in has none, its largest: x .*"
    mend = r"lower the rate, --set optim\.lr=\.\.\., or clip, --set optim\.clip=1; weights stand as after step 1"
    assert re.fullmatch(f"faceseed: {place}; {mend}\n", err), err


# ---- run folders ----


@pytest.mark.parametrize("kind", ["run", "empty folder", "file"])
def test_an_existing_run_folder_is_left_alone(kind, refused, small, copy, tmp_path):
    out = tmp_path / "sine"
    if kind == "run":
        copy("sine")
    elif kind == "file":
        out.write_text("precious")
    else:
        out.mkdir()
    refused([out, "exists already", "--out", "--resume"], "train", "sine", *small, "--out", out)
    refused([out, "exists already"], "train", "cfpd", *small, "--data", "nowhere", "--out", out)  # before anything is read


def test_a_run_folder_that_cannot_be_made(refused, small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused([tmp_path / "file" / "run", "cannot be made", "--out"], "train", "sine", *small, "--out", tmp_path / "file" / "run")


def test_no_run(refused, runs, tmp_path, album):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere", runs.sine / "config.json"):
        refused([folder, "not a run folder", "faceseed train"], "evaluate", folder, "--data", album)
        refused([folder, "not a run folder"], "predict", "--run", folder, "photo.png")
        refused([folder, "not a run folder"], "train", "sine", "--resume", "--out", folder)


def shorten(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_truncated_checkpoint(share, refused, copy, album):
    run = copy("corefan")
    shorten(run / "best.npz", share)
    shorten(run / "last.npz", share)
    shorten(run / "previous.npz", share)
    refused([run / "best.npz", "not a whole checkpoint"], "evaluate", run, "--data", album)
    refused([run / "best.npz", "not a whole checkpoint"], "predict", run, album / "ibug" / "image_031.jpg")
    refused([run / "last.npz", "not a whole checkpoint", run / "previous.npz"], "train", "corefan", "--resume", "--epochs", 2, "--out", run)


def test_a_missing_checkpoint(refused, copy, album):
    run = copy("corefan")
    (run / "best.npz").unlink()
    (run / "last.npz").unlink()
    (run / "previous.npz").unlink()
    refused([run / "best.npz", "no such checkpoint"], "evaluate", run, "--data", album)
    refused([run, "no last.npz", "without --resume"], "train", "corefan", "--resume", "--epochs", 2, "--out", run)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"model": "corefan", "net": {"wid', ["not a run folder"]),
        ("", ["not a run folder"]),
        ("[1, 2]", ["not a run folder"]),
        ("null", ["not a run folder"]),
        ('{"model": "corefan", "colour": 3}', ["config.json", "unknown setting colour"]),
        ('{"model": "resnet"}', ["config.json", "unknown model 'resnet'"]),
        ('{"model": "corefan", "net": {"width": "wide"}}', ["config.json", "net.width should be int, got 'wide'"]),
        ('{"model": "corefan", "net": {"feed": "both"}}', ["config.json", "unknown net.feed 'both'"]),
        ('{"model": "corefan", "epochs": 0}', ["config.json", "epochs should be 1 or more"]),
    ],
)
def test_a_damaged_config(text, words, refused, copy, album):
    run = copy("corefan")
    (run / "config.json").write_text(text)
    refused([run, *words], "evaluate", run, "--data", album)
    refused([run, *words], "train", "corefan", "--resume", "--out", run)


def test_a_config_that_is_no_text(refused, copy, album):
    run = copy("corefan")
    (run / "config.json").write_bytes(b"\xff\xfe\0\0")
    refused([run, "not a run folder"], "evaluate", run, "--data", album)


def test_weights_of_another_width(refused, copy, album):
    run = copy("corefan")
    config = json.loads((run / "config.json").read_text())
    config["net"]["width"] = 3
    (run / "config.json").write_text(json.dumps(config))
    refused([run / "best.npz", "built with another width?"], "evaluate", run, "--data", album)
    refused([run / "last.npz", "built with another width?"], "train", "corefan", "--resume", "--epochs", 2, "--out", run)


def test_weights_of_another_model(refused, copy, runs, album):
    run = copy("corefan")
    for name in ("best.npz", "last.npz"):
        shutil.copy(runs.cfpd / name, run / name)
    refused([run / "best.npz", "not this model's"], "evaluate", run, "--data", album)
    refused([run / "last.npz", "not this model's"], "train", "corefan", "--resume", "--epochs", 2, "--out", run)


def test_best_in_the_place_of_last_has_no_optimiser(refused, copy):
    run = copy("corefan")
    shutil.copy(run / "best.npz", run / "last.npz")
    refused([run / "last.npz", "train anew"], "train", "corefan", "--resume", "--epochs", 2, "--out", run)


@pytest.mark.parametrize("text", ['{"photos": ["a"', "", "{}", '{"photos": ["a"]}', '{"photos": 3, "mean": []}', "[]", None])
def test_a_damaged_record_of_what_it_was_trained_on(text, refused, copy, album):
    run = copy("corefan")
    if text is None:
        (run / "trained_on.json").unlink()
    else:
        (run / "trained_on.json").write_text(text)
    refused([run / "trained_on.json", "missing or damaged", "train anew"], "evaluate", run, "--data", album)


def test_resume_goes_on_with_the_same_photos(refused, copy, make_album, tmp_path):
    run, other = copy("corefan"), make_album(tmp_path / "other", [f"helen/trainset/{k}_1.png" for k in range(10)])
    refused([run, "other photos", "--data"], "train", "corefan", "--resume", "--epochs", 2, "--data", other, "--out", run)


def test_resume_takes_no_other_settings(refused, copy):
    run = copy("sine")
    for option in (["--set", "optim.lr=0.1"], ["--batch", 7], ["--seed", 7], ["--config", "mine.toml"]):
        refused(["--resume", "leave out"], "train", "sine", "--resume", "--out", run, *option)
    refused(["epochs should be 1 or more, got 0"], "train", "sine", "--resume", "--out", run, "--epochs", 0)
    refused([run, "a run of sine, not of cfpd"], "train", "cfpd", "--resume", "--out", run)


# ---- evaluate ----


def test_evaluate_refuses(refused, runs, album, tmp_path):
    refused([runs.sine, "no faces", "sine.png"], "evaluate", runs.sine)
    refused([runs.corefan, "--data FOLDER"], "evaluate", runs.corefan)
    refused([tmp_path / "no" / "numbers.json"], "evaluate", runs.corefan, "--data", album, "--json", tmp_path / "no" / "numbers.json")
    refused([tmp_path], "evaluate", runs.corefan, "--data", album, "--json", tmp_path)


# ---- predict ----


@pytest.fixture
def photo(album, tmp_path):
    shutil.copy(album / "ibug" / "image_031.jpg", tmp_path / "me.jpg")
    return tmp_path / "me.jpg"


BOX = ("--box", "80,70,180,180")


@pytest.mark.parametrize(
    "box", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "10,10,10,20", "20,10,10,20", "10,20,20,10", "nan,0,9,9", "0,0,inf,9", "1;2;3;4"]
)
def test_a_box_that_is_none(box, refused, runs, photo):
    refused(["--box", "x0,y0,x1,y1"], "predict", runs.corefan, photo, f"--box={box}")


def test_a_box_off_the_photo(refused, runs, photo):
    for box in ("300,10,400,90", "10,300,90,400", "-90,10,-10,90", "10,-90,90,-10"):
        refused([photo, "outside its 256 x 256 pixels"], "predict", runs.corefan, photo, f"--box={box}")


def test_no_face_found(refused, runs, tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300), 128, np.uint8))
    refused([tmp_path / "wall.png", "found no face", "--box"], "predict", runs.corefan, tmp_path / "wall.png")


BOX_FILE = "image,x0,y0,x1,y1,fold,photo\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOX_FILE + "you,1,2,30,40,,\n", ["me.jpg", "boxes.csv has no box for it", "add a line"]),
        (BOX_FILE + "me,nan,nan,nan,nan,,\n", ["me.jpg", "boxes.csv has no box for it"]),
        (BOX_FILE + "me,1,2,three,40,,\n", ["boxes.csv", "'three'"]),
        (BOX_FILE + "me,1,2\n", ["boxes.csv", "a short line 2"]),
        (BOX_FILE + "me,30,2,1,40,,\n", ["x0 < x1"]),
        ("me 1 2 30 40\n", ["boxes.csv", "no column"]),
        ("", ["boxes.csv", "no column"]),
    ],
)
def test_a_box_file(text, words, refused, runs, photo, tmp_path):
    (tmp_path / "boxes.csv").write_text(text)
    refused(words, "predict", runs.corefan, photo, "--boxes", tmp_path / "boxes.csv")


def test_a_box_file_that_is_none(refused, runs, photo, tmp_path):
    refused([tmp_path / "nowhere.csv"], "predict", runs.corefan, photo, "--boxes", tmp_path / "nowhere.csv")
    refused([tmp_path], "predict", runs.corefan, photo, "--boxes", tmp_path)
    refused([photo], "predict", runs.corefan, photo, "--boxes", photo)  # a picture for a table


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("no image")


@pytest.mark.parametrize("spoil", [empty, text, Path.mkdir, lambda path: None], ids=["empty", "text", "folder", "missing"])
def test_a_photo_that_is_none(spoil, refused, faceseed, runs, photo, tmp_path):
    """Alone it is refused. Beside a good one, a folder without photos and what is not there are refused before anything is written; a
    file that is no image is left out."""
    bad = tmp_path / "bad.png"
    spoil(bad)
    refused([bad], "predict", runs.corefan, bad, *BOX)
    if not bad.is_file():
        refused([bad, "give"], "predict", runs.corefan, photo, bad, *BOX)
        return
    code, out, err = faceseed("predict", runs.corefan, bad, photo, *BOX)
    assert code == 3 and "1 face in 1 picture, 1 left out" in out and err.startswith(f"left out: {bad}: expected an image")
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == ["me.png", "me.pts", "predictions.jsonl"]
    assert read_pts(tmp_path / "predictions" / "me.pts").shape == (68, 2)


@pytest.mark.parametrize("skip", [(), ("--skip-bad",)])
def test_no_photo_could_be_answered(skip, faceseed, runs, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_text("no image")
    code, _, err = faceseed("predict", runs.corefan, "a.png", "b.png", *BOX, *skip)
    assert code == 2 and err.count("left out: ") == 2
    assert err.endswith("faceseed: none of the 2 could be answered; the lines above say why\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_sources_that_are_none(refused, runs, tmp_path):
    refused(["*.gif", "nothing matches", "give photos"], "predict", runs.corefan, "*.gif")
    refused([runs.corefan, "is a run", "after it"], "predict", runs.corefan)
    refused(["camera 47", "cannot be opened"], "predict", runs.corefan, "47", "--no-display")
    (tmp_path / "clip.mp4").write_text("no video")
    refused(["clip.mp4", "expected a video"], "predict", runs.corefan, "clip.mp4", "--no-display")


def test_a_tiny_photo(refused, runs, tmp_path):
    cv2.imwrite(str(tmp_path / "dot.png"), np.full((20, 20), 128, np.uint8))
    refused(["dot.png", "20 x 20 pixels are too few", "--box"], "predict", runs.corefan, "dot.png")


def test_options_that_do_not_go(refused, runs, photo, monkeypatch):
    refused(["--style dots,bars", "'bars' is unknown", "lines, dots"], "predict", runs.corefan, photo, *BOX, "--style", "dots,bars")
    refused(["--style dots", "CFPD finds none"], "predict", runs.cfpd, photo, *BOX, "--style", "dots")
    refused(["--redetect 0", "1 or more"], "predict", runs.corefan, photo, *BOX, "--redetect", 0)
    refused([runs.corefan, "is a run of corefan", "--model cfpd"], "predict", runs.corefan, photo, *BOX, "--model", "cfpd")
    monkeypatch.setitem(sys.modules, "dlib", None)
    refused(["--detector dlib", "pip install dlib"], "predict", runs.corefan, photo, "--detector", "dlib")


def test_a_folder_with_files_is_left_alone(refused, runs, photo, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    refused(["out: holds files already", "--out"], "predict", runs.corefan, photo, *BOX, "--out", "out")


def test_two_photos_of_one_name(refused, runs, photo, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(photo, tmp_path / "other" / "me.jpg")
    other = tmp_path / "other" / "me.jpg"
    refused([other, "names of those of", photo, "--out"], "predict", runs.corefan, photo, other, *BOX, "--out", "out")


def test_an_output_folder_that_cannot_be_made(refused, runs, photo, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        refused([out, "cannot be made", "--out"], "predict", runs.corefan, photo, *BOX, "--out", out)


def test_a_full_disk_while_training(faceseed, small, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "run/last.npz")

    monkeypatch.setattr("nn.checkpoint.save", full)
    code, _, err = faceseed("train", "sine", *small, "--batch", 500, "--out", "run")
    assert code == 2
    assert err.startswith("faceseed: run/last.npz: No space left on device; ") and err.count("\n") == 1


def test_a_sine_finds_no_faces(refused, runs, photo):
    refused([runs.sine, "finds no faces", "corefan or cfpd"], "predict", runs.sine, photo)


def test_a_box_and_a_box_file_at_once(faceseed, runs, photo):
    code, _, err = faceseed("predict", runs.corefan, photo, *BOX, "--boxes", "boxes.csv")
    assert code == 2 and "not allowed with argument" in err
