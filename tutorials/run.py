"""Run chapters as plain Python; pictures open in a window where there is one, and become files where there is none."""

import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

from tutorials.cells import Chapter, chapters

ROOT = Path(__file__).resolve().parents[1]


def run(one: Chapter) -> None:
    """Run a chapter in this process."""
    import matplotlib.pyplot as plt
    from matplotlib import get_backend

    drawn: list[str] = []
    if get_backend().lower() == "agg":
        folder = ROOT / "runs" / "tutorials"
        folder.mkdir(parents=True, exist_ok=True)

        def keep() -> None:
            for number in plt.get_fignums():
                drawn.append(f"ch{one.number}-{len(drawn) + 1}.png")
                plt.figure(number).savefig(folder / drawn[-1], dpi=110)
            plt.close("all")

        plt.show = keep
    start = time.perf_counter()
    runpy.run_path(str(one.path), run_name="__main__")
    pictures = f"; {len(drawn)} pictures in runs/tutorials" if drawn else ""
    print(f"-- chapter {one.number} took {time.perf_counter() - start:.1f} s{pictures}", file=sys.stderr)


def run_all() -> int:
    """Run every chapter, each in a process of its own; the number of those that failed. Prints a line each, and what a failed one said."""
    failed, start = 0, time.perf_counter()
    for one in chapters().values():
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tutorials", "run", one.number],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        failed += done.returncode != 0
        last = re.sub(r"(?s).*\n(?=.)", "", done.stderr.strip())
        said = "" if done.returncode == 0 else f"  FAILED: {last}"
        print(f"{one.number}  {time.perf_counter() - begun:6.1f} s  {one.title}{said}", flush=True)
    print(f"    {time.perf_counter() - start:6.1f} s  in all; failed: {failed}")
    return failed
