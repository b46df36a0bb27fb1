"""The benchmark of the kernels, walked to its end in the emulator; what it reckons, by hand; its PyTorch side, on the CPU.

How long anything takes is not asked here.
"""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from models import doctor
from models.measure import cuda, gpu, judge, kernels
from models.measure.judge import Verdict
from models.measure.kernels import TINY, Case
from models.measure.plan import build, made_up
from nn import cpu
from nn.emulator import cupy as emulated
from nn.gpu import launch, rungs

pytestmark = pytest.mark.usefixtures("compiler")
CASES = {case.operation: case for case in kernels.cases(TINY)}

# ---- the operations ----


def test_every_operation_of_the_library_is_there():
    assert set(cpu.__all__) <= set(CASES)


def test_the_convolutions_are_those_of_corefan():
    """Table 4 at width 64: C -> O at each size."""
    shapes = [case.shape for case in kernels.cases(kernels.PAPER) if case.operation == "conv2d"]
    assert shapes == [
        "64×112×112×1 → 64",
        "64×112×112×64 → 64",
        "64×56×56×64 → 128",
        "64×56×56×128 → 128",
        "64×28×28×128 → 256",
        "64×28×28×256 → 256",
        "64×14×14×256 → 512",
        "64×14×14×512 → 512",
    ]


@pytest.mark.parametrize("operation", ["conv2d", "conv2d, dx", "conv2d, dw", "dense", "dense_backward"])
def test_flops_by_hand(operation):
    """2 for a product and its sum, of the direct algorithm; backward of a dense layer has two such products."""
    convolution = 2 * 9 * (2 * 4 * 4) * 1 * 3
    by_hand = {"dense": 2 * 3 * 20 * 9, "dense_backward": 4 * 3 * 20 * 9}
    assert CASES[operation].flops == by_hand.get(operation, convolution)


def test_no_gradient_meets_a_kink():
    """Where y is so near 0 that rounding decides, nothing comes back."""
    x, gamma, beta, dy = CASES["batch_norm_backward"].make(np.random.default_rng(0))
    y = cpu.batch_norm(x, gamma, beta, *cpu.batch_statistics(x), kernels.EPSILON)
    assert (dy[np.abs(y) < kernels.KINK] == 0).all() and np.count_nonzero(dy) > 0.9 * dy.size


# ---- the judge ----


@pytest.mark.parametrize(
    ("verdict", "right"),
    [
        (Verdict("tf32x3", 1e-6), True),
        (Verdict("tf32x3", 1e-4), False),
        (Verdict("tf32", 1e-4), True),
        (Verdict("tf32", 2e-3), False),
        (Verdict(None, np.nan), False),
        (Verdict(None, 0.0, "two runs differ"), False),
    ],
)
def test_what_is_right(verdict, right):
    assert (verdict.wrong == "") == right


def planted(answer):
    """A case whose GPU side gives answer(x)."""
    return Case("planted", "", None, kernels.normal((3, 4)), lambda room, x: x * 2 if room is cpu else answer(x))


@pytest.mark.parametrize(
    ("answer", "fault", "right"),
    [
        (lambda x: x * 2, "", True),
        (lambda x: x * 2.001, "", False),
        (lambda x: x[:2] * 2, "", False),
        (lambda x: launch.empty(x, x.shape), "not finite, or not all written", False),
    ],
    ids=["right", "wrong", "another shape", "not written"],
)
def test_the_judge(answer, fault, right):
    verdict = judge.judged(planted(answer), "emulated")
    assert (verdict.fault, verdict.wrong == "") == (fault, right)


def test_two_runs_that_differ():
    turns = iter([2, 2.00001])
    verdict = judge.judged(planted(lambda x: x * np.float32(next(turns))), "emulated")
    assert verdict.wrong == "two runs differ"


def test_a_rung_that_cannot_do_it_is_passed_over():
    """And the one that was taken is named."""

    def able(x):
        rungs.choose("gemm", ["naive", "tile"])
        return x * 2

    case = planted(able)._replace(family="gemm")
    assert judge.judged(case, "emulated", "block") is None
    assert judge.judged(case, "emulated", "naive").rung == "naive"
    assert judge.judged(case, "emulated").rung == "tile"
    assert rungs.PREFERRED == {}


def test_faults_at_full_size():
    good = [np.array([1.0, 2.0], np.float32), np.array([3, 1], np.uint8)]
    assert gpu.faults(good, good, None) == gpu.faults(good, good, good) == ""
    assert "finite" in gpu.faults([good[0] * np.nan, good[1]], good, None)
    assert "two runs" in gpu.faults(good, [good[0] + 1, good[1]], None)
    assert "first rung" in gpu.faults(good, good, [good[0] * 1.01, good[1]])
    assert "first rung" in gpu.faults(good, good, [good[0], good[1] + 1])


# ---- the clock ----


class Event:
    """Each call is a ms longer than the one before."""

    now = 0

    def record(self):
        self.at = Event.now

    def synchronize(self):
        pass


@pytest.mark.parametrize(("longest", "calls"), [(1, 23), (100, 6), (1000, 2)])
def test_the_median_of_as_many_calls_as_the_budget_allows(longest, calls):
    """The first calls do not count, except one so slow that it must do."""
    lengths = []

    def call():
        lengths.append(longest + 0.01 * len(lengths))
        Event.now += lengths[-1]

    ms = cuda.median(call, Event, lambda start, end: end.at - start.at)
    assert len(lengths) == calls
    assert ms == pytest.approx(np.median(lengths[3:]) if longest < 1000 else lengths[1])


def test_paces_by_hand():
    case = CASES["conv2d"]._replace(flops=4_000_000_000)
    made = gpu.row(case, "igemm", 2.0, 1e-7, "", 6_000_000)
    assert (made["tflop_s"], made["gb_s"]) == (2.0, 3.0)
    assert gpu.line(made)[2:] == ["igemm", "2.00", "2.00 TFLOP/s", "1.0e-07", ""]
    assert gpu.line(made | {"tflop_s": 0})[4] == "3.00 GB/s"


# ---- the whole ----


def test_a_tiny_run_in_the_emulator(tmp_path, capsys):
    folder = tmp_path / "new"
    assert gpu.main(["--device", "emulated", "--tiny", "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    found = json.loads((folder / gpu.JSON).read_text())
    page = (folder / gpu.PAGE).read_text()
    assert found["command"] == f"python -m models.measure.gpu --device emulated --tiny --out {folder}"
    assert {row["operation"] for row in found["kernels"]} == set(CASES)
    for row in found["kernels"]:
        assert row["ms"] is None and row["fault"] == "" and row["error"] < 1e-3
        assert f"| {row['operation']} " in page and row["operation"] in out
    ways = {row["way"] for row in found["kernels"]}
    for family, ladder in rungs.LADDERS.items():
        assert ways >= set(ladder), family
    assert [row["model"] for row in found["models"]] == ["cfpd", "corefan"]


@pytest.fixture
def one_case(monkeypatch):
    """Only a ReLU, and no models."""
    monkeypatch.setattr(gpu, "cases", lambda scale: [CASES["relu"]])
    monkeypatch.setattr(gpu, "model_rows", lambda *given: [])


@pytest.mark.usefixtures("one_case")
def test_nothing_is_written_unless_told(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "DOCS", tmp_path)
    assert gpu.main(["--device", "emulated", "--tiny"]) == gpu.main(["--device", "emulated"]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("one_case")
def test_a_wrong_kernel_is_told(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "cases", lambda scale: [planted(lambda x: x)])
    assert gpu.main(["--device", "emulated", "--tiny"]) == 1
    assert "WRONG: error above the bar" in capsys.readouterr().out


@pytest.mark.usefixtures("one_case")
def test_a_kernel_that_fails_is_told_and_the_rest_goes_on(monkeypatch, capsys):
    def failing(x):
        raise RuntimeError("out-of-bounds write")

    monkeypatch.setattr(gpu, "cases", lambda scale: [planted(failing), planted(lambda x: x * 2)])
    assert gpu.main(["--device", "emulated", "--tiny"]) == 1
    assert "2 rows, 1 WRONG" in capsys.readouterr().out


def test_a_model_that_fails_is_told(monkeypatch, capsys):
    def failing(*given):
        raise FloatingPointError("conv1.weight is not finite after training")

    monkeypatch.setattr(gpu, "our_step", failing)
    monkeypatch.setattr(gpu, "cases", lambda scale: [])
    assert gpu.main(["--device", "emulated", "--tiny"]) == 1
    assert "2 rows, 2 WRONG" in capsys.readouterr().out


def test_weights_that_are_lost_in_training(monkeypatch):
    model = build("cfpd", 2, 16)
    x, targets = made_up("cfpd", 2, 16, np.random.default_rng(0))
    with pytest.raises(FloatingPointError, match="not finite"):
        gpu.our_step(model, "cfpd", "emulated", x * np.float32(np.nan), targets)


def test_no_row_begins_after_the_time(capsys):
    assert list(gpu.kernel_rows(TINY, "emulated", None, until=0)) == []
    assert "time is up" in capsys.readouterr().out


def test_no_gpu_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    launch.library_of.cache_clear()
    assert gpu.main([]) == 2
    err = capsys.readouterr().err
    assert "CuPy is not installed" in err and err.count("\n") == 1


# ---- PyTorch's side ----


MS = 400.0  # so much that one call is enough


class Parts:
    """What is asked of a GPU's library beside its arrays."""

    class Event(Event):
        pass

    runtime = SimpleNamespace(
        getDeviceProperties=lambda device: {"name": b"NVIDIA Emulation", "multiProcessorCount": 1},
        memGetInfo=lambda: (2**30, 2**31),
        runtimeGetVersion=lambda: 12090,
        driverGetVersion=lambda: 13010,
    )

    @staticmethod
    def Device():
        return SimpleNamespace(id=0, compute_capability="90")

    @staticmethod
    def get_elapsed_time(start, end):
        return MS


@pytest.fixture
def a_gpu(monkeypatch):
    """The emulator under CuPy's name: it takes the way of a real GPU, with a clock that shows MS each time."""
    module = ModuleType("played")
    vars(module).update({name: getattr(emulated, name) for name in emulated.__all__}, cuda=Parts, __version__="14.2.0")
    module.get_default_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: None)
    for user in (launch, judge, cuda):
        monkeypatch.setattr(user, "library_of", lambda device: module)


@pytest.fixture
def theirs(monkeypatch, one_torch_thread):
    """With the CPU in the GPU's place: the same calls, on tensors that stay where they are."""
    torch = pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    from models.measure import gpu_theirs

    yield gpu_theirs
    torch.backends.cudnn.benchmark = False


@pytest.mark.usefixtures("a_gpu")
def test_a_run_as_on_a_gpu(theirs, monkeypatch, tmp_path):
    """Timed, with PyTorch beside it, on a page."""
    some = ["conv2d", "dense", "adam_step"]
    monkeypatch.setattr(gpu, "cases", lambda scale: [case for case in kernels.cases(scale) if case.operation in some])
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(theirs, "milliseconds", lambda call: [call(), 4.0][1])
    assert gpu.main(["--tiny", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / gpu.JSON).read_text())
    assert found["machine"]["GPU"] == "NVIDIA Emulation, compute capability 9.0, 1 SMs" and found["machine"]["CuPy"] == "14.2.0"
    dense = {row["way"]: row for row in found["kernels"] if row["operation"] == "dense"}
    for row in dense.values():
        assert row["gb_s"] == pytest.approx(4 * (3 * 20 + 9 * 20 + 9 + 3 * 9) / row["ms"] / 1e6)
    assert list(dense) == ["naive", "tile", "block", "PyTorch fp32", "PyTorch tf32"]
    assert dense["block"]["tflop_s"] == pytest.approx(2 * 3 * 20 * 9 / MS / 1e9)
    adam = {row["way"]: row for row in found["kernels"] if row["operation"] == "adam_step"}
    assert adam["–"]["gb_s"] == pytest.approx(7 * 4 * 300 / MS / 1e6) and "PyTorch" in adam
    assert len([row for row in found["kernels"] if row["operation"] == "conv2d" and "PyTorch" in row["way"]]) == 8
    assert all(row["ms"] for row in found["kernels"]) and len(found["models"]) == 10
    page = (tmp_path / gpu.PAGE).read_text()
    assert "NVIDIA Emulation" in page and "| PyTorch tf32 " in page and "| corefan " in page


@pytest.mark.usefixtures("a_gpu")
def test_the_doctor_as_on_a_gpu(monkeypatch, capsys):
    relu = [case for case in kernels.cases(TINY) if case.operation == "relu"]
    monkeypatch.setattr(doctor, "cases", lambda scale: relu)
    assert doctor.run() == 0
    out = capsys.readouterr().out
    assert "NVIDIA Emulation" in out and "  400.000  right\n\nall right" in out


@pytest.mark.usefixtures("a_gpu")
def test_memory_that_a_kernel_leaves_is_seen_on_a_gpu():
    """There `empty` holds what was there before; while a kernel is judged it holds NaN."""
    library = launch.library_of("cuda")
    library.empty = emulated.zeros
    with judge.poisoned("cuda"):
        assert np.isnan(library.empty((2, 3))).all() and (library.empty((2,), np.uint8) == 1).all()
    assert library.empty is emulated.zeros


def ours_of(tensors):
    """Our order of axes, as NumPy arrays."""
    tensors = tensors if isinstance(tensors, tuple) else (tensors,)
    return [(t.permute(0, 2, 3, 1) if t.ndim == 4 else t).detach().numpy() for t in tensors if t is not None]


SAME = ["conv2d", "conv2d, dx", "conv2d, dw", "dense", "dense_backward", "maxpool2d_backward", "batch_norm", "batch_norm_backward"]
SAME += ["sum_rows", "sum_all", "relu", "sigmoid", "tanh"]


@pytest.mark.parametrize("operation", SAME)
def test_pytorch_is_asked_for_the_same(theirs, operation):
    case = CASES[operation]
    expected = judge.truth(case)
    sides = theirs.sides(operation, judge.sent(case, "cpu"))
    assert sides
    for name, call in sides.items():
        found = ours_of(call())
        assert len(found) == len(expected), name
        assert max(map(judge.relative, found, expected)) < 1e-5, name


@pytest.mark.parametrize("operation", ["maxpool2d", "batch_statistics", "dropout", "lstm", "lstm_backward", "adam_step"])
def test_pytorch_does_something_like_it(theirs, operation):
    """Of another order, drawn anew, without u or in place: it must run."""
    for call in theirs.sides(operation, judge.sent(CASES[operation], "cpu")).values():
        call()


def test_pytorch_in_each_format_and_precision(theirs):
    names = list(theirs.sides("conv2d", judge.sent(CASES["conv2d"], "cpu")))
    assert names == [f"PyTorch {precision} {format}" for format in ("channels_first", "channels_last") for precision in ("fp32", "tf32")]
    assert theirs.sides("landmark_error", judge.sent(CASES["landmark_error"], "cpu")) == {}
