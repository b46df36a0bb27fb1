"""Names, links and streams that somebody may have laid there: nothing hangs, nothing is written elsewhere, what is shown is printable."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import weights
from models.explain.page import face_part
from models.predicting.sources import STEM, Source
from models.predicting.writers import Writer
from models.runs import open_run
from nn import InputError

BOX = ("--box", "80,70,180,180")


@pytest.fixture
def photo(album, tmp_path):
    """A photo with a face that BOX marks."""
    return Path(shutil.copy(album / "ibug" / "image_031.jpg", tmp_path / "me.jpg"))


# ---- pipes and devices in the place of files ----


@pytest.fixture
def pipe(tmp_path):
    """A pipe that nobody writes into, by any name."""

    def make(name):
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    return make


def test_a_pipe_as_photo_video_boxes_and_settings(pipe, refused_beside, runs, photo):
    found = "found a pipe or a device"
    refused_beside([pipe("a.jpg"), found], "predict", runs.corefan, "a.jpg", *BOX)
    refused_beside([pipe("a.mp4"), found], "predict", runs.corefan, "a.mp4", "--no-display")
    refused_beside([pipe("boxes.csv"), found], "predict", runs.corefan, photo, "--boxes", "boxes.csv")
    refused_beside([pipe("mine.toml"), "not a TOML file that can be read", found], "train", "sine", "--config", "mine.toml")
    refused_beside([pipe("w.npz"), found], "predict", "--run", "w.npz", photo)
    refused_beside([pipe("t.npz"), found], "import", "t.npz", "--model", "sine", "--out", "out")
    refused_beside(["/dev/zero", found], "predict", runs.corefan, "/dev/zero", *BOX)
    refused_beside(["/dev/zero", found], "predict", runs.corefan, photo, "--boxes", "/dev/zero")


@pytest.fixture
def refused_beside(faceseed, tmp_path):
    """Like `refused`, beside pipes, whose bytes cannot be compared."""

    def run(words, *arguments):
        before = sorted(tmp_path.rglob("*"))
        code, _, err = faceseed(*arguments)
        assert code == 2 and err.startswith("faceseed: ") and err.count("\n") == 1, err
        for word in words:
            assert str(word).removeprefix(f"{tmp_path}/") in err, err
        assert sorted(tmp_path.rglob("*")) == before

    return run


def test_a_pipe_in_a_run_folder(faceseed, runs, tmp_path, album):
    for name, words in (("best.npz", "a pipe"), ("trained_on.json", "missing or damaged"), ("config.json", "not a run folder")):
        run = Path(shutil.copytree(runs.corefan, tmp_path / f"run with {words}"))
        (run / name).unlink()
        os.mkfifo(run / name)
        code, _, err = faceseed("evaluate", run, "--data", album)
        assert code == 2 and words in err and err.count("\n") == 1, err


# ---- outputs stay where they belong ----


def test_names_with_dots_and_slashes(faceseed, runs, photo, tmp_path):
    """A boxes.csv only looks up names: none is opened or written to, wherever it leads."""
    (tmp_path / "work").mkdir()
    boxes = "image,x0,y0,x1,y1\n../me,80,70,180,180\n/etc/passwd,1,1,9,9\n" + "../" * 30 + "x,1,1,9,9\nme,80,70,180,180\n"
    (tmp_path / "boxes.csv").write_text(boxes)
    for source, name in ((photo, "me"), (shutil.copy(photo, tmp_path / "...jpg"), "..")):
        code, _, err = faceseed("predict", runs.corefan, f"work/../{Path(source).name}", *BOX, "--out", f"out{name}")
        assert code == 0, err
        assert sorted(path.name for path in (tmp_path / f"out{name}").iterdir()) == sorted(
            [f"{name}.png", f"{name}.pts", "predictions.jsonl"]
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["...jpg", "boxes.csv", "me.jpg", "out..", "outme", "work"]
    assert faceseed("predict", runs.corefan, photo, "--boxes", "boxes.csv", "--out", "out")[0] == 0


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[2J", "-rf", "ü" * 120, "bytes \udcff", "a" * 251, " ", "$(x)`y`", "{0}%d%s"])
def test_odd_names(name, faceseed, runs, photo, tmp_path):
    """What a file is called is shown in printable characters, and what comes out of it bears as much of the name as a disk takes."""
    os.rename(photo, tmp_path / f"{name}.jpg")
    code, out, err = faceseed("predict", runs.corefan, f"./{name}.jpg", *BOX, "--csv")
    assert code == 0 and not err and out.replace("\n", "").isprintable()
    (pts,) = (tmp_path / "predictions").glob("*.pts")
    assert name.startswith(pts.stem) and len(os.fsencode(pts.stem)) in (len(os.fsencode(name)), STEM)
    (line,) = (tmp_path / "predictions" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["image"].isprintable()


def test_a_bad_photo_of_an_odd_name_is_told_in_one_line(refused, runs, tmp_path):
    (tmp_path / "\x1b[2J\n.jpg").write_text("no photo")
    refused([r"\x1b[2J\n.jpg: expected an image"], "predict", runs.corefan, "\x1b[2J\n.jpg", *BOX)
    refused([r"\x1b[2J: not a run folder"], "evaluate", "\x1b[2J")
    refused([r"--style \x1b[2J"], "predict", runs.corefan, "\x1b[2J\n.jpg", "--style", "\x1b[2J")


def test_no_two_faces_share_a_file(tmp_path):
    """Two faces of `a` may not be called like two of `a_`, and no video like another one that is being written."""

    def source(name):
        return Source(tmp_path / name, "photo")

    writer = Writer(tmp_path / "out", [source("a.jpg"), source("a_1.jpg"), source("a_.jpg")])
    names = [name for stem in ("a", "a_1", "a_") for name in writer.names(stem, 2)]
    assert names[:2] == ["a__1.pts", "a__2.pts"] and len(set(names)) == 6
    with pytest.raises(InputError, match="its outputs would have the names of those of"):
        Writer(tmp_path / "out", [source("clip.mp4"), source("clip.unfinished.mp4")])


def test_links_in_a_run_folder_are_not_written_through(refused, runs, tmp_path, small):
    run = Path(shutil.copytree(runs.sine, tmp_path / "run"))
    (tmp_path / "precious").write_text("mine")
    for name in ("lock", "loss.png", "metrics.jsonl.unfinished"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(tmp_path / "precious")
        refused([run / name, "is a link"], "train", "sine", "--resume", "--epochs", 2, "--out", run)
        (run / name).unlink()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_link_in_the_way_of_a_pack(faceseed, make_album, tmp_path):
    data = make_album(tmp_path / "data", ["afw/1_1.jpg", "afw/2_1.jpg"])
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "faces.pack.unfinished").symlink_to(tmp_path / "precious")
    assert faceseed("data", "pack", data, "faces.pack")[0] == 0
    assert (tmp_path / "precious").read_text() == "mine"
    assert faceseed("data", "check", "faces.pack")[0] == 0


def test_folders_in_folders(faceseed, make_album, tmp_path):
    """Python's own walk calls itself for each; and so does what removes them, pytest's too."""
    data = make_album(tmp_path / "data", ["afw/1_1.jpg", "afw/2_1.jpg"])
    subprocess.run(["mkdir", "-p", data / "/".join("b" * 1500)], check=True)
    try:
        code, _, err = faceseed("data", "pack", data, "faces.pack")
        assert code == 2 and "expected at most 100 folders one in the other, found more" in err and err.endswith(", or pass --skip-bad\n")
        code, out, _ = faceseed("data", "pack", data, "faces.pack", "--skip-bad")
        assert code == 0 and "faces.pack: 2 faces, 1 files skipped" in out
    finally:
        subprocess.run(["rm", "-rf", data / "b"], check=True)


# ---- streams ----


def unread(command: list[str]) -> tuple[int, str]:
    """The command's exit code and standard error, where nobody reads its output."""
    words = [sys.executable, "-m", "models.cli", *command]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        return process.wait(), process.stderr.read()


@pytest.mark.parametrize("command", [["data", "check"], ["--help"]])
def test_a_reader_that_goes_away_ends_the_command_quietly(command, album):
    """As `| head` does; what is short is only written at the end."""
    code, error = unread([*command, str(album)] if command[0] == "data" else command)
    assert code == 141 and not error


def test_a_name_that_standard_output_cannot_show(tmp_path, runs, photo):
    """Letters that the terminal's encoding lacks are shown by their numbers."""
    os.rename(photo, tmp_path / "grün.jpg")
    command = [sys.executable, "-m", "models.cli", "predict", str(runs.corefan), "grün.jpg", *BOX, "--out", "grün"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and rb"gr\xfcn" in done.stdout and not done.stderr


def test_too_much_memory_is_one_line(faceseed, monkeypatch):
    def greedy(*_, **__):
        raise MemoryError("Unable to allocate 931. GiB")

    monkeypatch.setattr("models.runs.train", greedy)
    code, _, err = faceseed("train", "sine")
    assert code == 2 and err == "faceseed: not enough memory (Unable to allocate 931. GiB); take a smaller batch, model or picture\n"


def test_weights_that_answer_nothing(refused, runs, photo, tmp_path):
    """No numbers; or all of a face's points in one place: no frame can be made of them."""
    run = open_run(runs.corefan)
    run.model.state()["window.bias"][0] = np.nan
    weights.save(tmp_path / "nan.npz", run.settings, run.model, run.photos, run.mean)
    refused(["nan.npz: its 'window.bias' holds numbers that are not finite"], "predict", tmp_path / "nan.npz", photo, *BOX)
    run.model.load_state({name: np.zeros_like(array) for name, array in run.model.state().items()})
    path = tmp_path / "zeros.npz"
    weights.save(path, run.settings, run.model, run.photos, run.mean)
    refused(["answer is no face"], "predict", path, photo, *BOX)
    refused(["answer is no face"], "explain", photo, *BOX, "--run", path, "--out", "page")


def test_the_page_shows_an_odd_name(runs):
    """It is written as UTF-8, which such bytes are not."""
    assert r"`bytes \udcff.jpg`" in face_part(open_run(runs.corefan), Path("bytes \udcff.jpg"))[0]
