"""Several runs in a row: which are trained, which go on, which are left alone, and what is refused."""

import numpy as np
import pytest

from models.faces.synthetic import drawn_faces
from models.runs import divide, some, trained_on
from models.series import Planned, check, progress, train_all
from models.settings import settings_for
from nn import InputError
from nn.training import LAST, Trainer, read_metrics

TINY = ["net.width=2", "net.units=4", "net.size=32", "batch=4", "epochs=2"]


@pytest.fixture(scope="module")
def faces():
    """Six to train on, two to validate."""
    drawn = drawn_faces(8, seed=3)
    return drawn[:6], drawn[6:]


def wanted(folder, *changes, model="corefan"):
    return Planned(folder, settings_for(model, "small", "", changes=[*TINY, *changes]))


def weights(folder):
    with np.load(folder / "best.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("model/")}


def test_a_series_trains_goes_on_and_leaves_alone(faces, tmp_path, capsys, monkeypatch):
    """One run to its end; one cut off after an epoch and one within its first; the same bits as without the cut."""
    whole, cut, begun = (wanted(tmp_path / name, f"seed={seed}") for seed, name in enumerate(("whole", "cut", "begun")))
    train_all([whole, cut, begun], lambda _: faces, "cpu")
    expected = [weights(run.folder) for run in (whole, cut, begun)]

    again = [wanted(tmp_path / "again" / name, f"seed={seed}") for seed, name in enumerate(("whole", "cut", "begun"))]
    run_epoch, epochs = Trainer.run_epoch, iter([True, True, True, False])

    def until_the_power_fails(trainer, *given):
        if not next(epochs):
            raise KeyboardInterrupt
        return run_epoch(trainer, *given)

    monkeypatch.setattr(Trainer, "run_epoch", until_the_power_fails)
    with pytest.raises(KeyboardInterrupt):
        train_all(again, lambda _: faces, "cpu")
    monkeypatch.undo()
    (tmp_path / "again" / "begun").mkdir()
    (tmp_path / "again" / "begun" / "config.json").write_text("{}")  # killed in its first epoch
    assert [progress(run) for run in again] == [(2, True), (1, False), (0, False)]
    times = (tmp_path / "again" / "whole" / LAST).stat().st_mtime_ns
    capsys.readouterr()
    train_all(again, lambda _: faces, "cpu")
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("[")] == [
        "[1/3] whole: done",
        "[2/3] cut: from epoch 2 of 2",
        "[3/3] begun: from epoch 1 of 2",
    ]
    assert (tmp_path / "again" / "whole" / LAST).stat().st_mtime_ns == times
    for run, arrays in zip(again, expected, strict=True):
        assert all(np.array_equal(array, arrays[name]) for name, array in weights(run.folder).items())


def test_early_stopping_is_an_end(faces, tmp_path):
    run = wanted(tmp_path / "run", "epochs=30", "patience=1", "optim.lr=0.0", model="cfpd")
    train_all([run], lambda _: faces, "cpu")
    epochs = len(read_metrics(run.folder))
    assert epochs < 30 and progress(run) == (epochs, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [(["optim.lr=0.5"], "another optim"), (["epochs=3", "seed=1"], "another epochs, seed"), (["faces=3"], "another faces")],
)
def test_runs_with_other_settings_are_not_touched(changes, message, faces, tmp_path):
    """Nor is any other of the series."""
    train_all([wanted(tmp_path / "run")], lambda _: faces, "cpu")
    with pytest.raises(InputError, match=message):
        train_all([wanted(tmp_path / "new"), wanted(tmp_path / "run", *changes)], lambda _: faces, "cpu")
    assert not (tmp_path / "new").exists()


def test_other_photos_are_refused(faces, tmp_path):
    run = wanted(tmp_path / "run")
    train_all([run], lambda _: faces, "cpu")
    check(run, faces)
    with pytest.raises(InputError, match="other photos"):
        check(run, (faces[0][:5], faces[1]))


def test_a_folder_with_something_else_in_it_is_not_emptied(faces, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex is in it"):
        train_all([wanted(tmp_path / "run")], lambda _: faces, "cpu")
    assert (tmp_path / "run" / "thesis.tex").read_text() == "years of work"


def test_few_faces_are_part_of_more(faces):
    """faces=k: drawn by the seed, and a smaller number is within a larger one."""
    train, _ = faces
    chosen = [set(some(train, wanted(None, f"faces={k}").settings).names) for k in (1, 3, 5, 50)]
    assert [len(names) for names in chosen] == [1, 3, 5, 6] and chosen[0] < chosen[1] < chosen[2] < chosen[3]
    assert some(train, wanted(None).settings) is train
    others = {frozenset(some(train, wanted(None, "faces=2", f"seed={seed}").settings).names) for seed in range(8)}
    assert len(others) > 2


def test_training_starts_from_another_run(faces, tmp_path):
    """With the rate at 0 its weights come out as they went in, and its photos count as seen."""
    train, validation = faces
    train_all([wanted(tmp_path / "first")], lambda _: (train[:3], validation), "cpu")
    second = wanted(tmp_path / "second", f'start="{tmp_path / "first"}"', "optim.lr=0.0", "epochs=1")
    train_all([second], lambda _: (train[3:], validation), "cpu")
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    learned = [name for name in before if not name.endswith((".mean", ".variance"))]
    assert len(learned) > 20 and all(np.array_equal(before[name], after[name]) for name in learned)
    assert trained_on(tmp_path / "second")[0] == set(train.photos)


def test_a_start_of_another_size_is_refused(faces, tmp_path):
    train_all([wanted(tmp_path / "first")], lambda _: faces, "cpu")
    with pytest.raises(InputError, match="first"):
        train_all([wanted(tmp_path / "second", f'start="{tmp_path / "first"}"', "net.width=3")], lambda _: faces, "cpu")
    assert not (tmp_path / "second").exists()


def test_official_training_folders_come_before_others(faces, capsys):
    """divide: photos of the test sets are never trained on, nor are others where there are official ones."""
    drawn = drawn_faces(6, seed=3)
    drawn.subsets = ["train", "train", "train", "common", "other", "private"]
    train, validation = divide(drawn, wanted(None).settings)
    assert {*train.names, *validation.names} == set(drawn.names[:3])
    drawn.subsets = ["common"] * 3 + ["other"] * 3
    train, validation = divide(drawn, wanted(None).settings)
    assert {*train.names, *validation.names} == set(drawn.names[3:])
