"""`faceseed doctor`: it names what is missing and how to get it, it holds every operation against NumPy, and it finds a wrong kernel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from models import doctor
from models.measure import cuda, kernels
from nn import cpu
from nn.gpu import launch, trouble

SCRIPT = Path(__file__).parents[1] / "gpu_check.sh"
needs_compiler = pytest.mark.usefixtures("compiler")


@pytest.fixture
def no_gpu(monkeypatch):
    """As on a machine without CuPy."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    launch.library_of.cache_clear()


@pytest.fixture
def few(monkeypatch):
    """Only the two operations of a ReLU."""
    relu = [case for case in kernels.cases(kernels.TINY) if case.operation.startswith("relu")]
    monkeypatch.setattr(doctor, "cases", lambda scale: relu)


@pytest.fixture
def plant(monkeypatch):
    """plant(file, old, new): a bug in a kernel."""

    def planted(file, old, new):
        text, read = launch.source(file), launch.source
        assert text.count(old) == 1
        monkeypatch.setattr(launch, "source", lambda name: text.replace(old, new) if name == file else read(name))
        launch.kernel.cache_clear()

    yield planted
    launch.kernel.cache_clear()


def lines(out):
    """{operation: the rest of its line} of the table."""
    rows = out.partition("operation ")[2].splitlines()[1:]
    return {row[:26].strip(): row[26:] for row in rows[: rows.index("")]}


@needs_compiler
def test_every_operation_is_right_in_the_emulator(faceseed):
    code, out, err = faceseed("doctor", "--device", "emulated")
    assert (code, err) == (0, "")
    assert out.endswith("\nall right\n")
    rows = lines(out)
    assert set(cpu.__all__) <= set(rows)
    assert all(row.endswith("  right") for row in rows.values())
    taken = {name: row.split()[-4] for name, row in rows.items()}
    assert [taken[name] for name in ("dense", "maxpool2d", "sum_rows", "lstm", "relu")] == ["block", "vector", "shuffle", "sequence", "–"]
    for word in ("Python", "NumPy", "g++", "CuPy"):
        assert word in out


@needs_compiler
@pytest.mark.usefixtures("no_gpu", "few")
def test_without_cupy(faceseed):
    """What to install, then the emulator."""
    code, out, err = faceseed("doctor")
    assert (code, err) == (0, "")
    assert f"no GPU: {trouble.NO_CUPY}\n" in out
    assert "in the emulator" in out and set(lines(out)) == {"relu", "relu_backward"}


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_was_asked_for(faceseed):
    code, _, err = faceseed("doctor", "--device", "cuda")
    assert (code, err) == (2, f"faceseed: no GPU: {trouble.NO_CUPY}\n")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_compiler(faceseed, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    code, out, _ = faceseed("doctor")
    assert code == 0 and "No kernel was run" in out and "apt-get install g++" in out
    code, _, err = faceseed("doctor", "--device", "emulated")
    assert code == 2 and "apt-get install g++" in err and err.count("\n") == 1


@needs_compiler
@pytest.mark.usefixtures("few")
def test_a_wrong_kernel(faceseed, plant):
    plant("activation.cu", "y[k] > 0 ? dy[k] : 0", "y[k] > 0.5f ? dy[k] : 0")
    code, out, _ = faceseed("doctor", "--device", "emulated")
    assert code == 1
    assert lines(out)["relu"].endswith("right") and "WRONG" in lines(out)["relu_backward"]
    assert out.endswith("1 WRONG: relu_backward\n")


@needs_compiler
@pytest.mark.usefixtures("few")
def test_a_kernel_that_goes_beyond_an_array(faceseed, plant):
    """The emulator's words, and no traceback."""
    plant("activation.cu", "if (k >= n) return;", "")
    code, out, err = faceseed("doctor", "--device", "emulated")
    assert (code, err) == (1, "") and "out-of-bounds" in out and "Traceback" not in out
    assert out.count("WRONG") == 3


def fake_cupy(**changes):
    """What the doctor asks CuPy for."""
    runtime = SimpleNamespace(
        getDeviceProperties=lambda device: {"name": b"NVIDIA H200", "multiProcessorCount": 132},
        memGetInfo=lambda: (100 * 2**30, 140 * 2**30),
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13010,
    )
    device = SimpleNamespace(id=0, compute_capability="90")
    return SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime, Device=lambda: device))


def test_what_it_says_of_a_gpu(faceseed, monkeypatch):
    monkeypatch.setattr(cuda, "library_of", lambda device: fake_cupy())
    seen = []
    monkeypatch.setattr(doctor, "table", lambda *given: seen.append(given) or 0)
    code, out, _ = faceseed("doctor")
    assert code == 0 and seen == [("cuda", kernels.SMALL)]
    assert "NVIDIA H200, compute capability 9.0, 132 SMs" in out and "140.0 GiB, 100.0 free" in out
    assert "runtime 13.0, driver up to 13.1" in out


def test_a_gpu_that_fails_in_an_unknown_way(faceseed, monkeypatch):
    def failing():
        raise RuntimeError("the moon\nis full")

    monkeypatch.setattr(doctor, "graphics", failing)
    code, _, err = faceseed("doctor", "--device", "cuda")
    assert (code, err) == (2, "faceseed: no GPU: RuntimeError: the moon is full\n")


# ---- tests/gpu_check.sh: its way through the stages, with made-up tools ----

TOOLS = {
    "nvidia-smi": "exit 0",
    "compute-sanitizer": 'shift 4; exec "$@"',  # --tool NAME --error-exitcode 1
    "python": 'case "$*" in *"-m pytest"*) echo "7 passed" ;; esac',
}


@pytest.fixture
def gpu_check(tmp_path):
    """gpu_check(python="exit 1"): exit code and output of the script, with these tools first in the path."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("not run: tests/gpu_check.sh needs bash")

    def run(**changed):
        for name, body in {**TOOLS, **{name.replace("_", "-"): body for name, body in changed.items()}}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": str(tmp_path / "python")}
        done = subprocess.run([bash, str(SCRIPT), str(tmp_path)], env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout

    return run


def test_gpu_check_without_a_gpu(gpu_check):
    code, out = gpu_check(nvidia_smi="exit 9")
    assert code == 3 and "no GPU here" in out


def test_gpu_check_with_a_gpu_that_cupy_cannot_use(gpu_check):
    code, out = gpu_check(python='case "$*" in *Device*) exit 1 ;; esac')
    assert code == 3 and "no GPU that CuPy can use" in out


def test_gpu_check_where_a_package_is_missing(gpu_check):
    code, out = gpu_check(python="echo pytest, hypothesis")
    assert code == 2 and "missing, install with pip: pytest, hypothesis" in out


def test_gpu_check_where_all_is_right(gpu_check):
    code, out = gpu_check()
    assert code == 0 and out.endswith("all right\n")
    stages = [
        "kernel tests",
        "faceseed doctor",
        *(f"compute-sanitizer {tool}" for tool in ("memcheck", "racecheck", "synccheck")),
        "benchmark",
    ]
    assert [line.removeprefix("== ") for line in out.splitlines() if line.startswith("== ") and "exit code" not in line] == stages


@pytest.mark.parametrize(
    ("tools", "wrong"),
    [
        ({"python": 'case "$*" in *"-m pytest"*) exit 1 ;; esac'}, ["kernel tests (exit code 1)"]),
        ({"python": 'case "$*" in *"-m pytest"*) echo "SKIPPED [1] not run: no GPU here" ;; esac'}, ["kernel tests (exit code 1)"]),
        ({"python": 'case "$*" in *measure.gpu*) exit 1 ;; esac'}, ["benchmark (exit code 1)"]),
        ({"compute_sanitizer": 'case "$2" in racecheck) exit 1 ;; esac'}, ["compute-sanitizer racecheck (exit code 1)"]),
        ({"compute_sanitizer": "echo Device not supported; exit 1"}, []),
    ],
    ids=["failing tests", "skipped tests", "failing benchmark", "a race", "no sanitizer for this machine"],
)
def test_gpu_check_names_what_is_wrong(gpu_check, tools, wrong):
    code, out = gpu_check(**tools)
    assert code == (1 if wrong else 0)
    assert [line.removeprefix("WRONG: ") for line in out.splitlines() if line.startswith("WRONG: ")] == wrong
