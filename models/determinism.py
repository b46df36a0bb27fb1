"""`faceseed train --check-determinism`: the same seed gives the same bits, with one thread or all, and after a stop in the middle.

A few steps of the training that the user asked for are done in fresh processes, in a temporary folder: its settings, data and device.
"""

import io
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from hashlib import sha256
from itertools import chain, count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from models.faces.crops import Faces
from models.runs import task_for, trainer_for, training_faces
from models.settings import Settings
from nn import InputError, checkpoint
from nn.cpu.threads import cores
from nn.gpu.rungs import prefer
from nn.stopping import Stopped
from nn.training import LAST

STEPS, HALF = 12, 6


class Few:
    """The first STEPS steps of a task as one epoch, which validates nothing; in step `stop` it asks to stop, if that is not 0."""

    def __init__(self, task: Any, stop: int):
        self.task, self.model, self.stop = task, task.model, stop
        self.epoch_images = task.epoch_images

    def batches(self, _: int) -> Iterator[tuple]:
        """Those of as many epochs as it takes."""
        return islice(chain.from_iterable(map(self.task.batches, count())), STEPS)

    def learn(self, *batch: Any) -> float:
        """The task's own."""
        self.stop -= 1
        if self.stop == 0:
            signal.raise_signal(signal.SIGTERM)
        return self.task.learn(*batch)

    def validate(self) -> dict[str, float]:
        """Nothing."""
        return {"nothing": 0.0}


def check(settings: Settings, skip_bad: bool, device: str, conv: str | None) -> int:
    """Train three times, print a table and a verdict. Exit code: 0 where all arrays have the same bits, else 1."""
    faces = None if settings.model == "sine" else training_faces(settings, skip_bad)
    plan = [("one thread", 1, [0]), ("all threads", cores(), [0]), (f"all, stopped and resumed after step {HALF}", cores(), [HALF, 0])]
    states = {}
    with tempfile.TemporaryDirectory() as temporary:
        for what, threads, stops in plan:
            folder = Path(temporary) / what
            folder.mkdir()
            for stop in stops:
                in_a_fresh_process(settings, faces, folder, device, conv, threads, stop)
            states[what], _ = checkpoint.load(folder / LAST)
            bits = sha256(b"".join(array.tobytes() for array in states[what].values())).hexdigest()
            print(f"{what:<38}{threads:>3} threads  {STEPS} steps  {len(states[what])} arrays  SHA-256 {bits[:16]}", flush=True)
    first, *others = plan
    for what, _, _ in others:
        if difference := first_difference(states[first[0]], states[what]):
            print(f"NOT the same bits: {what}: {difference}")
            return 1
    print(f"the same bits: {settings.model} with seed {settings.seed} on {device}, with one thread and with all, and stopped and resumed")
    return 0


def first_difference(arrays: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> str:
    """The first array that has not the same bits, and in how many numbers; empty where there is none."""
    for name, array in arrays.items():
        bits, other_bits = (np.atleast_1d(a).view(f"u{a.itemsize}") for a in (array, others[name]))
        if differing := np.count_nonzero(bits != other_bits):
            most = np.abs(array - others[name]).max()
            return f"{name} {array.shape}, {differing} of {array.size} numbers, by up to {most:.3g}"
    return ""


def in_a_fresh_process(*given: Any) -> None:
    """Call `work` in a new Python. Raises InputError where it fails there."""
    process = get_context("spawn").Process(target=work, args=given)
    process.start()
    process.join()
    if process.exitcode:
        raise InputError("the check failed as its training did, see above; mend that first")


def work(
    settings: Settings,
    faces: tuple[Faces, Faces] | None,
    folder: Path,
    device: str,
    conv: str | None,
    threads: int,
    stop: int,
) -> None:
    """Train in `folder`, or go on there, with so many threads: one is BLAS's only one, on one core."""
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # our own threads are as many as the cores
    with threadpool_limits(threads, "blas"), prefer(conv=conv) if conv else nullcontext():
        trainer = trainer_for(Few(task_for(settings, faces), stop), settings, folder, device)
        if (folder / LAST).exists():
            trainer.resume()
        with suppress(Stopped), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            trainer.run(1, 1)
