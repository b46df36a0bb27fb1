"""The GPU in use, and time on it by CUDA events."""

import importlib
import statistics
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

from models.measure.roofline import torch_version
from nn.gpu.launch import library_of
from nn.gpu.trouble import explained

ROUNDS, WARM_UP = 20, 3
BUDGET = 300.0  # ms that the rounds of one row should take together


def graphics() -> dict[str, str]:
    """The GPU in use, its driver, and the CUDA that CuPy brings. Raises InputError where there is none, saying what to do."""
    cupy: Any = library_of("cuda")
    runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
    facts = runtime.getDeviceProperties(device.id)
    free, total = runtime.memGetInfo()
    return {
        "GPU": f"{facts['name'].decode()}, compute capability {int(device.compute_capability) / 10}, {facts['multiProcessorCount']} SMs",
        "memory": f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} free",
        "CUDA": f"runtime {dotted(runtime.runtimeGetVersion())}, driver up to {dotted(runtime.driverGetVersion())}, NVRTC {nvrtc()}",
        "CuPy": cupy.__version__,
        "PyTorch": torch_version(),
        "date": date.today().isoformat(),
    }


def nvrtc() -> str:
    """The version of CUDA's run-time compiler, or what is wrong with it."""
    try:
        return ".".join(map(str, importlib.import_module("cupy_backends.cuda.libs.nvrtc").getVersion()))
    except Exception as error:
        return explained(error) or f"{type(error).__name__}: {error}"


def dotted(number: int) -> str:
    """13.0 for CUDA's 13000."""
    return f"{number // 1000}.{number % 1000 // 10}"


def free_memory() -> None:
    """Hand back what CuPy and PyTorch keep for later: each would be in the other's way."""
    cupy: Any = library_of("cuda")
    cupy.get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()


def milliseconds(call: Callable[[], Any]) -> float:
    """The median by CUDA events, on the stream that CuPy uses."""
    cupy: Any = library_of("cuda")
    return median(call, cupy.cuda.Event, cupy.cuda.get_elapsed_time)


def median(call: Callable[[], Any], event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> float:
    """Time by two events around each call; the first calls do not count, except one that takes longer than the budget."""

    def once() -> float:
        start, end = event(), event()
        start.record()
        call()
        end.record()
        end.synchronize()
        return elapsed(start, end)

    call()  # compiles
    first = once()
    if first > BUDGET:
        return first
    for _ in range(WARM_UP - 2):
        call()
    return statistics.median(once() for _ in range(min(ROUNDS, max(3, int(BUDGET / max(first, 1e-3))))))
