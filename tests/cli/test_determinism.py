"""`train --check-determinism`: it passes where the bits are the same, and finds training that depends on threads or forgets at a stop."""

import os

import numpy as np
import pytest

from models import determinism
from nn.training import Trainer

TINY = ["train", "sine", "--preset", "tiny", "--check-determinism"]


def test_the_same_bits(faceseed, tmp_path):
    """In three, really four, fresh processes; nothing is left."""
    code, out, err = faceseed(*TINY)
    assert (code, err) == (0, "")
    *rows, verdict = out.splitlines()
    assert [row[:38].strip() for row in rows] == ["one thread", "all threads", "all, stopped and resumed after step 6"]
    assert len({row.split()[-1] for row in rows}) == 1 and all("12 steps  13 arrays" in row for row in rows)
    assert verdict.startswith("the same bits: sine with seed 0 on cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def here(monkeypatch):
    """No fresh processes: what a test plants takes effect."""

    def call(*given):
        before = os.sched_getaffinity(0)
        try:
            determinism.work(*given)
        finally:
            os.sched_setaffinity(0, before)

    monkeypatch.setattr(determinism, "in_a_fresh_process", call)
    monkeypatch.setattr(determinism, "cores", lambda: 2)


def test_here_too(here, faceseed):
    assert faceseed(*TINY)[0] == 0


def test_bits_that_depend_on_threads_are_found(here, faceseed, monkeypatch):
    step, work = Trainer.step, determinism.work

    def nudged(trainer, batch):
        loss = step(trainer, batch)
        if threads == 2:
            bias = trainer.task.model.readout.bias.value
            bias[...] = np.nextafter(bias, np.float32(9))
        return loss

    def noted(*given):
        nonlocal threads
        threads = given[5]
        work(*given)

    threads = 0
    monkeypatch.setattr(Trainer, "step", nudged)
    monkeypatch.setattr(determinism, "work", noted)
    code, out, _ = faceseed(*TINY)
    assert code == 1 and "NOT the same bits: all threads: model/" in out and "the same bits: sine" not in out


def test_what_a_stop_forgets_is_found(here, faceseed, monkeypatch):
    monkeypatch.setattr("nn.optim.Adam.load_state", lambda *_: None)
    code, out, _ = faceseed(*TINY)
    assert code == 1 and "NOT the same bits: all, stopped and resumed after step 6: model/" in out


def test_the_first_difference():
    one = {"a": np.array([1.0, 2.0], np.float32), "b": np.array(3), "c": np.array([np.nan, 0.0])}
    assert determinism.first_difference(one, {name: array.copy() for name, array in one.items()}) == ""
    assert determinism.first_difference(one, one | {"b": np.array(5)}) == "b (), 1 of 1 numbers, by up to 2"
    assert determinism.first_difference(one, one | {"c": np.array([np.nan, -0.0])}).startswith("c (2,), 1 of 2 numbers")


def test_a_training_that_fails(faceseed, monkeypatch):
    """Fails in the fresh process too, with its traceback, and in one line."""
    code, _, err = faceseed("train", "sine", "--preset", "tiny", "--check-determinism", "--set", "optim.lr=1e30")
    assert code == 2 and err.endswith("faceseed: the check failed as its training did, see above; mend that first\n")
