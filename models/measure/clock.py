"""Times of several ways to compute the same thing, taken in turn: ours, theirs, ours, theirs, ...

Whatever slows the machine for a while slows them all.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The worker threads of PyTorch's OpenMP, and of BLAS, go on spinning for a while after a call in case another one follows, and would take
# a core from whoever comes next. This long after, they sleep.
PAUSE = 0.03  # seconds
BUDGET = 2.0  # seconds that the rounds of one row should take together
FEWEST = 3  # rounds of a slow row
Times = dict[str, float]  # median, min, max in ms, and the number of rounds


@dataclass
class Side:
    """One way to compute: named stages that are timed in order, after `before`, which is not timed."""

    stages: dict[str, Callable[[], Any]]
    before: Callable[[], Any] = lambda: None


def once(side: Side) -> Times:
    """Seconds of each stage, and of two together. Results are held to the end: to free them is no part of the work."""
    side.before()
    time.sleep(PAUSE)
    held, laps = [], {}
    for name, stage in side.stages.items():
        start = time.perf_counter()
        held.append(stage())
        laps[name] = time.perf_counter() - start
    return laps | {"both": sum(laps.values())} if len(laps) > 1 else laps


def measure(sides: dict[str, Side], rounds: int, budget: float = BUDGET) -> dict[str, dict[str, Times]]:
    """{side: {stage: times}} after a first call that does not count: at most `rounds`, fewer where they would pass the budget (seconds),
    but FEWEST at the least."""
    gc.disable()
    try:
        first = sum(PAUSE + max(once(side).values()) for side in sides.values())
        rounds = min(rounds, max(FEWEST, int(budget / first)))
        laps: dict[str, list[Times]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                laps[name].append(once(side))
    finally:
        gc.enable()
    return {name: {stage: summary([lap[stage] for lap in taken]) for stage in taken[0]} for name, taken in laps.items()}


def summary(seconds: list[float]) -> Times:
    """Median, least and most in ms."""
    ms = [1000 * value for value in seconds]
    return {"median": statistics.median(ms), "min": min(ms), "max": max(ms), "rounds": len(ms)}


def fastest(times: dict[str, dict[str, Times]]) -> dict[str, str]:
    """The name of the fastest side, stage by stage."""
    stages = next(iter(times.values()), {})
    return {stage: min(times, key=lambda name: times[name][stage]["median"]) for stage in stages}


def beside(times: dict[str, dict[str, Times]]) -> dict[str, Any]:
    """Ours beside the fastest of the others, stage by stage; ratio = ours / theirs, below 1 where ours is faster."""
    ours, pytorch = times["ours"], {name: of for name, of in times.items() if name != "ours"}
    first = fastest(pytorch)
    ratio = {stage: ours[stage]["median"] / pytorch[name][stage]["median"] for stage, name in first.items()}
    return {"ours": ours, "pytorch": pytorch, "fastest": first, "ratio": ratio}
