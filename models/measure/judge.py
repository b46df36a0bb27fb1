"""Is a kernel right? Its results against nn/cpu in float64, on one of its rungs or on the one that nn/gpu takes by itself.

Right: within the bar (of relative norms), every number finite, written where memory held NaN before, and a second run gives the same bits.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np

from models.measure.kernels import Case
from nn.backend import ops, to_device, to_numpy
from nn.gpu import rungs
from nn.gpu.launch import library_of

EXACT, TF32 = 5e-6, 1e-3  # the bar of float32, and of tensor cores that round their factors to 10 bits


class Verdict(NamedTuple):
    """Of a case on one rung: the worst of its results' relative errors, and what else is wrong with them."""

    rung: str | None
    error: float
    fault: str = ""

    @property
    def wrong(self) -> str:
        """What is wrong, "" where nothing is."""
        within = self.error <= (TF32 if self.rung == "tf32" else EXACT)
        return self.fault or ("" if within else "error above the bar")


def judged(case: Case, device: str, rung: str | None = None, expected: list[np.ndarray] | None = None) -> Verdict | None:
    """A case on "cuda" or "emulated", on this rung; None where that rung cannot do it. Without a rung, on the one that nn/gpu takes."""
    rungs.TAKEN.clear()
    with chosen(case, rung), poisoned(device):
        results, again = ([to_numpy(each) for each in prepared(case, sent(case, device))()] for _ in range(2))
    used = rungs.TAKEN.get(case.family or "")
    if rung and used != rung:
        return None
    expected = truth(case) if expected is None else expected
    fault = "" if all(map(np.array_equal, results, again)) else "two runs differ"
    if not all(np.isfinite(result).all() for result in results):
        fault = "not finite, or not all written"
    return Verdict(used, float(np.max([relative(*pair) for pair in zip(results, expected, strict=True)])), fault)


def truth(case: Case) -> list[np.ndarray]:
    """What nn/cpu makes of the same arrays in float64."""
    return prepared(case, [array.astype(np.float64) for array in sent(case, "cpu")])()


def sent(case: Case, device: str) -> list[Any]:
    """The case's arrays, on a device."""
    return [to_device(array, device) for array in case.make(np.random.default_rng(0))]


def prepared(case: Case, arrays: list[Any]) -> Callable[[], list[Any]]:
    """The call on these arrays; it gives a list of results."""
    room = ops(*arrays)
    arguments = case.ready(room, *arrays)

    def call() -> list[Any]:
        result = case.call(room, *arguments)
        return [each for each in (result if isinstance(result, tuple) else (result,)) if each is not None]

    return call


def relative(actual: np.ndarray, expected: np.ndarray) -> float:
    """‖actual - expected‖ / ‖expected‖; infinite where the shapes differ."""
    if actual.shape != np.shape(expected):
        return np.inf
    difference = np.linalg.norm(np.asarray(actual, np.float64) - expected)
    return float(difference / max(np.linalg.norm(expected), np.finfo(float).tiny))


def chosen(case: Case, rung: str | None) -> AbstractContextManager:
    """Within the `with` the case's family prefers this rung, if any."""
    return rungs.prefer(**{case.family: rung} if case.family and rung else {})


@contextmanager
def poisoned(device: str) -> Iterator[None]:
    """Memory that nobody has written holds NaN on a GPU too, as the emulator's always does."""
    library: Any = library_of(device)
    empty = library.empty

    def full_of_nan(*given: Any, **options: Any) -> Any:
        array = empty(*given, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 1)
        return array

    library.empty = full_of_nan
    try:
        yield
    finally:
        library.empty = empty
