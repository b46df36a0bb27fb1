"""Training: the loss falls, a resumed run is the unbroken one bit for bit, the best model is kept, and chance is ruled by the seed."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.geometry import apply, frame
from models.settings import settings_for
from models.tasks import BoxTask, LandmarkTask, predict
from nn import Adam, Average, Dense, MeanSquaredError, StepDecay, checkpoint
from nn.training import BEST, LAST, METRICS, PREVIOUS, Trainer, read_metrics

TASKS = {"corefan": LandmarkTask, "cfpd": BoxTask}


def task_for(model, faces, *changes):
    """Eight faces to train on, the rest to validate, at a width for tests."""
    settings = settings_for(model, "small", "", None, ["net.width=2", "net.units=8", "batch=4", *changes])
    return TASKS[model](settings, faces[:8], faces[8:])


def trainer_for(task, folder, beta=0.0):
    folder.mkdir(exist_ok=True)
    average = Average(task.model, beta) if beta else None
    return Trainer(task, Adam(task.model.parameters(), 0.01), StepDecay(0.01, 0.5, 2), folder, {"version": "test"}, average=average)


# ---- it learns ----


@pytest.mark.parametrize(("model", "lr", "steps", "factor"), [("corefan", 0.01, 30, 3), ("cfpd", 0.03, 40, 4)])
def test_the_loss_falls_on_a_few_faces(model, lr, steps, factor, faces):
    """Eight faces again and again: after `steps` steps the loss is less than 1/factor of the first."""
    task = task_for(model, faces, 'set="original"', "batch=8", "net.width=4", "net.units=16", "net.dropout=0.0")
    optimizer = Adam(task.model.parameters(), lr)
    (batch,) = task.batches(0)
    losses = []
    for _ in range(steps):
        task.model.zero_grad()
        losses.append(task.learn(*batch))
        optimizer.step()
    assert losses[-1] < losses[0] / factor


def test_cfpd_starts_at_the_mean_boxes(faces):
    task = task_for("cfpd", faces)
    _, points = view(faces[:8], np.arange(8), "normalised", None)
    mean = part_boxes(points).mean(0).ravel()
    np.testing.assert_allclose(task.model.fc2.bias.value, mean, rtol=1e-6)
    task.model.fc2.weight.value[...] = 0
    np.testing.assert_allclose(predict(task.model, task.images), np.tile(mean, (4, 1)), rtol=1e-6)


# ---- batches ----


def test_an_epoch_depends_on_seed_and_number_alone(faces):
    tasks = [task_for("corefan", faces), task_for("cfpd", faces, "augment.copies=15"), task_for("corefan", faces, "seed=1")]
    for epoch in range(3):  # what happened before must not matter
        list(tasks[0].batches(epoch))
    one, two, other_seed = ([np.concatenate(part) for part in zip(*task.batches(5), strict=True)] for task in tasks)
    later = [np.concatenate(part) for part in zip(*tasks[0].batches(6), strict=True)]
    for mine, same, different, next_epoch in zip(one, two, other_seed, later, strict=True):
        np.testing.assert_array_equal(mine, same)
        assert (mine != different).mean() > 0.2
        assert (mine != next_epoch).mean() > 0.2


@pytest.mark.parametrize(("kind", "views", "seen"), [("augmented", 1, 1), ("augmented", 5, 5), ("original", 5, 1), ("normalised", 5, 1)])
def test_an_epoch_shows_each_face_as_often_as_it_has_views(kind, views, seen, faces):
    """Without copies an augmented view is the original or the normalised one, so that every face can be told by its landmarks."""
    task = task_for("corefan", faces, f'set="{kind}"', f"views={views}", "augment.copies=0", "batch=3")
    known = np.concatenate([apply(frame(faces[:8].landmarks, upright=upright), faces[:8].landmarks) for upright in (False, True)])
    batches = list(task.batches(0))
    points = np.concatenate([points for _, points in batches])
    distance = np.abs(points[:, None] - known).max((2, 3))  # (views, 16)
    assert distance.min(1).max() < 1e-3
    assert Counter(distance.argmin(1) % 8) == dict.fromkeys(range(8), seen)
    assert task.epoch_images == len(points) == 8 * seen
    sizes = [len(images) for images, _ in batches]
    assert max(sizes) <= 3 and max(sizes) - min(sizes) <= 1
    assert all(images.shape == (n, 112, 112, 1) for n, (images, _) in zip(sizes, batches, strict=True))


def test_validation_faces_come_as_they_are(faces):
    """Whatever the training set: never turned upright, never augmented."""
    expected, points = view(faces[8:], np.arange(4), "original", None)
    for kind in ("original", "normalised", "augmented"):
        task = task_for("corefan", faces, f'set="{kind}"')
        np.testing.assert_array_equal(task.images, expected)
        np.testing.assert_array_equal(task.points, points)


def test_validation_errors_are_those_of_the_definition(faces):
    task = task_for("corefan", faces)
    predicted = predict(task.model, task.images).astype(np.float64)
    corners = np.linalg.norm(task.points[:, 45] - task.points[:, 36], axis=1)
    error = (np.linalg.norm(predicted - task.points, axis=2).mean(1) / corners).mean()
    assert task.validate()["nme_interocular_percent"] == pytest.approx(100 * error, rel=1e-5)
    task = task_for("cfpd", faces)
    error = np.square(predict(task.model, task.images).reshape(4, 4, 4) - part_boxes(task.points)).mean()
    assert task.validate()["box_mse_px2"] == pytest.approx(error, rel=1e-5)


# ---- resuming ----


def assert_same_run(one: Path, other: Path):
    """Checkpoints bit for bit, and metrics but for what a clock says."""
    for name in (LAST, BEST):
        (arrays, record), (others, other_record) = (checkpoint.load(folder / name) for folder in (one, other))
        assert arrays.keys() == others.keys()
        for key in arrays:
            np.testing.assert_array_equal(arrays[key], others[key], err_msg=f"{name} {key}")
        assert record == other_record
    rows = [[{k: v for k, v in row.items() if "second" not in k} for row in read_metrics(folder)] for folder in (one, other)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("model", "beta"), [("corefan", 0.0), ("corefan", 0.9), ("cfpd", 0.0)])
def test_a_resumed_run_is_the_unbroken_one(model, beta, faces, tmp_path):
    """4 epochs, against 2, a crash in the third that tears the line of metrics, and 2 more; with dropout, whose generator goes on."""
    changes = ("net.dropout=0.4", "seed=3")
    trainer_for(task_for(model, faces, *changes), tmp_path / "whole", beta).run(4, 99)

    trainer_for(task_for(model, faces, *changes), tmp_path / "broken", beta).run(2, 99)
    with open(tmp_path / "broken" / METRICS, "a") as file:
        file.write('{"epoch": 3, "loss": 1.0}\n{"epoch": 4, "lo')
    again = trainer_for(task_for(model, faces, *changes), tmp_path / "broken", beta)
    again.resume()
    assert again.epoch == 2
    assert [row["epoch"] for row in read_metrics(tmp_path / "broken")] == [1, 2]
    again.run(4, 99)
    assert_same_run(tmp_path / "whole", tmp_path / "broken")
    assert [row["lr"] for row in read_metrics(tmp_path / "broken")] == [0.01, 0.01, 0.005, 0.005]


def test_the_average_is_what_is_validated_and_kept_as_the_best(faces, tmp_path):
    """best.npz holds the average of the weights after every step; last.npz holds both; training itself goes on from the last step."""
    beta, models = 0.9, []
    task = task_for("corefan", faces)
    start = {name: array.copy() for name, array in task.model.state().items()}
    trainer = trainer_for(task, tmp_path, beta)
    step = trainer.step
    trainer.step = lambda batch: (step(batch), models.append({n: a.copy() for n, a in task.model.state().items()}))[0]
    trainer.run(1, 99)
    mean = start
    for t, state in enumerate(models, start=1):
        kept = min(beta, (1 + t) / (10 + t))
        mean = {name: kept * mean[name].astype(np.float64) + (1 - kept) * state[name] for name in mean}
    assert len(models) == 2
    best, last = (checkpoint.load(tmp_path / name)[0] for name in (BEST, LAST))
    for name in mean:
        np.testing.assert_allclose(best[f"model/{name}"], mean[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(last[f"average/{name}"], best[f"model/{name}"])
        np.testing.assert_array_equal(last[f"model/{name}"], models[-1][name])
    assert any((best[f"model/{name}"] != models[-1][name]).any() for name in mean)
    plain = task_for("corefan", faces)
    trainer_for(plain, tmp_path / "plain").run(1, 99)
    for name, array in plain.model.state().items():
        np.testing.assert_array_equal(array, task.model.state()[name])
    task.model.load_state(checkpoint.part("model", best))
    assert task.validate()["nme_interocular_percent"] == read_metrics(tmp_path)[0]["nme_interocular_percent"]


def test_same_seed_same_bits_other_seed_other_bits(faces, tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        trainer_for(task_for("corefan", faces, f"seed={seed}", "net.dropout=0.4"), tmp_path / name).run(1, 99)
    assert_same_run(tmp_path / "one", tmp_path / "same")
    one, other = (checkpoint.load(tmp_path / name / LAST)[0] for name in ("one", "other"))
    different = [key for key in one if key.endswith("weight") and not np.array_equal(one[key], other[key])]
    assert len(different) == sum(key.endswith("weight") for key in one)


def test_a_finished_run_resumed_does_nothing(faces, tmp_path):
    task = task_for("cfpd", faces)
    trainer_for(task, tmp_path / "run").run(1, 99)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    again = trainer_for(task_for("cfpd", faces), tmp_path / "run")
    again.resume()
    again.run(1, 99)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


# ---- the loop, on a task that is told how well it does ----


class Told:
    """One weight, one batch; its validation errors are read off a list."""

    epoch_images = 2

    def __init__(self, errors, losses=()):
        self.model = Dense(1, 1, rng=np.random.default_rng(0))
        self.errors, self.losses = iter(errors), iter(losses)
        self.loss = MeanSquaredError()
        self.states = []

    def batches(self, epoch):
        yield np.ones((2, 1), np.float32), np.full((2, 1), 10 + epoch, np.float32)

    def learn(self, x, target):
        loss = self.loss.forward(self.model.forward(x), target)
        self.model.backward(self.loss.backward())
        return next(self.losses, loss)

    def validate(self):
        assert not self.model.training
        self.states.append(self.model.weight.value.copy())
        return {"error": next(self.errors)}


def test_it_stops_early_and_keeps_the_best(tmp_path, capsys):
    task = Told([5, 3, 4, 3, 3.5, 1])
    trainer = trainer_for(task, tmp_path)
    trainer.run(epochs=9, patience=3)
    assert trainer.epoch == 5  # 3 epochs after the second brought nothing better; equal is not better
    assert (trainer.best, trainer.best_epoch) == (3, 2)
    np.testing.assert_array_equal(checkpoint.load(tmp_path / BEST)[0]["model/weight"], task.states[1])
    np.testing.assert_array_equal(checkpoint.load(tmp_path / LAST)[0]["model/weight"], task.states[4])
    assert [row["error"] for row in read_metrics(tmp_path)] == [5, 3, 4, 3, 3.5]
    assert "stopped early: 3 epochs without a better validation; the best is epoch 2" in capsys.readouterr().out


def test_a_resumed_run_remembers_its_patience(tmp_path):
    """Two epochs without a better one before the break and one after it make three."""
    trainer_for(Told([1, 2, 2]), tmp_path).run(epochs=3, patience=3)
    again = trainer_for(Told([2, 0, 0]), tmp_path)
    again.resume()
    again.run(epochs=9, patience=3)
    assert (again.epoch, again.best, again.best_epoch) == (4, 1, 1)


def test_every_epoch_leaves_a_line_and_a_checkpoint(tmp_path, capsys):
    trainer_for(Told([2, 1]), tmp_path).run(epochs=2, patience=9)
    rows = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    guarded = ["gradient_norm", "gradient_norm_max", "update_ratio"]
    assert [list(row) for row in rows] == [["epoch", "loss", "error", "lr", *guarded, "images_per_second", "seconds"]] * 2
    assert [row["epoch"] for row in rows] == [1, 2]
    assert checkpoint.load(tmp_path / LAST)[1]["epoch"] == 2
    out = capsys.readouterr().out
    assert out.startswith("first step done: loss ")
    assert out.count("epoch 1/2  loss ") == out.count("epoch 2/2  loss ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([BEST, LAST, PREVIOUS, METRICS])


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_the_training(loss, tmp_path):
    """Nothing of the bad step is kept: neither in the weights nor on the disk."""
    task = Told([3, 2, 1], losses=[1.0, loss])
    trainer = trainer_for(task, tmp_path)
    with pytest.raises(FloatingPointError, match=rf"^epoch 2, step 2: the loss was {loss}, .* weights stand as after step 1$"):
        trainer.run(epochs=3, patience=9)
    np.testing.assert_array_equal(task.model.weight.value, task.states[0])
    assert checkpoint.load(tmp_path / LAST)[1]["epoch"] == 1
    assert len(read_metrics(tmp_path)) == 1
