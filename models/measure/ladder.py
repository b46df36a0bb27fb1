"""One convolution on every rung: plain loops, then what nn/cpu/conv.py offers in the order in which it was climbed, then PyTorch."""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

import nn
from models.measure.clock import Side, Times, fastest, measure, once, summary
from models.measure.plan import Plan, normal
from nn import reference
from nn.cpu import conv

SHAPES = 4  # C channels at one size, 2 C at half of it, ...
STRIDE, PADDING = (1, 1), ((1, 1), (1, 1))
LOOPS = "loops"
TINY, NARROWER = 6, 32  # the size of the loops' map, and what its channels are divided by


def ladder_rows(plan: Plan, theirs: ModuleType | None) -> list[dict[str, Any]]:
    """A row a shape, the rungs in it."""
    shapes = [(plan.width << k, plan.size >> k) for k in range(SHAPES)]
    return [ladder_row(channels, size, plan, theirs) for channels, size in tqdm(shapes, desc="ladder", leave=False, disable=None)]


def ladder_row(channels: int, size: int, plan: Plan, theirs: ModuleType | None) -> dict[str, Any]:
    """A 3x3 convolution, C -> C, over N maps of size x size: forward and backward on every rung."""
    rng = np.random.default_rng(0)
    layer = nn.Conv2D(channels, channels, 3, bias=False, rng=rng)
    x, dy = (normal(rng, plan.batch, size, size, channels) for _ in range(2))
    sides = {rung: rung_side(rung, x, layer.weight.value, dy) for rung in conv.RUNGS}
    times = measure(sides | (theirs.layer_sides(layer, (x,), dy, first=False) if theirs else {}), plan.rounds)
    climbed = {LOOPS: loops_times(channels, plan.batch * products(size, channels), rng), **{rung: times.pop(rung) for rung in sides}}
    rungs = {
        rung: {"multiplications": multiplications(rung, channels), "extrapolated": rung == LOOPS, **of} for rung, of in climbed.items()
    }
    return {"channels": channels, "size": size, "batch": plan.batch, "rungs": rungs, "pytorch": times, "fastest": fastest(times)}


def rung_side(rung: str, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Side:
    """One rung of nn/cpu/conv.py, without bias or ReLU."""
    climb = conv.RUNGS[rung]

    def backward() -> tuple[np.ndarray, np.ndarray]:
        return climb.data_gradient(dy, w, x.shape, STRIDE, PADDING), climb.weight_gradient(dy, x, w.shape, STRIDE, PADDING)

    return Side({"forward": lambda: climb.forward(x, w, None, STRIDE, PADDING, False), "backward": backward})


def loops_times(channels: int, multiplied: int, rng: Generator) -> dict[str, Times]:
    """What the loops of nn/reference would take for so many multiplications, from one call with few."""
    C = max(1, channels // NARROWER)
    x, w, dy = normal(rng, 1, TINY, TINY, C), normal(rng, C, 3, 3, C), normal(rng, 1, TINY, TINY, C)
    side = Side(
        {
            "forward": lambda: reference.conv2d(x, w, None, STRIDE, PADDING),
            "backward": lambda: reference.conv2d_backward(dy, x, w, STRIDE, PADDING, bias=False),
        }
    )
    times = multiplied / products(TINY, C)
    return {stage: summary([seconds * times]) for stage, seconds in once(side).items()}


def products(size: int, channels: int) -> int:
    """Multiplications of the direct 3x3 convolution of one map, C -> C; along the border a window has two rows or columns, not three."""
    return (3 * size - 2) ** 2 * channels**2


def multiplications(rung: str, channels: int) -> float:
    """For one output number: R·S·C = 9 C, or a²/m² · C for Winograd, which makes m x m outputs from a x a products, a = m + 2."""
    if not rung.startswith("winograd"):
        return 9 * channels
    m = int(rung.removeprefix("winograd"))
    return (m + 2) ** 2 / m**2 * channels
