"""What a machine can do at most, what a layer needs at the least, and so the time that no program can beat.

limit = max(flops / peak, bytes / bandwidth)                                    (the roofline: Williams, Waterman and Patterson 2009)
"""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

import nn
from models.measure.plan import is_block
from nn.cpu.threads import cores, parallel, parallel_blocks

Shape = tuple[int, ...]
FLOAT = 4  # bytes
SIDE, PRODUCTS = 1024, 4  # of the matrices that are multiplied, and how often each core does it
COPIED = (2048, 1 << 15)  # rows and columns of the copied array: 256 MB, more than a cache
TRIES = 10
PASSES_PER_NUMBER = {  # flops for each number of x, forward and backward
    nn.BatchNorm: (6, 8),  # the mean 1, the variance 3, y = ax + b 2 | dβ 1, dγ 3, dx = a dy + bx + c 4
    nn.ReLU: (1, 1),
    nn.MaxPool2D: (1, 1),
    nn.Dropout: (1, 1),
}
READ_AGAIN = {  # by backward, beside dy: x or y. What a pooling or a dropout keeps, one bit or two a number, is left out.
    **dict.fromkeys((nn.Conv2D, nn.BatchNorm, nn.Dense, nn.SeededLSTM), "x"),
    nn.ReLU: "y",
}


@dataclass(frozen=True)
class Cost:
    """Work and least traffic: each input read once, each output written once."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Machine:
    """The two speeds that limit, and what to know about the machine and its software."""

    gemm_gflops: float  # float32 products of 1024 x 1024, all cores
    copy_gb_s: float  # read + written, all cores
    facts: dict[str, str | int]

    def limit(self, cost: Cost) -> float:
        """The least time in ms."""
        return 1000 * max(cost.flops / (1e9 * self.gemm_gflops), cost.bytes / (1e9 * self.copy_gb_s))


def measure_machine() -> Machine:
    """Both speeds, the best of TRIES, and the facts."""
    a = np.full((SIDE, SIDE), 0.5, np.float32)
    out = np.empty((cores(), SIDE, SIDE), np.float32)

    def multiply(k: int) -> None:
        for _ in range(PRODUCTS):
            np.matmul(a, a, out=out[k])

    source = np.ones(COPIED, np.float32)
    target = np.zeros_like(source)

    def copy(_: int, rows: slice) -> None:
        np.copyto(target[rows], source[rows])

    flops = 2 * SIDE**3 * PRODUCTS * len(out)
    gemm = flops / best(lambda: parallel(multiply, len(out)))
    traffic = (source.nbytes + target.nbytes) / best(lambda: parallel_blocks(copy, *COPIED))
    return Machine(gemm / 1e9, traffic / 1e9, facts())


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of TRIES, after a first that does not count."""
    seconds = []
    for _ in range(TRIES + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def facts() -> dict[str, str | int]:
    """Processor, versions, date."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "cpu": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(f"{b['internal_api']} {b['version']} ({b.get('architecture', 'unknown')})" for b in blas),
        "torch": torch_version(),
        "date": date.today().isoformat(),
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or platform.machine()
    )


def torch_version() -> str:
    """PyTorch's version, or that it is not there."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return "not installed"


def costs(layer: nn.Layer, inputs: Sequence[Shape], output: Shape, first: bool = False) -> dict[str, Cost]:
    """Cost of forward and backward. The `first` layer of a network owes nobody a dx.

    A block counts as one pass over x and y, with the flops of its three parts; its backward reads dy, x and y.
    """
    x, y = sum(map(prod, inputs)), prod(output)
    weights = sum(parameter.value.size for parameter in layer.parameters().values())
    forward, backward = flops(layer, inputs, output, first)
    again = x + y if is_block(layer) else {"x": x, "y": y, "": 0}[READ_AGAIN.get(type(layer), "")]
    written = weights + (0 if first else x)  # dθ, dx
    read = y + again + (0 if first else weights)  # dy, x or y, θ
    return {"forward": Cost(forward, FLOAT * (x + weights + y)), "backward": Cost(backward, FLOAT * (read + written))}


def flops(layer: nn.Layer, inputs: Sequence[Shape], output: Shape, first: bool) -> tuple[int, int]:
    """Forward and backward: 2 a multiplication with its addition, which backward does once for dθ and once for dx."""
    if is_block(layer):
        conv = next(child for name, child in layer.children() if name == "conv")
        parts = [
            flops(conv, inputs, output, first),
            *(tuple(k * prod(output) for k in PASSES_PER_NUMBER[kind]) for kind in (nn.BatchNorm, nn.ReLU)),
        ]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)
    if type(layer) in PASSES_PER_NUMBER:
        forward, backward = PASSES_PER_NUMBER[type(layer)]
        return forward * prod(inputs[0]), backward * prod(inputs[0])
    products = multiplications(layer, output)
    return 2 * products, (2 if first else 4) * products


def multiplications(layer: nn.Layer, output: Shape) -> int:
    """Of the layer's matrix products, forward. A convolution's are those of the direct algorithm, zeros around included."""
    if isinstance(layer, nn.Conv2D):
        return prod(output) * layer.weight.value[0].size  # (N, I, J, O) x R·S·C
    if isinstance(layer, nn.Dense):
        return prod(output) * layer.weight.value.shape[1]
    if isinstance(layer, nn.SeededLSTM):
        N, T, U = output
        P, _, F = layer.feature_weight.value.shape
        D = layer.weight.value.shape[1] - U
        return N * (T * 4 * U * U + P * 4 * U * D + P * U * F)  # h at every step; seed and features once a part
    raise TypeError(f"flops of {type(layer).__name__} are not known")


def adam_cost(weights: int) -> Cost:
    """m 3, v 4, θ 5 flops a weight; θ, ∇, m, v are read, θ, m, v written."""
    return Cost(12 * weights, 7 * FLOAT * weights)
