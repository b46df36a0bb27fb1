"""What `faceseed bench` reckons and how it measures, each by hand. How long anything takes is not asked here."""

import gc
import json

import numpy as np
import pytest

import nn
from models.measure import clock, ladder, memory
from models.measure.clock import Side
from models.measure.plan import Plan, build, is_block
from models.measure.roofline import Cost, Machine, adam_cost, costs
from nn import InputError
from nn.cpu import conv
from nn.reference.conv import products

needs_proc = pytest.mark.skipif(not memory.STATUS.exists(), reason="not run: reads Linux's /proc")

# ---- the roofline ----


def test_the_two_limits():
    machine = Machine(gemm_gflops=100, copy_gb_s=10, facts={})
    assert machine.limit(Cost(flops=10**9, bytes=10**6)) == pytest.approx(10)  # ms
    assert machine.limit(Cost(flops=10**6, bytes=10**9)) == pytest.approx(100)


N, H, C, O = 16, 112, 64, 128
X, Y, W = N * H * H * C, N * H * H * O, O * 9 * C  # numbers in x, y and the filters


@pytest.mark.parametrize(
    ("make", "inputs", "output", "first", "flops", "floats"),
    [
        (
            lambda rng: nn.Conv2D(C, O, 3, bias=False, rng=rng),
            [(N, H, H, C)],
            (N, H, H, O),
            False,
            (18 * C * Y, 36 * C * Y),
            (X + W + Y, Y + X + W + W + X),
        ),
        (
            lambda rng: nn.Conv2D(1, O, 3, bias=False, rng=rng),
            [(N, H, H, 1)],
            (N, H, H, O),
            True,
            (18 * Y, 18 * Y),
            (X // C + 9 * O + Y, Y + X // C + 9 * O),
        ),
        (lambda rng: nn.BatchNorm(C), [(N, H, H, C)], (N, H, H, C), False, (6 * X, 8 * X), (2 * X + 2 * C, 3 * X + 4 * C)),
        (lambda rng: nn.ReLU(), [(N, H, H, C)], (N, H, H, C), False, (X, X), (2 * X, 3 * X)),
        (lambda rng: nn.MaxPool2D(2), [(N, H, H, C)], (N, H // 2, H // 2, C), False, (X, X), (X + X // 4, X // 4 + X)),
        (lambda rng: nn.Dropout(0.5, rng=rng), [(16, 300)], (16, 300), False, (4800, 4800), (9600, 9600)),
        (
            lambda rng: nn.Dense(300, 50, rng=rng),
            [(16, 300)],
            (16, 50),
            False,
            (480000, 960000),
            (4800 + 15050 + 800, 800 + 4800 + 2 * 15050 + 4800),
        ),
        # two parts, of 2 and 3 steps: 5 recurrent products (28 x 7), 2 with the seed (28 x 3), 2 with the features (7 x 4)
        (
            lambda rng: nn.SeededLSTM(3, 7, 4, (2, 3), rng=rng),
            [(6, 2, 3), (6, 4)],
            (6, 5, 7),
            False,
            (2 * 6 * (5 * 196 + 2 * 84 + 2 * 28), 4 * 6 * (5 * 196 + 2 * 84 + 2 * 28)),
            (60 + 378 + 210, 210 + 60 + 378 + 378 + 60),
        ),
        (
            lambda rng: build("cfpd", C, 112).conv3,
            [(N, H, H, C)],
            (N, H, H, O),
            False,
            (18 * C * Y + 7 * Y, 36 * C * Y + 9 * Y),
            (X + W + 2 * O + Y, Y + X + Y + 2 * (W + 2 * O) + X),
        ),
    ],
    ids=["conv", "first conv", "batch norm", "relu", "pool", "dropout", "dense", "lstm", "block"],
)
def test_costs_by_hand(make, inputs, output, first, flops, floats, rng):
    """Least traffic in float32: forward reads x, θ and writes y; backward reads dy and what it needs of x, y, θ, and writes dx, dθ."""
    forward, backward = costs(make(rng), inputs, output, first).values()
    assert (forward.flops, backward.flops) == flops
    assert (forward.bytes, backward.bytes) == tuple(4 * count for count in floats)


def test_costs_in_figures(rng):
    """The widest convolution of the tables once in plain numbers, and Adam."""
    forward, backward = costs(nn.Conv2D(64, 64, 3, bias=False, rng=rng), [(16, 112, 112, 64)], (16, 112, 112, 64)).values()
    assert (forward.flops, forward.bytes) == (14_797_504_512, 102_907_904)
    assert backward.flops == 29_595_009_024
    assert adam_cost(1000) == Cost(flops=12000, bytes=28000)


def test_blocks_are_known_by_their_children(rng):
    assert is_block(build("cfpd", 2, 32).conv1)
    assert is_block(nn.Sequential(conv=nn.Conv2D(1, 2, bias=False, rng=rng), norm=nn.BatchNorm(2), relu=nn.ReLU()))
    assert not is_block(build("cfpd", 2, 32).fc1)


# ---- the ladder ----


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_products_of_the_loops(size):
    """As many as the loops make."""
    walked = products((1, size, size, 2), (1, size, size, 2), (2, 3, 3, 2), *((ladder.STRIDE, ladder.PADDING)))
    assert sum(1 for _ in walked) == ladder.products(size, channels=2)


def test_every_rung_gives_what_the_loops_give(rng):
    x, w, dy = (rng.standard_normal(shape, np.float32) for shape in ((1, 5, 5, 2), (2, 3, 3, 2), (1, 5, 5, 2)))
    y = nn.reference.conv2d(x, w, None, ladder.STRIDE, ladder.PADDING)
    dx, dw, _ = nn.reference.conv2d_backward(dy, x, w, ladder.STRIDE, ladder.PADDING)
    for rung in conv.RUNGS:
        stages = ladder.rung_side(rung, x, w, dy).stages
        for ours, expected in zip((stages["forward"](), *stages["backward"]()), (y, dx, dw), strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-4)


# ---- the clock ----


def test_sides_take_turns_after_a_call_that_does_not_count():
    calls = []

    def side(name):
        return Side(
            {"forward": lambda: calls.append(f"{name} forward {gc.isenabled()}"), "backward": lambda: calls.append(f"{name} backward")},
            lambda: calls.append(f"{name} before"),
        )

    times = clock.measure({"ours": side("ours"), "theirs": side("theirs")}, rounds=2, budget=1000)
    turn = [call for name in ("ours", "theirs") for call in (f"{name} before", f"{name} forward False", f"{name} backward")]
    assert calls == 3 * turn and gc.isenabled()
    assert {name: list(of) for name, of in times.items()} == {name: ["forward", "backward", "both"] for name in ("ours", "theirs")}
    assert times["ours"]["both"]["rounds"] == 2


@pytest.mark.parametrize(("rounds", "budget", "taken"), [(1, 0, 1), (3, 0, 3), (9, 0, 3), (9, 1000, 9)])
def test_rounds_fall_with_the_time_to_three(rounds, budget, taken):
    assert clock.measure({"ours": Side({"step": lambda: None})}, rounds, budget)["ours"]["step"]["rounds"] == taken


def test_the_median_and_its_range():
    assert clock.summary([0.004, 0.001, 0.002]) == {"median": 2, "min": 1, "max": 4, "rounds": 3}


# ---- memory ----


@needs_proc
def test_the_peak_can_be_reset():
    held = np.ones(25_000_000)  # 200 MB
    high = memory.resident("VmHWM")
    assert high >= memory.resident("VmRSS") - 1e6 and high > 200e6
    del held
    if memory.reset_peak() != "a step":
        pytest.skip("not run: this system does not reset VmHWM")
    assert memory.resident("VmHWM") < high - 150e6


@needs_proc
@pytest.mark.parametrize("side", ["ours", "channels_last"])
def test_a_step_is_measured(side, capsys):
    if side != "ours":
        pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")
    memory.main("cfpd", side, "2", "2", "32")
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["after_imports", "peak", "rise", "peak_of"]
    assert found["rise"] == found["peak"] - found["after_imports"] and found["after_imports"] > 10e6


def test_the_smaller_rise_counts():
    def peak(rise):
        return {"after_imports": 10, "peak": 10 + rise, "rise": rise, "peak_of": "a step"}

    row = memory.memory_row("cfpd", 16, {"ours": peak(30), "channels_first": peak(50), "channels_last": peak(40)})
    assert (row["smallest"], row["ratio"]) == ("channels_last", 0.75)
    assert memory.memory_row("cfpd", 16, {"ours": peak(30)})["ratio"] is None


def test_a_process_that_was_ended_is_told(monkeypatch):
    monkeypatch.setattr(memory.sys, "executable", "false")
    with pytest.raises(InputError, match="memory of cfpd, ours: the process ended with code 1"):
        memory.in_its_own_python("cfpd", "ours", Plan())
