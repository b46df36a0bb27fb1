"""Short runs of tests/crash/kill.py and damage.py, and planted mistakes that they must find; the long ones are by hand."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from crash import damage, kill

from nn import checkpoint

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def python(*words, **options):
    """Another Python with nothing of pytest in it: its exit code and output."""
    paths = os.pathsep.join([str(HERE.parent.parent), str(HERE.parent)])
    environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, env=environment, check=False, **options)
    return done.returncode, done.stdout + done.stderr


# ---- killed, struck ----


def test_killed_at_random_moments():
    code, out = python(HERE / "kill.py", "--kills", "6", "--seed", os.getpid())
    assert code == 0 and "6 kills: " in out, out


@pytest.mark.parametrize("what", ["kill", "fail"])
def test_struck_at_calls(what):
    """Every seventh; by hand every one."""
    code, out = python(HERE / "kill.py", "--calls", what, "--step", "7")
    assert code == 0 and "calls 1 to" in out, out


@pytest.mark.parametrize(
    ("what", "mistake", "found"),
    [
        ("kill", "Trainer.progress = lambda self, old=Trainer.progress: old(self) | {'so_far': {}}", "last.npz: optimizer/"),
        ("kill", "folder.clear = lambda *_: None", "afterwards exit code 2"),
        ("fail", "pathlib.Path.unlink = lambda *_, **__: None", ".unfinished is left"),
    ],
    ids=["the epoch begins anew", "a killed start is in the way", "half a file stays"],
)
def test_the_harness_finds_planted_mistakes(what, mistake, found):
    lines = ["import pathlib", "from crash import kill", "from models import folder", "from nn.training import Trainer", mistake]
    code, out = python("-c", "\n".join([*lines, f"raise SystemExit(kill.main(['--calls', '{what}', '--step', '6']))"]))
    assert code == 1 and found in out, out


# ---- what differs ----


@pytest.fixture
def pair(tmp_path):
    """Two run folders alike."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        for file in ("best.npz", "last.npz", "previous.npz"):
            checkpoint.save(tmp_path / name / file, {"w": np.arange(3.0), "n": np.array([np.nan])}, {"epoch": 2})
        (tmp_path / name / "metrics.jsonl").write_text(f'{{"epoch": 1, "loss": 0.5, "seconds": {len(name)}}}\n')
        (tmp_path / name / "loss.png").write_bytes(b"picture")
    return tmp_path / "one", tmp_path / "other"


CHANGES = {
    "best.npz: w": lambda run: checkpoint.save(run / "best.npz", {"w": np.arange(3.0) + 1e-16 * 9, "n": np.array([np.nan])}, {"epoch": 2}),
    "last.npz: n": lambda run: checkpoint.save(run / "last.npz", {"w": np.arange(3.0)}, {"epoch": 2}),
    "last.npz: record's epoch": lambda run: checkpoint.save(run / "last.npz", {"w": np.arange(3.0), "n": np.array([np.nan])}, {"epoch": 1}),
    "metrics.jsonl": lambda run: (run / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.25, "seconds": 3}\n'),
    "previous.npz: not a whole checkpoint": lambda run: (run / "previous.npz").write_bytes(b""),
    "loss.png": lambda run: (run / "loss.png").write_bytes(b"half"),
    "only in one: last.npz.unfinished": lambda run: (run / "last.npz.unfinished").touch(),
    "other is not there": shutil.rmtree,
}


@pytest.mark.parametrize("difference", CHANGES)
def test_differences(difference, pair):
    one, other = pair
    assert kill.differences(one, other) == []
    CHANGES[difference](other)
    (found,) = kill.differences(one, other)
    assert difference in found


# ---- damaged ----


def test_damaged_copies(capsys):
    assert damage.main(["--copies", "120"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("way", damage.WAYS)
def test_each_way_does_damage(way, tmp_path):
    whole = damage.written(tmp_path)
    assert any(way(whole, np.random.default_rng(seed)) != whole for seed in range(3))


def test_the_judge_finds_planted_mistakes(monkeypatch, capsys, tmp_path):
    """Without the checksum edited records are read; an error of another class is no refusal."""
    monkeypatch.setattr(checkpoint, "digest", lambda *_: None)
    assert damage.main(["--copies", "60"]) == 1
    assert "read as something else" in capsys.readouterr().out
    monkeypatch.setattr(checkpoint, "load", lambda path: 1 / 0)
    assert damage.judge(b"", tmp_path, None).startswith("wrong: ZeroDivisionError escaped")


# ---- a disk that is full ----

# Its checkpoint takes 135 kB, so that the third file of it does not fit.
WIDE = ["sine", "--preset", "tiny", "--epochs", "2", "--batch", "500", "--set", "net.units=50", "--checkpoint", "0"]


def faceseed(*words, **options):
    """The command in a process of its own."""
    return python("-m", "models.cli", *words, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run without a fault."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert faceseed("train", *WIDE, "--out", folder)[0] == 0
    return folder


def one_line(out, run):
    """What the command says of a full disk, among its other lines."""
    lines = [line for line in out.splitlines() if line.startswith("faceseed: ")]
    assert len(lines) == 1 and str(run) in lines[0] and "Traceback" not in out, out
    return lines[0]


def test_a_limit_on_the_size_of_files(whole, tmp_path):
    """No file may grow beyond 100 kB: nothing is begun. Then only the last epoch's metrics and pictures come too late."""

    def limit(size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    code, out = faceseed("train", *WIDE, "--out", tmp_path / "run", preexec_fn=limit(100_000))
    assert code == 2 and "File too large" in one_line(out, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    assert faceseed("train", *WIDE, "--out", tmp_path / "run")[0] == 0
    assert kill.differences(whole, tmp_path / "run") == []


def test_a_full_disk(whole, tmp_path):
    disk, run = tmp_path / "disk", tmp_path / "disk" / "run"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    if shutil.which("mount") is None or subprocess.run([*mount, "size=300k", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        code, out = faceseed("train", *WIDE, "--out", run)
        line = one_line(out, run)
        assert code == 2 and "No space left on device" in line
        assert "the newest whole checkpoint stands in epoch 1, step 1" in line and "--resume" in line
        assert not list(disk.rglob("*.unfinished"))
        assert faceseed("train", "sine", "--resume", "--out", run)[0] == 2  # there is still no room
        subprocess.run([*mount, "remount,size=9m", "tmpfs", disk], check=True)
        assert faceseed("train", "sine", "--resume", "--out", run, "--checkpoint", "0")[0] == 0
        assert kill.differences(whole, run) == []
    finally:
        subprocess.run(["umount", disk], check=True)
