"""`faceseed ablate`: what the paper leaves open, each reading trained alike with several seeds, and which one validates best."""

from pathlib import Path

import numpy as np

from models.measure.report import table
from models.runs import training_faces
from models.series import Planned, train_all
from models.settings import Settings, settings_for
from nn.training import latest

# Beside equation 4 as printed, one change at a time; the last is section 3.2's prose and the sine story (section 3.1), taken at their word.
READINGS: dict[str, dict[str, str]] = {
    "equation 4: S_part and f_ih at every step, mean of windows": {},
    "the drawn window fed back": {"feed": "window"},
    "f_ih at a part's first step only": {"injection": "first"},
    "newest point of a window": {"readout": "newest"},
    "one point a step, no windows": {"readout": "point"},
    "S_part is the first window": {"seeding": "window"},
    "as the prose: fed back, f_ih first, S_part a window": {"feed": "window", "injection": "first", "seeding": "window"},
}


def run(data: str, out: Path, seeds: list[int], changes: list[str], device: str = "cpu") -> None:
    """Train every reading with every seed, one after the other or from where that stopped, and write OUT/ablations.md."""
    runs = [
        Planned(out / f"{name(reading)}-{seed}", as_read(reading, data, seed, changes)) for reading in READINGS.values() for seed in seeds
    ]
    faces = training_faces(runs[0].settings)
    train_all(runs, lambda _: faces, device)
    errors = np.array([best(run.folder) for run in runs]).reshape(len(READINGS), len(seeds))
    text = report(errors, seeds)
    (out / "ablations.md").write_text(text + "\n")
    print(text)


def as_read(reading: dict[str, str], data: str, seed: int, changes: list[str]) -> Settings:
    """The small preset, with a reading's choices."""
    choices = [f'net.{key}="{value}"' for key, value in reading.items()]
    return settings_for("corefan", "small", data, changes=[*choices, *changes, f"seed={seed}"])


def name(reading: dict[str, str]) -> str:
    """For a folder."""
    return "-".join(f"{key}-{value}" for key, value in reading.items()) or "equation-4"


def best(folder: Path) -> float:
    """The least validation error of a run, in percent of the distance of the outer eye corners."""
    error: float = latest(folder)[2]["best"]
    return error


def report(errors: np.ndarray, seeds: list[int]) -> str:
    """errors (readings, seeds) as a Markdown table, best mean first."""
    header = ["reading of the paper", "mean", "spread", *(f"seed {seed}" for seed in seeds)]
    rows = []
    for k in np.argsort(errors.mean(1), kind="stable"):
        spread = f"± {errors[k].std(ddof=1):.2f}" if len(seeds) > 1 else "–"
        rows.append([list(READINGS)[k], f"{errors[k].mean():.2f}", spread, *(f"{error:.2f}" for error in errors[k])])
    return table(header, rows)
