"""Every kernel of nn/gpu on a GPU: right first, then timed, rung by rung, with PyTorch beside it: `python -m models.measure.gpu`.

Without a GPU, `--device emulated --tiny` walks the same path to its end, and times nothing.
"""

import argparse
import importlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from models.measure import ours
from models.measure.cuda import ROUNDS, WARM_UP, free_memory, graphics, milliseconds
from models.measure.judge import chosen, judged, poisoned, prepared, sent, truth
from models.measure.kernels import PAPER, TINY, Case, Scale, cases
from models.measure.plan import MODELS, Arrays, build, made_up
from models.measure.report import number, table
from nn import InputError, Layer
from nn.backend import to_device
from nn.gpu.trouble import explained

JSON, PAGE = "gpu-results.json", "gpu-results.md"
DOCS = Path(__file__).parents[2] / "docs"
APART = 1e-3  # two rungs differ by less than this, also where they are too large for a check on the CPU
Row = dict[str, Any]
ABOUT = """\
Medians of {rounds} calls by CUDA events, after {warm_up} that do not count (slow calls: fewer). error: against float64 NumPy, relative in
norm, on two images of the same shape. Before a row is timed its results, full size, are compared with those of the family's first rung,
must be finite in memory that held NaN, and the same bits twice. TFLOP/s counts the products of the direct algorithm; GB/s each input read
once and each output written once. PyTorch's convolutions and LSTM are cuDNN's, its products cuBLAS's; its LSTM has no term inside the
last tanh."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 where a kernel is wrong."""
    options = parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    found: dict[str, Any] = {"command": shlex.join(["python", "-m", "models.measure.gpu", *given])}
    out = options.out or (DOCS if options.device == "cuda" and not options.tiny else None)
    scale = TINY if options.tiny else PAPER
    try:
        found["machine"] = graphics() if options.device == "cuda" else {"GPU": "none: the emulator"}
        theirs = pytorch() if options.device == "cuda" else None
        until = time.monotonic() + options.seconds
        found["models"] = list(model_rows(options.tiny, options.device, theirs))
        found["kernels"] = list(kernel_rows(scale, options.device, theirs, until))
    except InputError as error:
        print(f"models.measure.gpu: {error}", file=sys.stderr)
        return 2
    rows = [*found["models"], *found["kernels"]]
    wrong = [row for row in rows if row["fault"]]
    print(f"{len(rows)} rows, {len(wrong)} WRONG")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / JSON).write_text(json.dumps(found, indent=1) + "\n")
        (out / PAGE).write_text(page(found))
        print(f"{JSON}, {PAGE} in {out}")
    return 1 if wrong else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m models.measure.gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "emulated"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small arrays: to see that it runs")
    parser.add_argument("--seconds", type=float, default=240, help="begin with no new kernel after that many")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"for {JSON} and {PAGE}; docs, or with --tiny or the emulator nowhere")
    return parser


def pytorch() -> ModuleType | None:
    """PyTorch's side; None, and a line, where it is not there or sees no GPU."""
    try:
        import torch

        if torch.cuda.is_available():
            return importlib.import_module("models.measure.gpu_theirs")
    except ImportError:
        pass
    print("PyTorch is not installed, or sees no GPU: measuring ours alone", flush=True)
    return None


# ---- the kernels ----


def kernel_rows(scale: Scale, device: str, theirs: ModuleType | None, until: float) -> Iterator[Row]:
    """A row a case and rung, then PyTorch's ways."""
    for small, case in zip(cases(scale._replace(images=2)), cases(scale), strict=True):
        if time.monotonic() > until:
            print("time is up: the rest is not measured", flush=True)
            return
        try:
            rows = list(our_rows(small, case, device))
            rows += their_rows(case, theirs, rows[0]["bytes"]) if theirs else []
        except Exception as error:
            rows = [row(case, "–", fault=said(error))]
        if device == "cuda":
            free_memory()
        for each in rows:
            print("  ".join(line(each)), flush=True)
            yield each


def our_rows(small: Case, case: Case, device: str) -> Iterator[Row]:
    """Each rung that can do it."""
    expected, arrays, first = truth(small), sent(case, device), None
    for rung in case.rungs:
        verdict = judged(small, device, rung, expected)
        if verdict is None:
            continue
        with chosen(case, rung):
            with poisoned(device):
                results, again = prepared(case, arrays)(), prepared(case, arrays)()
            fault = verdict.wrong or faults(results, again, first)
            first = first or results
            ms = milliseconds(prepared(case, arrays)) if device == "cuda" else None
        yield row(case, rung or "–", ms, verdict.error, fault, sum(array.nbytes for array in (*arrays, *results)))


def faults(results: list[Any], again: list[Any], first: list[Any] | None) -> str:
    """What is wrong with results too large to be computed once more in float64; "" where nothing is."""
    for a, b, c in zip(results, again, first or results, strict=True):
        if not bool((abs(a) < np.inf).all()):
            return "not finite, or not all written"
        if not bool((a == b).all()):
            return "two runs differ"
        if a.dtype.kind != "f":
            apart = not bool((a == c).all())
        else:
            apart = float(((a - c) ** 2).sum()) > APART**2 * float((c**2).sum())
        if apart:
            return "differs from the first rung"
    return ""


def their_rows(case: Case, theirs: ModuleType, bytes: int) -> Iterator[Row]:
    """PyTorch's ways to do the same."""
    for name, call in theirs.sides(case.operation, sent(case, "cpu")).items():
        yield row(case, name, theirs.milliseconds(call), bytes=bytes)


def row(case: Case, way: str, ms: float | None = None, error: float | None = None, fault: str = "", bytes: int = 0) -> Row:
    """What was found of a case in one way of doing it."""
    pace = {"tflop_s": case.flops / ms / 1e9, "gb_s": bytes / ms / 1e6} if ms else {}
    return {"operation": case.operation, "shape": case.shape, "way": way, "ms": ms, "error": error, "fault": fault, "bytes": bytes, **pace}


def line(row: Row) -> list[str]:
    """The cells of a row."""
    pace = ""
    if row["ms"]:
        pace = f"{number(row['tflop_s'])} TFLOP/s" if row["tflop_s"] else f"{number(row['gb_s'])} GB/s" if row["gb_s"] else ""
    error = f"{row['error']:.1e}" if row["error"] is not None else ""
    return [row["operation"], row["shape"], row["way"], number(row["ms"]), pace, error, f"WRONG: {row['fault']}" if row["fault"] else ""]


# ---- the models ----


def model_rows(tiny: bool, device: str, theirs: ModuleType | None) -> Iterator[Row]:
    """A training step of each model."""
    width, side, batch = (2, 16, 2) if tiny else (64, 112, 64)
    for name in MODELS:
        x, targets = made_up(name, batch, side, np.random.default_rng(2))
        ms: dict[str, float | None] = {"ours": None}
        fault = ""
        try:
            model = build(name, width, side)
            their_ms = theirs.steps(model, name, x, targets) if theirs else {}
            ms = {"ours": our_step(model, name, device, x, targets), **their_ms}
        except Exception as error:
            fault = said(error)
        if device == "cuda":
            free_memory()
        for way, each in ms.items():
            print(f"{name} step, batch {batch}, {way}: {number(each)} ms {fault}", flush=True)
            yield {"model": name, "batch": batch, "way": way, "ms": each, "fault": fault}


def our_step(model: Layer, name: str, device: str, x: np.ndarray, targets: Arrays) -> float | None:
    """Milliseconds; None in the emulator, which takes the step and no time. Raises FloatingPointError where a weight is lost."""
    model.to(device)
    step = ours.step_side(model, name, to_device(x, device), tuple(to_device(target, device) for target in targets)).stages["step"]
    step()
    ms = milliseconds(step) if device == "cuda" else None
    for weight, value in model.state().items():
        if not np.isfinite(value).all():
            raise FloatingPointError(f"{weight} is not finite after training")
    return ms


def said(error: Exception) -> str:
    """With what to do about it where we know."""
    return explained(error) or f"{type(error).__name__}: {error}"


# ---- the page ----


def page(found: dict[str, Any]) -> str:
    """All of it in Markdown."""
    facts = table(["machine", ""], [[name, value] for name, value in found["machine"].items()])
    about = ABOUT.format(rounds=ROUNDS, warm_up=WARM_UP)
    kernels = table(["operation", "shape", "rung or PyTorch", "ms", "pace", "error", ""], [line(row) for row in found["kernels"]])
    lines = [[row["model"], str(row["batch"]), row["way"], number(row["ms"]), row["fault"]] for row in found["models"]]
    steps = table(["training step", "batch", "", "ms", ""], lines)
    parts = ["# Measured on a GPU", f"`{found['command']}`", facts, "## Kernels", about, kernels, "## Training steps", steps]
    return "\n\n".join(parts) + "\n"
