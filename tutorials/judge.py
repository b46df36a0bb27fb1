"""The judge of exercises: right, not started, or what is wrong, in the order in which one mends it (error, count, shape, dtype, value)."""

import copy
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutorials.exercise import Exercise, find


@dataclass(frozen=True)
class Verdict:
    """`state` is "right", "open" (nothing written yet) or "wrong"; `message` says what is wrong."""

    state: str
    message: str = ""


def judge(one: Exercise, answer: Callable | None) -> Verdict:
    """Judge an answer on every case. Never raises for what the answer does."""
    if answer is None:
        return Verdict("open")
    outputs = []
    for case in one.cases():
        mine = copy.deepcopy(case)
        try:
            got = one.runner(_written(answer), *mine)
        except _NotStarted:
            return Verdict("open")
        except Exception as error:  # whatever a learner's code raises is a message
            return Verdict("wrong", _raised(error, answer))
        if (changed := _changed(case, mine)) is not None:
            return Verdict("wrong", f"it changes its argument number {changed + 1}: work on a copy, the caller still needs it")
        outputs.append(got)
    problems = [_compare(one, got, one.runner(one.solution, *copy.deepcopy(case))) for got, case in zip(outputs, one.cases(), strict=True)]
    problem = next((problem for problem in problems if problem), None)
    if problem is None:
        return Verdict("right")
    for name, mistake in one.mistakes.items():
        if all(
            _compare(one, got, one.runner(mistake, *copy.deepcopy(case))) is None for got, case in zip(outputs, one.cases(), strict=True)
        ):
            return Verdict("wrong", f"this looks like a known mistake: {name}\n    ({problem})")
    return Verdict("wrong", problem)


class _NotStarted(Exception):
    """The answer is still its task: it returns nothing."""


def _written(answer: Callable) -> Callable:
    """The answer, but one that returns nothing raises `_NotStarted`."""

    def asked(*case: Any) -> Any:
        got = answer(*case)
        if got is None or got is Ellipsis:
            raise _NotStarted
        return got

    return asked


def _raised(error: Exception, answer: Callable) -> str:
    """The error with the line of the answer that raised it."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"it raised {type(error).__name__}: {error}" + (f" (line {lines[-1]} of your answers)" if lines else "")


def _changed(before: tuple, after: tuple) -> int | None:
    """The index of the first array argument that was changed."""
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if isinstance(old, np.ndarray) and not np.array_equal(old, new, equal_nan=old.dtype.kind in "fc"):
            return index
    return None


def _compare(one: Exercise, got: Any, want: Any) -> str | None:
    """None where all outputs agree, otherwise what is wrong with the first that does not."""
    if len(one.gives) == 1:
        got, want = (got,), (want,)
    elif not isinstance(got, tuple | list) or len(got) != len(one.gives):
        count = len(got) if isinstance(got, tuple | list) else 1
        return f"it returns {count} value{'s' * (count != 1)}; expected {len(one.gives)}: ({', '.join(one.gives)})"
    for name, mine, true in zip(one.gives, got, want, strict=True):
        if problem := _differs(name, mine, true, one.tolerance):
            return problem
    return None


def _differs(name: str, got: Any, want: Any, tolerance: float) -> str | None:
    """What is wrong with one output."""
    if got is None or got is Ellipsis:
        return f"{name} is not returned yet"
    if isinstance(want, str | bool | np.bool_):
        return None if got == want else f"{name} is {got!r}, which is not right"
    try:
        mine, true = np.asarray(got), np.asarray(want)
    except ValueError:
        return f"{name} is a ragged list; expected numbers of shape {np.shape(want)}"
    if mine.dtype.kind not in "biuf":
        return f"{name} is a {type(got).__name__} of {mine.dtype}; expected numbers"
    if mine.shape != true.shape:
        return f"{name} has shape {mine.shape}; expected {true.shape}"
    if isinstance(want, np.ndarray) and mine.dtype != true.dtype:
        return f"{name} has dtype {mine.dtype}; expected {true.dtype}, that of the input: a silent cast costs digits or time"
    if mine.dtype.kind == "f" and not np.isfinite(mine).all() and np.isfinite(true).all():
        return f"{name} holds NaN or infinity, first at index {_place(np.argwhere(~np.isfinite(mine))[0])}"
    error = np.abs(mine.astype(float) - true.astype(float))
    bad = ~(error <= tolerance * max(1e-12, float(np.abs(true).max(initial=0))))
    if not bad.any():
        return None
    label = f"the gradient of {name[1:]} ({name})" if name.startswith("d") and len(name) > 1 else name
    if mine.ndim == 0:
        return f"{label} is {mine:.6g}; expected {true:.6g}"
    worst = np.unravel_index(int(np.argmax(np.where(bad, error, -1))), error.shape)
    count = f"{int(bad.sum())} of {bad.size} numbers differ"
    return f"{label} is wrong at index {_place(worst)}: {mine[worst]:.6g}; expected {true[worst]:.6g} ({count})"


def _place(index: Any) -> str:
    return "(" + ", ".join(str(int(i)) for i in index) + ")"


def check(number: str, answer: Callable | None) -> None:
    """Say whether an answer is right; for a notebook, where the answer is at hand."""
    print(sentence(find(number), judge(find(number), answer)))


def sentence(one: Exercise, verdict: Verdict) -> str:
    """A verdict as a line."""
    mark = {"right": "[v]", "open": "[ ]", "wrong": "[x]"}[verdict.state]
    words = {"right": "right", "open": "not started", "wrong": verdict.message}[verdict.state]
    return f"{mark} {one.number} {one.title}: {words}"
