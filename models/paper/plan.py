"""What `faceseed reproduce` will train, and how long that takes on this machine: measured on a step of each model, not guessed."""

import time
from dataclasses import dataclass
from pathlib import Path

from models.faces.augment import KINDS
from models.faces.crops import Faces
from models.runs import task_for
from models.series import Planned, progress
from models.settings import Settings, settings_for
from nn import Adam, StepDecay
from nn.training import Trainer

STEPS = 3  # that are timed, after one that is not


def planned(folder: Path, preset: str, data: str, seed: int) -> list[Planned]:
    """The paper's runs: the sine, then CFPD and COREFAN on each of the three training sets, a folder each."""
    runs = [Planned(folder / "sine", settings_for("sine", preset, "", changes=[f"seed={seed}"]))]
    for model in ("cfpd", "corefan"):
        for kind in KINDS:
            runs.append(Planned(folder / f"{model}-{kind}", settings_for(model, preset, data, changes=[f'set="{kind}"', f"seed={seed}"])))
    return runs


@dataclass
class Line:
    """A run of the plan."""

    name: str
    images: int  # an epoch
    epochs: int
    state: str
    seconds: float  # that are left, at most: training ends early where validation no longer improves


def lines(runs: list[Planned], faces: tuple[Faces, Faces], device: str) -> list[Line]:
    """The plan with its times. A model's step is measured once, on the first of its sets, whose epochs show each face once."""
    rates: dict[str, tuple[float, int]] = {}
    plan = []
    for run in runs:
        settings = run.settings
        if settings.model not in rates:
            rates[settings.model] = step_time(settings, faces, device)
        seconds, images = rates[settings.model]
        if run.folder.name.endswith("-augmented"):  # the set whose epochs may hold several views of a face
            images *= settings.views
        epoch, done = progress(run)
        state = "done" if done else f"after epoch {epoch}" if epoch else "to do"
        left = 0 if done else settings.epochs - epoch
        plan.append(Line(run.folder.name, images, settings.epochs, state, left * images * seconds))
    return plan


def step_time(settings: Settings, faces: tuple[Faces, Faces], device: str) -> tuple[float, int]:
    """Seconds that an image takes in training, its share of the validation included, and the images of an epoch."""
    task = task_for(settings, faces)
    task.model.to(device)
    optimizer, schedule = Adam(task.model.parameters(), settings.optim.lr), StepDecay(settings.optim.lr, 1, 1)
    trainer = Trainer(task, optimizer, schedule, Path(), {})  # which writes nothing before an epoch's end
    task.model.train()
    batch = next(iter(task.batches(0)))
    trainer.step(batch)
    start = time.perf_counter()
    for _ in range(STEPS):
        trainer.step(batch)
    step = (time.perf_counter() - start) / (STEPS * len(batch[0]))
    start = time.perf_counter()
    task.validate()
    return step + (time.perf_counter() - start) / task.epoch_images, task.epoch_images


def text(plan: list[Line]) -> str:
    """The plan for a terminal."""
    rows = [f"{'run':<22}{'images an epoch':>16}{'epochs':>8}{'at most':>12}   state"]
    rows += [f"{line.name:<22}{line.images:>16}{line.epochs:>8}{duration(line.seconds):>12}   {line.state}" for line in plan]
    total = duration(sum(line.seconds for line in plan))
    return "\n".join([*rows, f"In all {total} at most: a run ends early where its validation no longer improves."])


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
