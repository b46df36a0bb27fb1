"""`faceseed doctor`: what this machine can do, and whether every kernel is right on it."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from models.measure.cuda import graphics, milliseconds
from models.measure.judge import judged, prepared, sent
from models.measure.kernels import SMALL, TINY, Case, Scale, cases
from nn import InputError, emulator
from nn.emulator.compiler import compiler
from nn.gpu.trouble import explained

NO_COMPILER = "the emulator needs g++ on Linux: apt-get install g++"


def run(device: str | None = None, tiny: bool = False) -> int:
    """Print what there is, then a line an operation, on "cuda" or "emulated"; without a GPU, and none asked for, in the emulator.

    tiny: small arrays on a GPU too, as in the emulator. Returns 1 where a kernel is wrong. Raises InputError where the device that was
    asked for is not there.
    """
    show(machine())
    if device != "emulated":
        try:
            show(graphics())
            return table("cuda", TINY if tiny else SMALL)
        except Exception as error:
            trouble = said(error)
        if device == "cuda":
            raise InputError(f"no GPU: {trouble}")
        show({"GPU": f"no GPU: {trouble}"})
    if not has_compiler():
        if device == "emulated":
            raise InputError(NO_COMPILER)
        print(f"\nNo kernel was run: {NO_COMPILER}")
        return 0
    print("\nOn tiny arrays in the emulator, which checks every access; compiled on the first run, for a minute or two:")
    return table("emulated", TINY)


def show(facts: dict[str, str]) -> None:
    """A line each."""
    for name, value in facts.items():
        print(f"{name:<12}{value}")


def said(error: Exception) -> str:
    """In one line, with what to do about it where we know."""
    return explained(error) or " ".join((str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}").split())


def machine() -> dict[str, str]:
    """Python, NumPy and the compiler."""
    return {
        "Python": f"{platform.python_version()}, {platform.platform()}",
        "NumPy": np.__version__,
        "g++": compiler_version(),
        "CuPy": cupy_version(),
    }


def cupy_version() -> str:
    """Of the wheel that is installed."""
    for package in ("cupy-cuda13x", "cupy-cuda12x", "cupy"):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return "not installed"


def has_compiler() -> bool:
    """Whether the emulator can compile."""
    return shutil.which(compiler()) is not None


def compiler_version() -> str:
    """The first line that g++ says of itself."""
    if not has_compiler():
        return "not found"
    said = subprocess.run([compiler(), "--version"], capture_output=True, text=True).stdout
    return said.partition("\n")[0]


def table(device: str, scale: Scale) -> int:
    """A line an operation; 1 where one is wrong, else 0."""
    print(f"\n{'operation':<26}{'shape':<20}{'rung':<10}{'error':>9}{'ms':>9}")
    wrong = [case.operation for case in cases(scale) if not line(case, device)]
    print(f"\n{len(wrong)} WRONG: {', '.join(dict.fromkeys(wrong))}" if wrong else "\nall right")
    return 1 if wrong else 0


def line(case: Case, device: str) -> bool:
    """Print an operation's line; whether it is right. Errors are relative, in norm, against NumPy in float64."""
    print(f"{case.operation:<26}{case.shape:<20}", end="", flush=True)
    try:
        with emulator.mode(check=True):
            verdict = judged(case, device)
        assert verdict is not None
        ms = f"{milliseconds(prepared(case, sent(case, device))):.3f}" if device == "cuda" else "–"
    except Exception as error:
        print(f"WRONG: {said(error)}")
        return False
    print(f"{verdict.rung or '–':<10}{verdict.error:>9.1e}{ms:>9}  {f'WRONG: {verdict.wrong}' if verdict.wrong else 'right'}")
    return not verdict.wrong
