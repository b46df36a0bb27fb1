"""`faceseed bench`: our NumPy beside PyTorch on this machine, in one process and in turn."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from models.measure import chart, report
from models.measure.ladder import ladder_rows
from models.measure.layers import layer_rows
from models.measure.memory import memory_rows
from models.measure.plan import Plan
from models.measure.roofline import measure_machine
from models.measure.systems import model_rows
from nn import InputError

JSON, PAGE, CHART = "bench.json", "bench.md", "bench.png"


def run(plan: Plan, out: Path) -> None:
    """Measure, print a table after the other, and write all into a folder at the end.

    Raises InputError, before anything is measured, where the plan or the folder cannot be.
    """
    check(plan, out)
    theirs = pytorch()
    machine = measure_machine()
    found: dict[str, Any] = {"machine": asdict(machine)}
    show("machine", found)
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "layers": lambda: layer_rows(plan, machine, theirs),
        "models": lambda: model_rows(plan, theirs),
        "ladder": lambda: ladder_rows(plan, theirs),
        "memory": lambda: memory_rows(plan, theirs),
    }
    for part, measured in parts.items():
        if part in plan.what:
            found[part] = measured()
            show(part, found)
    write(plan, found, out)


def pytorch() -> ModuleType | None:
    """PyTorch's side; None, and a line, where it is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        print('PyTorch is not installed (pip install -e ".[parity]" brings it): measuring ours alone', flush=True)
        return None
    from models.measure import theirs

    theirs.get_ready()
    return theirs


def check(plan: Plan, out: Path) -> None:
    """Raise InputError on a number that no model takes, and on a folder that cannot be made or written to."""
    multiple = 16 if "corefan" in plan.models else 8
    if plan.size < multiple or plan.size % multiple:
        raise InputError(f"--size {plan.size}: expected a multiple of {multiple}, for the models' poolings")
    for option, value in (("--width", plan.width), ("--rounds", plan.rounds), ("--batch", min(plan.batches))):
        if value < 1:
            raise InputError(f"{option} {value}: expected 1 or more")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{out}: cannot be made or written to ({there} is in the way); choose another --out")


def show(part: str, found: dict[str, Any]) -> None:
    """Print a part's tables."""
    print(f"\n{report.TABLES[part](found[part])}", flush=True)


def write(plan: Plan, found: dict[str, Any], out: Path) -> None:
    """The three files, made in full before the first is written. Without ratios there is no chart."""
    panels = chart.bars(found)
    files = {JSON: json.dumps({"plan": asdict(plan), **found}, indent=1).encode() + b"\n", PAGE: report.markdown(found).encode()}
    if panels:
        files[CHART] = chart.png(panels)
    out.mkdir(parents=True, exist_ok=True)
    (out / CHART).unlink(missing_ok=True)  # an older one would belong to other numbers
    for name, content in files.items():
        (out / name).write_bytes(content)
    print(f"\n{', '.join(sorted(files))} in {out}")
