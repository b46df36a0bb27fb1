"""What a chapter prints, and whether that is what it printed when it was written. `python -m tests.tutorials.expect NN` writes it anew."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tutorials.cells import chapter, chapters

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
RELATIVE, ABSOLUTE = 1e-3, 1e-6
SECONDS = 300  # a guard against a chapter that hangs; that each takes less than a minute is measured, see docs/results.md


def printed(number: str) -> str:
    """What `python -m tutorials run` prints. Raises AssertionError, with the traceback, where the chapter fails."""
    with tempfile.TemporaryDirectory() as answers:
        done = subprocess.run(
            [sys.executable, "-m", "tutorials", "run", number],
            cwd=ROOT,
            env=os.environ | {"FACESEED_ANSWERS": answers, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected_file(number: str) -> Path:
    return ROOT / "tutorials" / "expected" / f"ch{number}.txt"


def differences(got: str, want: str) -> list[str]:
    """The lines that differ: in a word, or in a number by more than 0.1 %, or than the line's own (± P %); (varies) frees its numbers."""
    mine, theirs = got.rstrip().splitlines(), want.rstrip().splitlines()
    found = [f"{len(mine)} lines; expected {len(theirs)}"] if len(mine) != len(theirs) else []
    for n, (a, b) in enumerate(zip(mine, theirs, strict=False), 1):
        if not _alike(a, b):
            found.append(f"line {n}: {a!r}; expected {b!r}")
    return found


def _alike(got: str, want: str) -> bool:
    if _words(got) != _words(want):
        return False
    if "(varies)" in want or re.match(r"(#|//) \S+, line \d+$", want):  # where a piece of source stands moves with every edit
        return True
    stated = re.search(r"\(± (\d+(?:\.\d+)?) %\)", want)
    relative = float(stated[1]) / 100 if stated else RELATIVE
    pairs = zip(_numbers(got), _numbers(want), strict=True)
    return all(abs(a - b) <= relative * abs(b) + ABSOLUTE for a, b in pairs)


def _words(line: str) -> list[str]:
    return NUMBER.sub("#", line).split()


def _numbers(line: str) -> list[float]:
    return [float(number.replace("−", "-")) for number in NUMBER.findall(line)]


if __name__ == "__main__":
    for wanted in sys.argv[1:] or list(chapters()):
        number = chapter(wanted).number
        expected_file(number).write_text(printed(number), "utf-8")
        print(expected_file(number).relative_to(ROOT))
