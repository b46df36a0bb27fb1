"""The long run, by hand: `python -m tests.fuzz.long --target pts --inputs 1000000` from the folder of the checkout.

Guided by coverage where atheris is installed (`pip install -e ".[fuzz]"`; it has wheels for some versions of Python only), else by chance
alone. It stops at the first input that fails its target, keeps it as failed-TARGET and shows what happened; one that takes more than
60 seconds ends the run too.
"""

import argparse
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

SECONDS, LONGEST = 60, 65_536  # for one input; its bytes


def main() -> None:
    """Read the options, import under atheris where it is there, and go."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.long", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", required=True)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--by-chance", action="store_true", help="do without atheris")
    options = parser.parse_args()
    atheris = None if options.by_chance else found()
    if atheris:
        with atheris.instrument_imports(include=["models", "nn", "tests"]):
            from . import seeds, targets
    else:
        from . import seeds, targets
    if options.target not in targets.TARGETS:
        parser.error(f"--target {options.target}: choose one of {', '.join(targets.TARGETS)}")
    starts = seeds.SEEDS[options.target]()
    count = Counted(options.target, targets.TARGETS[options.target], options.inputs, "atheris" if atheris else "edits by chance")
    if atheris:
        guided(atheris, count, starts, options.seed)
    else:
        by_chance(count, starts, options.seed)


def found() -> ModuleType | None:
    """Atheris, where it is installed."""
    try:
        import atheris
    except ImportError:
        return None
    return atheris


class Counted:
    """A target that counts its inputs, says how far it is, and keeps the one that fails."""

    def __init__(self, name: str, target: Callable[[bytes], bool], inputs: int, by: str):
        self.name, self.target, self.inputs, self.by = name, target, inputs, by
        self.done = self.read = 0
        self.start = time.monotonic()

    def __call__(self, data: bytes) -> None:
        """One input."""
        signal.alarm(SECONDS)  # ends the process; libFuzzer takes it for its own, and shows where it is
        try:
            self.read += self.target(data)
        except BaseException:
            Path(f"failed-{self.name}").write_bytes(data)
            print(f"{self.name}: input {self.done + 1} failed, kept as failed-{self.name}: {data[:80]!r}", flush=True)
            raise
        self.done += 1
        if self.done % max(1, self.inputs // 10) == 0 or self.done == self.inputs:
            seconds = time.monotonic() - self.start
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{self.name}: {self.done:,} inputs by {self.by} in {seconds:.0f} s, {self.done / seconds:.0f} a second; "
                f"{self.read:,} held something, the others were refused; {memory:.0f} MB at most",
                flush=True,
            )


def guided(atheris: ModuleType, count: Counted, starts: list[bytes], seed: int) -> None:
    """libFuzzer changes what it has, and keeps what reaches new lines."""
    with tempfile.TemporaryDirectory() as corpus:
        for k, data in enumerate(starts):
            Path(corpus, str(k)).write_bytes(data)
        limits = [
            f"-runs={count.inputs}",
            f"-seed={seed}",
            f"-max_len={LONGEST}",
            "-rss_limit_mb=4096",
            f"-timeout={SECONDS - 1}",
            f"-artifact_prefix={corpus}/",
        ]
        atheris.Setup([sys.argv[0], *limits, corpus], count)
        atheris.Fuzz()  # ends the process


def by_chance(count: Counted, starts: list[bytes], seed: int) -> None:
    """Edits by chance of valid files."""
    from .damage import damaged, drawn

    rng = Random(seed)
    for _ in range(count.inputs):
        count(damaged(rng.choice(starts), drawn(rng)))


if __name__ == "__main__":
    main()
