"""The memory of one training step, each side in a Python of its own: `python -m models.measure.memory corefan ours 16 64 112`.

The peak is the most that was resident (VmHWM) in the third step, after a reset that Linux grants a process by writing 5 into its
clear_refs. Where it is not granted, the peak is that of the process's whole life, and the row says so.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from models.measure import ours
from models.measure.plan import Plan, build, made_up
from nn import InputError

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
WARM_UP = 2  # steps


def memory_rows(plan: Plan, theirs: ModuleType | None) -> list[dict[str, Any]]:
    """A row a model. Raises InputError where the system does not tell."""
    if not STATUS.exists():
        raise InputError("--what memory: reads Linux's /proc, which this system has not; leave it out with --what layers models ladder")
    sides = ["ours", *(theirs.FORMATS if theirs else [])]
    runs = [(name, side) for name in plan.models for side in sides]
    peaks = {(name, side): in_its_own_python(name, side, plan) for name, side in tqdm(runs, desc="memory", leave=False, disable=None)}
    return [memory_row(name, plan.batch, {side: peaks[name, side] for side in sides}) for name in plan.models]


def memory_row(name: str, batch: int, peaks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ours beside the smaller of PyTorch's formats."""
    mine, pytorch = peaks["ours"], {side: peak for side, peak in peaks.items() if side != "ours"}
    smallest = min(pytorch, key=lambda side: pytorch[side]["rise"], default=None)
    ratio = mine["rise"] / pytorch[smallest]["rise"] if smallest else None
    return {"model": name, "batch": batch, "ours": mine, "pytorch": pytorch, "smallest": smallest, "ratio": ratio}


def in_its_own_python(name: str, side: str, plan: Plan) -> dict[str, Any]:
    """What `main` prints. Raises InputError where the process was ended, as for want of memory."""
    numbers = map(str, (plan.batch, plan.width, plan.size))
    done = subprocess.run([sys.executable, "-m", "models.measure.memory", name, side, *numbers], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InputError(f"memory of {name}, {side}: the process ended with code {done.returncode} ({said}); try a smaller --batch")
    return json.loads(done.stdout)


def main(name: str, side: str, batch: str, width: str, size: str) -> None:
    """Print the resident bytes after the imports, at the peak of a step, and the difference."""
    step_of = our_step if side == "ours" else their_step()
    before = resident("VmRSS")
    step = step_of(name, side, int(batch), int(width), int(size))
    for _ in range(WARM_UP):
        step()
    since = reset_peak()
    step()
    peak = resident("VmHWM")
    print(json.dumps({"after_imports": before, "peak": peak, "rise": peak - before, "peak_of": since}))


def our_step(name: str, side: str, batch: int, width: int, size: int) -> Callable[[], Any]:
    """Our training step."""
    model = build(name, width, size)
    return ours.step_side(model, name, *made_up(name, batch, size, np.random.default_rng(2))).stages["step"]


def their_step() -> Callable[[str, str, int, int, int], Callable[[], Any]]:
    """Import PyTorch; what it gives back makes PyTorch's training step, with the Adam that needs no arrays beside its own."""
    from models.measure import theirs

    theirs.get_ready()

    def step(name: str, side: str, batch: int, width: int, size: int) -> Callable[[], Any]:
        modules = {side: theirs.twin(build(name, width, size), side)}
        return theirs.step_sides(modules, name, *made_up(name, batch, size, np.random.default_rng(2)), "fused")[side].stages["step"]

    return step


def resident(field: str) -> int:
    """A number of /proc/self/status, in bytes."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])  # "VmHWM:     1234 kB"


def reset_peak() -> str:
    """Start the peak anew, and say what it is the peak of."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return "the whole life"
    return "a step"


if __name__ == "__main__":
    main(*sys.argv[1:])
