"""Run folders: begun whole or not at all, one training at a time in each, stopped between two steps, gone on with as the line says."""

import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import threading
from pathlib import Path

import pytest

from models import folder as folders
from models.folder import LOCK, begun, locked
from models.tasks import SineTask
from nn import InputError, checkpoint
from nn.stopping import Stopped
from nn.training import read_metrics

pytest.importorskip("fcntl", reason="no flock here")
TINY = ["train", "sine", "--preset", "tiny", "--batch", 250, "--out", "run"]


def same(one, other):
    """The same arrays and record in the newest checkpoint."""
    (arrays, record), (others, told) = (checkpoint.load(Path(folder) / "last.npz") for folder in (one, other))
    return record == told and {name: a.tobytes() for name, a in arrays.items()} == {name: a.tobytes() for name, a in others.items()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- the lock ----


def test_one_training_at_a_time(runs, faceseed, tmp_path):
    """The second is refused at once, by the first one's number; looking is allowed."""
    shutil.copytree(runs.sine, tmp_path / "run")
    with locked(tmp_path / "run"):
        code, out, err = faceseed("train", "sine", "--resume", "--out", "run")
        assert (code, out) == (2, "")
        assert err == f"faceseed: run: process {os.getpid()} trains in it; wait for its end, or choose another --out\n"
        code, _, err = faceseed("export", "wave.npz", "--run", "run")
        assert (code, err) == (0, "")
    assert faceseed("train", "sine", "--resume", "--epochs", 2, "--out", "run")[0] == 0


def test_it_is_held_while_it_trains(faceseed, tmp_path, monkeypatch):
    """And let go at the end, and where training fails."""
    learn, told = SineTask.learn, []

    def held(task, *batch):
        with pytest.raises(InputError, match="trains in it"), locked(tmp_path / "run"):
            pass
        told.append((tmp_path / "run" / LOCK).read_text())
        return learn(task, *batch)

    monkeypatch.setattr(SineTask, "learn", held)
    assert faceseed(*TINY)[0] == 0
    assert told == [f"{os.getpid()}\n"] * 4
    monkeypatch.setattr(SineTask, "learn", lambda *_: float("nan"))
    assert faceseed("train", "sine", "--resume", "--epochs", 2, "--out", "run")[0] == 2
    with locked(tmp_path / "run"):
        pass


def hold_and_die(folder):
    """As another process does."""
    held = locked(folder)
    held.__enter__()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_lock_dies_with_its_owner(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=hold_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / LOCK).read_text() == f"{process.pid}\n"
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_system_without_locks_trains_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        assert names(tmp_path) == []


# ---- how it begins ----


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ZeroDivisionError), begun(tmp_path / "deep" / "run", {"config.json": "{}"}) as unfinished:
        assert names(tmp_path / "deep") == ["run.unfinished"] and names(unfinished) == ["config.json"]
        raise ZeroDivisionError
    assert names(tmp_path / "deep") == []
    with begun(tmp_path / "run", {"config.json": "{}"}) as unfinished:
        (unfinished / "last.npz").touch()
        assert not (tmp_path / "run").exists()
    assert names(tmp_path / "run") == ["config.json", "last.npz"]
    assert names(tmp_path) == ["deep", "run"]


def test_what_a_killed_start_left_is_removed(tmp_path):
    (tmp_path / "run.unfinished").mkdir()
    for name in ("config.json", "trained_on.json.unfinished", "last.npz", "best.npz", "lock"):
        (tmp_path / "run.unfinished" / name).write_text("half")
    with begun(tmp_path / "run", {}) as unfinished:
        assert names(unfinished) == []
    assert names(tmp_path) == ["run"]


def test_what_is_not_ours_is_not_removed(tmp_path):
    (tmp_path / "run.unfinished").mkdir()
    (tmp_path / "run.unfinished" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex is in it"), begun(tmp_path / "run", {}):
        pass
    assert (tmp_path / "run.unfinished" / "thesis.tex").read_text() == "years of work"


def test_two_that_begin_at_once(tmp_path):
    """The second is refused, and takes nothing from the first."""
    with begun(tmp_path / "run", {"config.json": "{}"}) as unfinished, locked(unfinished):
        with pytest.raises(InputError, match=f"process {os.getpid()} trains in it"), begun(tmp_path / "run", {}):
            pass
        assert names(unfinished) == ["config.json", "lock"]
    with pytest.raises(InputError, match=r"run: cannot be made \(File exists\)"), begun(tmp_path / "run", {}):
        pass


def test_another_was_faster(tmp_path):
    with pytest.raises(InputError, match=r"run: cannot be made \("), begun(tmp_path / "run", {}):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.json").touch()
    assert names(tmp_path) == ["run"]


def test_ctrl_c_while_faces_are_drawn_leaves_nothing(faceseed, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("models.runs.training_faces", interrupted)
    code, _, err = faceseed("train", "corefan", "--preset", "tiny")
    assert code == 130 and err.endswith(
        "faceseed: stopped; go on with --resume, or where there is no run folder yet with the same command\n"
    )
    assert names(tmp_path) == []


# ---- how it stops and goes on ----


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_printed_command_goes_on(number, code, faceseed, tmp_path, monkeypatch):
    """Asked in the second of four steps, and once more in the next: the same bits as without."""
    assert faceseed(*TINY[:-1], "whole run")[0] == 0
    learn, steps = SineTask.learn, []

    def asked(task, *batch):
        steps.append(1)
        if len(steps) in (2, 3):
            os.kill(os.getpid(), number)
        return learn(task, *batch)

    monkeypatch.setattr(SineTask, "learn", asked)
    found, _, err = faceseed(*TINY[:-1], "stopped run")
    for step in (2, 3):
        line = re.fullmatch(rf"faceseed: stopped in epoch 1, step {step} \({250 * step} of 1000 images\); go on with: faceseed (.*)\n", err)
        assert found == code and line, err
        assert line[1] == "train sine --resume --out 'stopped run'"
        found, _, err = faceseed(*shlex.split(line[1]))
    assert (found, err) == (0, "")
    assert same(tmp_path / "whole run", tmp_path / "stopped run") and names(tmp_path / "whole run") == names(tmp_path / "stopped run")


def test_the_printed_command_names_the_device(faceseed, monkeypatch):
    def stopped(*_, **__):
        raise Stopped("after epoch 3", signal.SIGTERM)

    monkeypatch.setattr("models.runs.train", stopped)
    code, _, err = faceseed("train", "cfpd", "--device", "emulated", "--conv", "igemm", "--skip-bad", "--seed", 3)
    command = "faceseed train cfpd --resume --out runs/cfpd --device emulated --conv igemm --skip-bad"
    assert code == 143 and err == f"faceseed: stopped after epoch 3; go on with: {command}\n"


def test_a_stop_ends_a_whole_series(faceseed, monkeypatch, tmp_path):
    """reproduce trains seven runs; asked in the first, it ends, and the same command goes on."""
    learn = SineTask.learn

    def asked(task, *batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return learn(task, *batch)

    monkeypatch.setattr(SineTask, "learn", asked)
    monkeypatch.setattr("models.reproduce.read", lambda *_: (None, None, None))
    monkeypatch.setattr("models.reproduce.lines", lambda *_: [])
    code, _, err = faceseed("reproduce", "--quick", "--out", "all")
    assert code == 143 and err.endswith("; go on with: the same command\n") and "stopped in epoch 1, step 1" in err
    assert names(tmp_path / "all") == ["sine"]


def test_before_the_first_epoch_is_done(faceseed, refused, album, monkeypatch):
    """There is no best model to evaluate, and the line says so."""
    monkeypatch.setattr("nn.training.Trainer.run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        faceseed("train", "cfpd", "--preset", "tiny", "--data", album, "--out", "run")
    refused(["run: no best.npz yet", "the first epoch's end writes it"], "evaluate", "run", "--data", album)


@pytest.mark.parametrize("seconds", ["-1", "nan"])
def test_seconds_that_are_none(seconds, refused):
    refused([f"--checkpoint {float(seconds)}", "expected seconds, 0 or more"], *TINY, f"--checkpoint={seconds}")


def test_more_epochs_stand_in_the_config(faceseed, tmp_path):
    assert faceseed(*TINY)[0] == 0
    assert faceseed("train", "sine", "--resume", "--epochs", 2, "--out", "run")[0] == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["epochs"] == 2
    assert faceseed(*TINY[:-1], "whole", "--epochs", 2)[0] == 0
    assert same(tmp_path / "whole", tmp_path / "run") and len(read_metrics(tmp_path / "run")) == 2


def test_a_cosine_keeps_its_epochs(faceseed, refused):
    assert faceseed(*TINY, "--set", 'optim.schedule="cosine"')[0] == 0
    words = ["run: its rates fall in half a wave over 1 epochs", "3 would make them others", "leave out --epochs"]
    refused(words, "train", "sine", "--resume", "--epochs", 3, "--out", "run")
    assert faceseed("train", "sine", "--resume", "--epochs", 1, "--out", "run")[0] == 0


def test_lost_pictures_are_drawn_again(runs, faceseed, tmp_path):
    shutil.copytree(runs.sine, tmp_path / "run")
    (tmp_path / "run" / "sine.png").unlink()
    (tmp_path / "run" / "loss.png").write_bytes(b"half")
    assert faceseed("train", "sine", "--resume", "--out", "run")[0] == 0
    for name in ("sine.png", "loss.png"):
        assert (tmp_path / "run" / name).read_bytes() == (runs.sine / name).read_bytes()


def test_a_picture_that_cannot_be_written(runs, faceseed, tmp_path):
    shutil.copytree(runs.sine, tmp_path / "run")
    (tmp_path / "run" / "sine.png").unlink()
    (tmp_path / "run" / "sine.png").mkdir()
    code, _, err = faceseed("train", "sine", "--resume", "--out", "run")
    assert code == 2 and err.startswith("faceseed: run/sine.png: cannot be written (Is a directory); ") and "after epoch 1" in err


def test_training_in_another_thread(faceseed, tmp_path):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(faceseed(*TINY)[0]))
    thread.start()
    thread.join()
    assert codes == [0]
