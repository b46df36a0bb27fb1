"""Running a kernel that stands in a string, in the emulator: what chapters 12 and 13 and their exercises use."""

from typing import Any

import numpy as np

from nn.emulator import cupy, mode
from nn.emulator.profile import Profile


def launch(text: str, grid: int, block: int, *arguments: Any, name: str = "k", **how: Any) -> tuple[list[np.ndarray], Profile]:
    """Run the kernel `name` of a CUDA text: the arrays among its arguments as they are afterwards, and what was counted.

    Python's whole numbers travel as int32. how: the emulator's modes, check=True unless given; KernelError says what is wrong, and where.
    """
    kernel = cupy.RawModule(code=f'#line 1 "{name}.cu"\n{text}').get_function(name)
    sent = [cupy.asarray(a) if isinstance(a, np.ndarray) else np.int32(a) for a in arguments]
    with mode(**{"check": not how.get("profile", False), **how}):
        kernel((grid,), (block,), tuple(sent))
    return [a.get() for a in sent if isinstance(a, cupy.ndarray)], kernel.profile
