"""The training loop: epochs of batches, validation, the best model kept, a checkpoint an epoch, early stopping.

A run is a folder: metrics.jsonl (a line an epoch), last.npz (everything to go on from) and best.npz (the best model so far).
"""

import json
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from nn import checkpoint
from nn.average import Average
from nn.layer import Layer, generators
from nn.numerics import Guard
from nn.optim import Optimizer
from nn.schedule import Schedule

LAST, BEST, METRICS = "last.npz", "best.npz", "metrics.jsonl"


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
class Trainer:
    """A run in progress; `epoch` counts the finished ones."""

    task: Task
    optimizer: Optimizer
    schedule: Schedule
    folder: Path
    record: dict[str, Any]  # what every checkpoint says of itself: settings, version
    epoch: int = 0
    best_epoch: int = 0
    best: float = float("inf")
    average: Average | None = None  # validates and is kept as the best model in place of the last step's
    clip: float = 0.0  # the most that the norm of all gradients may be; 0: no limit
    debug: bool = False  # watch every operation of every step

    def __post_init__(self) -> None:
        self.guard = Guard(self.task, self.optimizer, self.clip, self.debug)

    def run(self, epochs: int, patience: int) -> None:
        """Train until `epochs` are done, or until `patience` of them in a row brought no better validation."""
        total = (epochs - self.epoch) * self.task.epoch_images
        # A bar on a terminal; plain lines always. The bar's rate is images a second.
        with tqdm(total=total, unit="img", smoothing=0.05, dynamic_ncols=True, disable=None) as bar:
            while self.epoch < epochs and self.epoch - self.best_epoch < patience:
                row = self.run_epoch(bar)
                bar.set_postfix_str(f"loss {row['loss']:.4g}, validation {self.best:.4g} at best")
                line = "  ".join(f"{name} {value:.5g}" for name, value in row.items() if name != "epoch")
                bar.write(f"epoch {self.epoch}/{epochs}  {line}")
        if self.epoch < epochs:
            print(f"stopped early: {patience} epochs without a better validation; the best is epoch {self.best_epoch}")

    def run_epoch(self, bar: tqdm) -> dict[str, float]:
        """One pass over the batches, one validation, one line of metrics, one checkpoint."""
        self.optimizer.lr = self.schedule(self.epoch)
        start, images, losses = time.perf_counter(), 0, []
        self.task.model.train()
        for batch in self.task.batches(self.epoch):
            losses.append(self.step(batch))
            images += len(batch[0])
            if self.epoch == 0 and len(losses) == 1:
                bar.write(f"first step done: loss {losses[0]:.5g}")
            bar.set_postfix_str(f"epoch {self.epoch + 1}, loss {losses[-1]:.4g}, validation {self.best:.4g} at best", refresh=False)
            bar.update(len(batch[0]))
        seconds = time.perf_counter() - start
        self.epoch += 1
        self.task.model.evaluate()
        with self.average.shown() if self.average else nullcontext():
            errors = self.guard.validate(self.epoch)
            self.keep_best(next(iter(errors.values())))
        row = {"epoch": self.epoch, "loss": sum(losses) / len(losses), **errors, "lr": self.optimizer.lr, **self.guard.row()}
        row |= {"images_per_second": images / seconds, "seconds": time.perf_counter() - start}
        with open(self.folder / METRICS, "a") as file:
            file.write(json.dumps(row) + "\n")
        self.keep_last()
        return row

    def step(self, batch: tuple) -> float:
        """Forward, backward, one step of the optimiser, and of the average."""
        loss = self.guard.step(batch, self.epoch + 1)
        if self.average:
            self.average.step()
        return loss

    def keep_best(self, score: float) -> None:
        """Write best.npz, where the score is better than all before."""
        if score < self.best:
            self.best, self.best_epoch = score, self.epoch
            checkpoint.save(self.folder / BEST, checkpoint.prefixed("model", self.task.model.state()), self.record | self.progress())

    def keep_last(self) -> None:
        """Write last.npz."""
        arrays = checkpoint.prefixed("model", self.task.model.state()) | checkpoint.prefixed("optimizer", self.optimizer.state())
        if self.average:
            arrays |= checkpoint.prefixed("average", self.average.state())
        checkpoint.save(self.folder / LAST, arrays, self.record | self.progress())

    def progress(self) -> dict[str, Any]:
        """How far it is, and the states of the generators."""
        states = {name: rng.bit_generator.state for name, rng in generators(self.task.model).items()}
        return {"epoch": self.epoch, "best": self.best, "best_epoch": self.best_epoch, "generators": states}

    def resume(self) -> None:
        """Go on from last.npz exactly where it stood; lines of metrics.jsonl beyond it are dropped."""
        arrays, record = checkpoint.load(self.folder / LAST)
        self.task.model.load_state(checkpoint.part("model", arrays))
        self.optimizer.load_state(checkpoint.part("optimizer", arrays))
        if self.average:
            self.average.load_state(checkpoint.part("average", arrays))
        self.epoch, self.best, self.best_epoch = record["epoch"], record["best"], record["best_epoch"]
        for name, rng in generators(self.task.model).items():
            rng.bit_generator.state = record["generators"][name]
        rows = read_metrics(self.folder)
        kept = self.folder / (METRICS + ".unfinished")
        kept.write_text("".join(json.dumps(row) + "\n" for row in rows if row["epoch"] <= self.epoch))
        kept.replace(self.folder / METRICS)


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; a last line that a crash cut short is left out."""
    rows = []
    for line in (folder / METRICS).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
