"""Several runs, one after the other, each in a folder of its own: trained, taken up where one was cut off, or found done."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from models.faces.crops import Faces
from models.folder import clear
from models.runs import photos_seen, read_settings, some, started, train, trained_on
from models.settings import Settings
from nn import InputError
from nn.training import latest


@dataclass
class Planned:
    """A run that a series wants."""

    folder: Path
    settings: Settings


def progress(run: Planned) -> tuple[int, bool]:
    """Finished epochs, and whether training is at its end: all epochs done, or `patience` of them without a better validation."""
    if not started(run.folder):
        return 0, False
    _, _, record = latest(run.folder)
    epoch, settings = record["epoch"], run.settings
    return epoch, epoch >= settings.epochs or epoch - record["best_epoch"] >= settings.patience


def check(run: Planned, faces: tuple[Faces, Faces] | None) -> None:
    """Raise InputError where the folder holds a run with other settings, or one trained on other photos."""
    if not started(run.folder):
        return
    found, wanted = asdict(read_settings(run.folder)), asdict(run.settings)
    differing = [name for name in wanted if name != "data" and found[name] != wanted[name]]  # the same photos may have moved
    if differing:
        raise InputError(f"{run.folder}: holds a run with another {', '.join(differing)}; choose another --out, or remove it")
    if faces and trained_on(run.folder)[0] != photos_seen(run.settings, some(faces[0], run.settings)):
        raise InputError(f"{run.folder}: was trained on other photos; choose another --out, or remove it")


def train_all(runs: list[Planned], faces_for: Callable[[Settings], tuple[Faces, Faces] | None], device: str) -> None:
    """Train what is not done yet. All folders are looked at before the first is touched."""
    for run in runs:
        check(run, faces_for(run.settings) if run.settings.data else None)  # drawn faces are those of the settings, without looking
    for number, run in enumerate(runs, start=1):
        epochs, done = progress(run)
        state = "done" if done else f"from epoch {epochs + 1} of {run.settings.epochs}"
        print(f"[{number}/{len(runs)}] {run.folder.name}: {state}", flush=True)
        if done:
            continue
        faces = faces_for(run.settings)
        if faces:
            faces = some(faces[0], run.settings), faces[1]
        if run.folder.exists() and not started(run.folder):
            clear(run.folder)  # earlier versions left a folder without a checkpoint where they were cut off in the first epoch
        train(run.settings, run.folder, resume=started(run.folder), device=device, faces=faces)
