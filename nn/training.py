"""The training loop: epochs of batches, validation, the best model kept, checkpoints, early stopping.

A run is a folder: metrics.jsonl (a line an epoch), last.npz (everything to go on from, within an epoch too), previous.npz (the one before)
and best.npz (the best model so far). A crash at any moment leaves a whole last.npz, and a run that goes on from it ends in the same bits.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter as clock
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from nn import checkpoint
from nn.average import Average
from nn.errors import InputError
from nn.files import MIB, read_bytes
from nn.layer import Layer, generators
from nn.numerics import Guard
from nn.optim import Optimizer
from nn.schedule import Schedule
from nn.stopping import Stopped, asked_to_stop

METRICS_BYTES = 64 * MIB
UNSAID = {"epoch", "gradient_norm", "gradient_norm_max", "update_ratio"}  # of a row, by the line on the terminal
LAST, PREVIOUS, BEST, METRICS = "last.npz", "previous.npz", "best.npz", "metrics.jsonl"


class Task(Protocol):
    """What is learned, and from what."""

    model: Layer

    def batches(self, epoch: int) -> Iterable[tuple]:
        """The batches of an epoch: they depend on the epoch's number and the task's seed alone, so a resumed run sees the same."""
        ...

    def learn(self, *batch: Any) -> float:
        """The loss of a batch, after one forward and one backward."""
        ...

    def validate(self) -> dict[str, float]:
        """Named errors on faces never trained on; the first is the one to make small."""
        ...

    epoch_images: int


@dataclass
class SoFar:
    """What an epoch has brought until now."""

    losses: list[float] = field(default_factory=list)  # one a step
    images: int = 0
    seconds: float = 0.0


@dataclass
class Trainer:
    """A run in progress; `epoch` counts the finished ones, `so_far` is of the one that has begun."""

    task: Task
    optimizer: Optimizer
    schedule: Schedule
    folder: Path
    record: dict[str, Any]  # what every checkpoint says of itself: settings
    epoch: int = 0
    best_epoch: int = 0
    best: float = float("inf")
    average: Average | None = None  # validates and is kept as the best model in place of the last step's
    clip: float = 0.0  # the most that the norm of all gradients may be; 0: no limit
    debug: bool = False  # watch every operation of every step
    every: float = 60.0  # seconds from one checkpoint to the next, within an epoch; its end writes one anyway
    so_far: SoFar = field(default_factory=SoFar)
    kept: str = "before the first step"  # where the newest checkpoint stands

    def __post_init__(self) -> None:
        self.guard = Guard(self.task, self.optimizer, self.clip, self.debug)

    def run(self, epochs: int, patience: int) -> None:
        """Train until `epochs` are done, or until `patience` of them in a row brought no better validation.

        Raises Stopped on Ctrl-C or SIGTERM, after a whole step and its checkpoint; InputError where a file cannot be written.
        """
        total = (epochs - self.epoch) * self.task.epoch_images - self.so_far.images
        # A bar on a terminal; plain lines always. The bar's rate is images a second.
        with asked_to_stop() as asked, tqdm(total=total, unit="img", smoothing=0.05, dynamic_ncols=True, disable=None) as bar:
            while self.epoch < epochs and self.epoch - self.best_epoch < patience:
                row = self.run_epoch(bar, asked)
                bar.set_postfix_str(f"loss {row['loss']:.4g}, validation {self.best:.4g} at best")
                line = "  ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in UNSAID)
                bar.write(f"epoch {self.epoch}/{epochs}  {line}")
                if asked:
                    raise Stopped(self.place(), asked[0])
        if self.epoch < epochs:
            print(f"stopped early: {patience} epochs without a better validation; the best is epoch {self.best_epoch}")

    def run_epoch(self, bar: tqdm, asked: list[int]) -> dict[str, float]:
        """What is left of a pass over the batches, then one validation, one line of metrics, one checkpoint."""
        self.optimizer.lr = self.schedule(self.epoch)
        now, start, saved = self.so_far, clock() - self.so_far.seconds, clock()
        self.task.model.train()
        for batch in islice(self.task.batches(self.epoch), len(now.losses), None):
            now.losses.append(self.step(batch))
            now.images += len(batch[0])
            now.seconds = clock() - start
            if self.epoch == 0 and len(now.losses) == 1:
                bar.write(f"first step done: loss {now.losses[0]:.5g}")
            bar.set_postfix_str(f"epoch {self.epoch + 1}, loss {now.losses[-1]:.4g}, validation {self.best:.4g} at best", refresh=False)
            bar.update(len(batch[0]))
            if asked or clock() - saved >= self.every:
                self.keep_last()
                saved = clock()
            if asked:
                raise Stopped(f"{self.place()} ({now.images} of {self.task.epoch_images} images)", asked[0])
        self.epoch += 1
        self.so_far = SoFar()
        errors = self.judge()
        row = {"epoch": self.epoch, "loss": sum(now.losses) / len(now.losses), **errors, "lr": self.optimizer.lr, **self.guard.row()}
        row |= {"images_per_second": now.images / now.seconds, "seconds": clock() - start}
        self.tell(row)
        self.keep_last()
        return row

    def step(self, batch: tuple) -> float:
        """Forward, backward, one step of the optimiser, and of the average."""
        loss = self.guard.step(batch, self.epoch + 1)
        if self.average:
            self.average.step()
        return loss

    def judge(self) -> dict[str, float]:
        """Validate, and write best.npz where the first of the errors is less than all before."""
        self.task.model.evaluate()
        with self.average.shown() if self.average else nullcontext():
            errors = self.guard.validate(self.epoch)
            score = next(iter(errors.values()))
            if score < self.best:
                self.best, self.best_epoch = score, self.epoch
                with self.writing():
                    checkpoint.save(
                        self.folder / BEST, checkpoint.prefixed("model", self.task.model.state()), self.record | self.progress()
                    )
        return errors

    def tell(self, row: dict[str, float]) -> None:
        """Add a line to metrics.jsonl."""
        with self.writing(), open(self.folder / METRICS, "a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())  # it must be there before the checkpoint that says so

    def keep_last(self) -> None:
        """Write last.npz; the one before becomes previous.npz."""
        with self.writing():
            checkpoint.save(self.folder / LAST, *self.state(), self.folder / PREVIOUS)
        self.kept = self.place()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the system's refusal to write a file into one line that says what is kept."""
        try:
            yield
        except OSError as error:
            reason = f"{error.filename or self.folder}: cannot be written ({error.strerror or error})"
            kept = f"the newest whole checkpoint stands {self.kept}"
            raise InputError(f"{reason}; {kept}: make room or rights there, then go on with --resume") from None

    def place(self) -> str:
        """Where training is, in words."""
        steps = len(self.so_far.losses)
        return (
            f"in epoch {self.epoch + 1}, step {steps}" if steps else f"after epoch {self.epoch}" if self.epoch else "before the first step"
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and record of a checkpoint from which training goes on exactly here."""
        arrays = checkpoint.prefixed("model", self.task.model.state()) | checkpoint.prefixed("optimizer", self.optimizer.state())
        if self.average:
            arrays |= checkpoint.prefixed("average", self.average.state())
        return arrays, self.record | self.progress()

    def progress(self) -> dict[str, Any]:
        """How far it is, and the states of the generators."""
        states = {name: rng.bit_generator.state for name, rng in generators(self.task.model).items()}
        known = {"epoch": self.epoch, "best": self.best, "best_epoch": self.best_epoch, "so_far": asdict(self.so_far)}
        known["norms"] = self.guard.norms
        return known | {"generators": states}

    def resume(self) -> None:
        """Go on exactly where the newest whole checkpoint stood; lines of metrics.jsonl beyond it are dropped.

        Where best.npz is damaged, the model of that checkpoint takes its place.
        """
        path, arrays, record = latest(self.folder)
        self.task.model.load_state(checkpoint.part("model", arrays))
        self.optimizer.load_state(checkpoint.part("optimizer", arrays))
        if self.average:
            self.average.load_state(checkpoint.part("average", arrays))
        self.epoch, self.best, self.best_epoch = record["epoch"], record["best"], record["best_epoch"]
        self.so_far, self.guard.norms = SoFar(**record.get("so_far", {})), record.get("norms", [])
        for name, rng in generators(self.task.model).items():
            rng.bit_generator.state = record["generators"][name]
        self.kept = self.place()
        with self.writing():
            self.tidy(path)
        if self.best_epoch:
            try:
                checkpoint.load(self.folder / BEST)
            except InputError as error:
                print(f"{said(error)}; the model {self.kept} takes its place", file=sys.stderr)
                self.best = float("inf")
                self.judge()

    def tidy(self, newest: Path) -> None:
        """Put away what a crash left: a damaged last.npz, files half written, metrics of epochs that are to come again."""
        for left in self.folder.glob("*" + checkpoint.UNFINISHED):
            left.unlink()
        if newest.name != LAST:
            checkpoint.link(newest, self.folder / LAST)
        rows = "".join(json.dumps(row) + "\n" for row in read_metrics(self.folder) if row["epoch"] <= self.epoch)
        with checkpoint.whole(self.folder / METRICS) as file:
            file.write(rows.encode())


def latest(folder: Path) -> tuple[Path, dict[str, np.ndarray], dict[str, Any]]:
    """The newest whole checkpoint of a run: its file, arrays and record. Where that is not last.npz, a line on standard error says why.

    Raises InputError where there is none.
    """
    try:
        return folder / LAST, *load(folder / LAST)
    except InputError as error:
        if not (folder / PREVIOUS).exists():
            raise
        try:
            found = load(folder / PREVIOUS)
        except InputError as another:
            raise InputError(f"{said(error)}; {another}") from None
        print(f"{said(error)}; {PREVIOUS} is used, the checkpoint before it", file=sys.stderr)
        return folder / PREVIOUS, *found


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A checkpoint of a training. Raises InputError where it is not whole, or does not say how far training was."""
    arrays, record = checkpoint.load(path)
    known = {"epoch": (int,), "best_epoch": (int,), "best": (int, float)}
    if wrong := [name for name, types in known.items() if type(record.get(name)) not in types]:
        raise InputError(f"{path}: no checkpoint of a training (its {wrong[0]} is missing); train anew, or bring the one that belongs here")
    return arrays, record


def said(error: InputError) -> str:
    """What is wrong, without what to do."""
    return str(error).partition("; ")[0]


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; one that a crash cut short, or that is none, ends them. Raises InputError on a file that is too large."""
    rows: list[dict[str, float]] = []
    if (folder / METRICS).exists():  # the first epoch's end makes it
        for line in read_bytes(folder / METRICS, METRICS_BYTES, "the metrics of a run").splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not is_row(row) or not (rows or [row])[0].keys() <= row.keys():
                break
            rows.append(row)
    return rows


def is_row(row: object) -> bool:
    """Whether it is the number of an epoch, its loss, and an error or more, in numbers that compute."""
    if not isinstance(row, dict) or type(row.get("epoch")) is not int or "loss" not in row or len(row) < 3:
        return False
    return all(map(is_number, row.values()))


def is_number(value: object) -> bool:
    """Whether it is a finite number that NumPy computes with."""
    return (type(value) is float and abs(value) <= 1e300) or (type(value) is int and abs(value) < 2**63)
