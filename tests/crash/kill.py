"""Trainings that are killed at random moments, or at the n-th thing they do to the disk, and must end as if nothing had happened.

    python tests/crash/kill.py --kills 100               SIGKILL at 100 random moments, of COREFAN on a few drawn faces
    python tests/crash/kill.py --calls kill              SIGKILL before the n-th call that touches the disk, for every n, of a sine
    python tests/crash/kill.py --calls fail              that call fails instead: disk full, input/output error, read-only, no permission

After each the same command goes on, with --resume where the run folder is there. Exit code 1 where anything differs from the unbroken run.
Every training is forked from this process, which has everything imported already.
"""

import argparse
import builtins
import errno
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import matplotlib.figure  # noqa: F401  what a training imports, imported once
import numpy as np

from models import cli, runs, tasks  # noqa: F401
from models.faces import opencv, synthetic  # noqa: F401
from nn import InputError, checkpoint

COREFAN = ["corefan", "--preset", "tiny", "--epochs", "3", "--batch", "3", "--set", "drawn=8", "--set", "optim.average=0.9"]
SINE = ["sine", "--preset", "tiny", "--epochs", "2", "--batch", "500", "--set", "net.units=2"]
MEMORY = "/dev/shm"  # a killed process loses nothing that it wrote, so no disk need be waited for
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]


# ---- a training in a process of its own ----


def start(model, out, log, prepare=lambda: None):
    """Fork a training into the folder `out`: its process id. It goes on where the folder exists, as its user would."""
    if pid := os.fork():
        return pid
    code = 70
    try:
        sys.stdout.flush()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{log}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        prepare()
        words = [model[0], "--resume"] if out.exists() else model
        code = cli.main(["train", *words, "--checkpoint", "0", "--out", str(out)])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def code_of(pid):
    """Exit code of a process that has ended; that of a killed one is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def unbroken(model, folder):
    """A run without any fault, and the seconds it took."""
    begin = time.perf_counter()
    if code_of(start(model, folder / "whole", folder / "whole.log")):
        raise SystemExit((folder / "whole.log.err").read_text())
    return folder / "whole", time.perf_counter() - begin


# ---- what must be the same ----


def differences(one, other):
    """What differs between two run folders, but for times: names, arrays and records of checkpoints, metrics, pictures, settings."""
    if not other.exists():
        return [f"{other.name} is not there"]
    found = [f"only in one: {name}" for name in sorted({path.name for path in one.iterdir()} ^ {path.name for path in other.iterdir()})]
    for name in ("best.npz", "last.npz"):
        try:
            (arrays, record), (others, told) = (checkpoint.load(folder / name) for folder in (one, other))
            checkpoint.load(other / "previous.npz")
        except InputError as error:
            return [*found, str(error)]
        found += [f"{name}: {key}" for key in sorted(arrays.keys() | others.keys()) if not equal(arrays.get(key), others.get(key))]
        found += [f"{name}: record's {key}" for key in sorted(record.keys() | told.keys()) if record.get(key) != told.get(key)]
    if metrics(one) != metrics(other):
        found.append("metrics.jsonl")
    for path in [*sorted(one.glob("*.png")), *sorted(one.glob("*.json"))]:
        if (other / path.name).exists() and path.read_bytes() != (other / path.name).read_bytes():
            found.append(path.name)
    return found


def equal(one, other):
    """The same bits."""
    return (
        one is not None and other is not None and one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


def metrics(folder):
    """The lines of metrics.jsonl, without times."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def place(folder):
    """What a kill has left, in words."""
    if not folder.exists():
        return "while it began" if checkpoint.beside(folder).exists() else "before the run folder"
    if any(folder.glob("*.unfinished")):
        return "while a file was written"
    record = checkpoint.load(folder / "last.npz")[1]
    if record["epoch"] == record["settings"]["epochs"]:
        return "after the last epoch"
    return "within an epoch" if record["so_far"]["losses"] else "between epochs"


# ---- at random moments ----


def kill_at_random(kills, seed, folder):
    """`kills` times SIGKILL, at moments spread over the whole of a run, pictures included. Returns what went wrong."""
    rng = np.random.default_rng(seed)
    whole, seconds = unbroken(COREFAN, folder)
    wrong, places, finished, killed = [], Counter(), 0, 0
    while killed < kills:
        run, left = folder / f"run{finished}", ""
        while True:
            pid = start(COREFAN, run, folder / "log")
            if killed < kills and left != "after the last epoch":  # where each run is killed but once
                time.sleep(rng.uniform(0, seconds))
                os.kill(pid, signal.SIGKILL)
            code = code_of(pid)
            if code != -signal.SIGKILL:
                break
            killed += 1
            left = place(run)
            places[left] += 1
        finished += 1
        if code:
            wrong.append(f"{run.name}: exit code {code}: {(folder / 'log.err').read_text()}")
        else:
            wrong += [f"{run.name}: {difference}" for difference in differences(whole, run)]
            wrong += [f"{path.name} is left" for path in folder.rglob("*.unfinished")]
        shutil.rmtree(run, ignore_errors=True)
    print(f"{killed} kills: {', '.join(f'{count} {name}' for name, count in places.most_common())}")
    print(f"{finished} runs came to their end, each of {seconds:.1f} s without a kill")
    return wrong


# ---- at the n-th call ----


class Calls:
    """Counts what a process does to the disk; at the n-th time, it is killed, or told that it cannot be done."""

    def __init__(self, nth, fail, writes):
        self.nth, self.fail, self.count, self.writes = nth, fail, 0, writes

    def __call__(self):
        self.count += 1
        if self.count == self.nth:
            print("struck", flush=True)
            if not self.fail:
                os.kill(os.getpid(), signal.SIGKILL)
            number = ERRORS[self.nth % len(ERRORS)]
            raise OSError(number, os.strerror(number))

    def install(self):
        """Stand in for os.fsync, os.replace, os.link, os.rename, os.mkdir, and, where writes count too, for what open() gives."""
        for name in ("fsync", "replace", "link", "rename", "mkdir"):
            setattr(os, name, self.before(getattr(os, name)))
        if self.writes:
            builtins.open = self.opened(builtins.open)

    def before(self, function):
        def call(*arguments, **options):
            self()
            return function(*arguments, **options)

        return call

    def opened(self, real):
        """open(), of whose files each write counts."""
        calls = self

        class Raw(io.FileIO):
            def write(self, data):
                calls()
                return super().write(data)

        def call(file, mode="r", *arguments, **options):
            if not set(mode) & set("wax+") or isinstance(file, int):
                return real(file, mode, *arguments, **options)
            raw = Raw(file, mode.replace("b", "").replace("t", ""))
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered)

        return call


def strike_every_call(fail, writes, folder, step=1):
    """Strike the first call, the second, ... until a run has no further one. Returns what went wrong."""
    whole, _ = unbroken(SINE, folder)
    wrong, codes, nth = [], Counter(), 1
    while True:
        run = folder / f"run{nth}"
        code = code_of(start(SINE, run, folder / "log", Calls(nth, fail, writes).install))
        out, err = ((folder / f"log.{name}").read_text() for name in ("out", "err"))
        if "struck" not in out:
            break
        codes[code] += 1
        if fail:
            wrong += [f"call {nth}: exit code {code}, {err!r}"] if not clear(code, err, run) else []
            wrong += [f"call {nth}: {path.name} is left" for path in folder.rglob("*.unfinished")]
        if code or not fail:
            code = code_of(start(SINE, run, folder / "log"))
            wrong += [f"call {nth}: afterwards exit code {code}: {(folder / 'log.err').read_text()}"] if code else []
        wrong += [f"call {nth}: {difference}" for difference in differences(whole, run)]
        wrong += [f"call {nth}: {path.name} is left" for path in folder.rglob("*.unfinished")]
        shutil.rmtree(run, ignore_errors=True)
        nth += step
    what = "failed" if fail else "killed"
    print(f"calls 1 to {nth - step}, one in {step}, {what}: {', '.join(f'{n} with exit code {code}' for code, n in sorted(codes.items()))}")
    return wrong


def clear(code, err, run):
    """Whether a failed call ended in one line that names a file, or did no harm."""
    return (code, err) == (0, "") or (code == 2 and err.startswith("faceseed: ") and err.count("\n") == 1 and str(run) in err)


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--calls", choices=["kill", "fail"])
    parser.add_argument("--writes", action="store_true", help="single writes into files are calls too")
    parser.add_argument("--step", type=int, default=1, help="only one call in so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default=MEMORY if Path(MEMORY).is_dir() else None, help="where runs are made; in memory if not given")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        if chosen.calls:
            wrong = strike_every_call(chosen.calls == "fail", chosen.writes, Path(folder), chosen.step)
        else:
            wrong = kill_at_random(chosen.kills, chosen.seed, Path(folder))
    print("\n".join(wrong) or "every resumed run is the unbroken one, bit for bit")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
