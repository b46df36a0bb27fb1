"""Going on in the middle of an epoch, from the checkpoint before a damaged one, with a damaged best one; stopping when asked."""

import json
import os
import signal
import threading

import numpy as np
import pytest
from training.test_learning import Told, assert_same_run, task_for, trainer_for

from nn import InputError, checkpoint
from nn.stopping import Stopped, asked_to_stop
from nn.training import BEST, LAST, METRICS, PREVIOUS, latest, read_metrics


class Asked:
    """A task that asks to stop in its k-th step, as Ctrl-C or the system would."""

    def __init__(self, task, at, *signals):
        self.task, self.at, self.signals, self.steps = task, at, signals, 0

    def __getattr__(self, name):
        return getattr(self.task, name)

    def learn(self, *batch):
        self.steps += 1
        if self.steps == self.at:
            for number in self.signals:
                os.kill(os.getpid(), number)
        return self.task.learn(*batch)


CHANGES = ("net.dropout=0.4", "seed=3", "net.size=32", "batch=2")  # four steps an epoch


@pytest.fixture(scope="module")
def whole(faces, tmp_path_factory):
    """Two epochs, unbroken."""
    folder = tmp_path_factory.mktemp("resume") / "whole"
    trainer_for(task_for("corefan", faces, *CHANGES), folder, 0.9).run(2, 99)
    return folder


@pytest.mark.parametrize("at", range(1, 9))
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_stops_after_a_step_and_goes_on_from_there(at, number, code, whole, faces, tmp_path):
    """With dropout and an average, at each of eight steps; the fourth and the eighth are the last of their epochs."""
    before = signal.getsignal(number)
    trainer = trainer_for(Asked(task_for("corefan", faces, *CHANGES), at, number), tmp_path / "run", 0.9)
    step = (at - 1) % 4 + 1
    with pytest.raises(Stopped, match=rf"^stopped in epoch {1 + (at > 4)}, step {step} \({2 * step} of 8 images\)$") as stop:
        trainer.run(2, 99)
    assert stop.value.code == code and signal.getsignal(number) is before
    again = trainer_for(task_for("corefan", faces, *CHANGES), tmp_path / "run", 0.9)
    again.resume()
    assert (again.epoch, len(again.so_far.losses)) == (int(at > 4), step)
    again.run(2, 99)
    assert_same_run(whole, tmp_path / "run")


def test_asked_while_it_validates_it_stops_after_the_epoch(tmp_path):
    task = Told([3, 2, 1])
    task.validate = lambda validate=task.validate: (os.kill(os.getpid(), signal.SIGTERM), validate())[1]
    with pytest.raises(Stopped, match=r"^stopped after epoch 1$"):
        trainer_for(task, tmp_path).run(3, 9)
    assert checkpoint.load(tmp_path / LAST)[1]["epoch"] == len(read_metrics(tmp_path)) == 1


def test_asked_twice_it_stops_at_once(tmp_path):
    task = Asked(Told([1]), 1, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer_for(task, tmp_path).run(1, 9)
    assert type(caught.value) is KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored():
    """As a shell does for what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asked_to_stop() as asked:
            os.kill(os.getpid(), signal.SIGINT)
        assert asked == [] and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_train_without_signals(tmp_path):
    trainer = trainer_for(Told([1]), tmp_path)
    thread = threading.Thread(target=trainer.run, args=(1, 9))
    thread.start()
    thread.join()
    assert trainer.epoch == 1


@pytest.mark.parametrize(("every", "within"), [(0.0, 6), (1e9, 0)])
def test_checkpoints_within_an_epoch(every, within, faces, tmp_path, monkeypatch):
    """One after every step, or none, beside that of each epoch's end; each has the one before it beside it."""
    written, save = [], checkpoint.save

    def note(path, arrays, record, previous=None):
        before = (tmp_path / LAST).read_bytes() if path.name == LAST and (tmp_path / LAST).exists() else None
        save(path, arrays, record, previous)
        if path.name == LAST:
            written.append((record["epoch"], len(record["so_far"]["losses"])))
            assert before is None or (tmp_path / PREVIOUS).read_bytes() == before

    monkeypatch.setattr(checkpoint, "save", note)
    trainer = trainer_for(task_for("cfpd", faces, "net.size=32", "batch=3"), tmp_path)
    trainer.every = every
    trainer.run(2, 9)
    assert written == ([(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)] if within else [(1, 0), (2, 0)])


# ---- damage ----


@pytest.fixture
def run(tmp_path):
    """Two epochs of three; epoch 2 is the best."""
    trainer_for(Told([5, 3, 4]), tmp_path).run(2, 9)
    return tmp_path


def shorten(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("damage", [shorten, os.unlink])
def test_the_checkpoint_before_is_used(damage, run, capsys):
    damage(run / LAST)
    again = trainer_for(Told([3, 4]), run)
    again.resume()
    err = capsys.readouterr().err
    assert err.startswith(f"{run / LAST}: ") and err.endswith("; previous.npz is used, the checkpoint before it\n") and err.count("\n") == 1
    assert again.epoch == 1 and [row["epoch"] for row in read_metrics(run)] == [1]
    assert checkpoint.load(run / LAST)[1]["epoch"] == 1  # at once: the damaged one never takes the place of the good one
    again.run(3, 9)
    assert [row["error"] for row in read_metrics(run)] == [5, 3, 4]


def test_without_a_whole_checkpoint_it_is_an_error(run):
    shorten(run / LAST)
    shorten(run / PREVIOUS)
    with pytest.raises(InputError, match=r"last\.npz: not a whole .*previous\.npz: not a whole"):
        latest(run)
    (run / PREVIOUS).unlink()
    with pytest.raises(InputError, match=r"last\.npz: not a whole checkpoint"):
        latest(run)


@pytest.mark.parametrize("damage", [shorten, os.unlink])
def test_a_damaged_best_model_is_replaced(damage, run, capsys):
    """By that of the newest checkpoint, with its own error; from then on better ones take its place."""
    damage(run / BEST)
    again = trainer_for(Told([3.5, 4, 3.25]), run)
    again.resume()
    assert capsys.readouterr().err.endswith("; the model after epoch 2 takes its place\n")
    assert (again.best, again.best_epoch) == (3.5, 2)
    np.testing.assert_array_equal(checkpoint.load(run / BEST)[0]["model/weight"], again.task.model.weight.value)
    again.run(3, 9)
    assert (again.best, again.best_epoch) == (3.5, 2)
    again.run(4, 9)
    assert checkpoint.load(run / BEST)[1]["best"] == 3.25


def test_a_run_of_format_0_goes_on(run, capsys):
    """An earlier version wrote neither format, nor checksum, nor how far the epoch is, nor the checkpoint before."""
    (run / PREVIOUS).unlink()
    arrays, record = checkpoint.load(run / LAST)
    del record["so_far"]
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(run / LAST, **arrays, **{checkpoint.RECORD: text})
    again = trainer_for(Told([4]), run)
    again.resume()
    again.run(3, 9)
    assert [row["epoch"] for row in read_metrics(run)] == [1, 2, 3] and capsys.readouterr().err == ""


def test_metrics_of_bytes_that_are_no_text(run):
    """A torn line is dropped, whatever is in it."""
    with open(run / METRICS, "ab") as file:
        file.write(b'{"epoch": 3, "l\xff\0')
    trainer_for(Told([]), run).resume()
    assert [row["epoch"] for row in read_metrics(run)] == [1, 2]


# ---- a disk that does not write ----


@pytest.mark.parametrize("name", [BEST, LAST, METRICS])
def test_a_file_that_cannot_be_written_ends_the_training(name, run, monkeypatch):
    """One line: which file, why, what stands, how to go on."""
    again = trainer_for(Told([1]), run)
    again.resume()
    if name == METRICS:
        (run / METRICS).unlink()
        (run / METRICS).mkdir()
    else:
        save = checkpoint.save

        def full(path, *given):
            if path.name == name:
                raise OSError(28, "No space left on device", str(path))
            save(path, *given)

        monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(InputError) as caught:
        again.run(3, 9)
    text = str(caught.value)
    assert text.startswith(f"{run / name}: cannot be written (") and "\n" not in text
    assert "the newest whole checkpoint stands after epoch 2" in text and text.endswith("go on with --resume")
    assert checkpoint.load(run / LAST)[1]["epoch"] == 2
