"""Large arrays from memory that earlier arrays have left behind.

The system hands out memory page by page, zeroed at first touch: for a 50 MB map that costs as much as writing it. So a large block
is kept, and once no array looks at it any more, the next array that fits takes it over. What is kept never exceeds the most that
was in use at once: for a new block beyond that, idle ones go.
"""

import math
import sys
from bisect import bisect_left
from threading import Lock

import numpy as np
from numpy.typing import DTypeLike

LARGE = 1 << 16  # bytes; what is smaller NumPy makes as fast

_blocks: dict[int, list[np.ndarray]] = {}  # bytes -> blocks of that size
_most = 0  # bytes that were in use at once
_lock = Lock()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """np.empty, out of a block that nobody uses where there is one. Every view holds its block, so the count of holders tells."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    with _lock:
        for fitting in sorted(other for other in _blocks if other >= size):
            for block in _blocks[fitting]:
                if sys.getrefcount(block) == _IDLE:
                    return block[:size].view(dtype).reshape(shape)
        _make_room(size)
        block = np.empty(size, np.uint8)
        _blocks.setdefault(size, []).append(block)
        return block.view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """np.zeros from the same memory."""
    array = empty(shape, dtype)
    array[...] = 0
    return array


def _make_room(size: int) -> None:
    """Let go of idle blocks until one more of `size` bytes does not exceed the most that was in use at once: of the smallest that
    suffices, or of the largest and more."""
    global _most
    idle = sorted(other for other, blocks in _blocks.items() for block in blocks if sys.getrefcount(block) == _IDLE)
    kept = sum(other * len(blocks) for other, blocks in _blocks.items())
    _most = max(_most, kept - sum(idle) + size)
    while idle and (excess := kept + size - _most) > 0:
        victim = idle.pop(min(bisect_left(idle, excess), len(idle) - 1))
        for block in _blocks[victim]:
            if sys.getrefcount(block) == _IDLE:
                break
        _blocks[victim] = [other for other in _blocks[victim] if other is not block]
        if not _blocks[victim]:
            del _blocks[victim]
        kept -= victim


def _idle_count() -> int:
    """What sys.getrefcount says of a block in a list and a loop variable: versions of Python count differently."""
    for block in [np.empty(0, np.uint8)]:
        return sys.getrefcount(block)
    raise AssertionError


_IDLE = _idle_count()
