"""Cutting work into blocks that stay in the cache, and running the blocks on every core.

NumPy lets go of Python's lock while it computes, so plain threads use all cores. BLAS is held at one thread meanwhile:
each of our threads multiplies its own block. The cut depends on the array's shape alone, never on the number of threads,
and partial sums are added in the order of the blocks, so results are the same to the last bit on any number of cores.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from threading import Lock
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

BLOCK = 1 << 20  # floats in a block, 4 MB in float32. Smaller ones would fit a nearer cache, but a call must be long: measured, threads
# that hand Python's lock to each other at each short call lose more than the cache gains
SMALL = 1 << 18  # floats that one thread has done before another is awake
PIECE = 1 << 24  # multiplications that it has done by then, about a quarter of a millisecond


def cores() -> int:
    """How many cores this process may use; a thread runs on each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_lock = Lock()
_holders = 0  # who hold BLAS at one thread
_limit: Any = None  # what gives it its threads back


@cache
def _pool(process: int) -> tuple[ThreadPoolExecutor, ThreadpoolController, int]:
    """Our threads beside the calling one, the handle on BLAS's own, and how many cores there are; made at first use, and anew
    in a forked process."""
    return ThreadPoolExecutor(max(1, cores() - 1), "faceseed"), ThreadpoolController(), cores()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread, as a context or a decorator: at small products its threads wait for each other longer than they
    compute, most of all on a busy machine. The first to hold it, on whatever thread, asks BLAS, which takes 25 us; the last lets go."""
    global _holders, _limit
    with _lock:
        if _holders == 0:
            _take_control()
            _limit = _pool(os.getpid())[1].limit(limits=1, user_api="blas")
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _take_control()
                _limit.restore_original_limits()


def _take_control() -> None:
    """Since 3.8 threadpoolctl lets only the first thread that set a limit set another, or take it back. Here `_lock` sees to the order,
    and whoever holds it speaks for all."""
    if clear := getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None):
        clear(force=True)


def parallel(work: Callable[[int], object], count: int) -> None:
    """Call work(0) ... work(count - 1) on this thread and the pool's, each taking the next one as soon as it is free.

    The pool's threads work in copies of this thread's context, so that its np.errstate holds there too.
    """
    pool, _, threads = _pool(os.getpid())
    todo = iter(range(count))  # shared: taking the next number is one atomic step

    def run() -> None:
        for k in todo:
            work(k)

    with one_blas_thread():
        others = [pool.submit(copy_context().run, run) for _ in range(min(threads, count) - 1)]
        run()
        for other in others:
            other.result()  # raises what it raised


def shares(work: int, one: int) -> int:
    """Into how many pieces work is cut for the cores' sake, 1 to 4, none of less than `one`: SMALL floats or PIECE multiplications."""
    return max(1, min(4, work // one))


def blocks(rows: int, width: int) -> list[slice]:
    """Cut `rows` rows of `width` floats evenly into slices of at most BLOCK floats, one row at the least; into four where each
    is still worth a thread's while."""
    pieces = max(-(-rows * width // BLOCK), shares(rows * width, SMALL))
    step = max(1, min(-(-rows // pieces), BLOCK // max(1, width)))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def parallel_blocks(work: Callable[[int, slice], None], rows: int, width: int) -> int:
    """Call work(k, slice) for every block of a (rows, width) array; return the number of blocks."""
    cuts = blocks(rows, width)
    parallel(lambda k: work(k, cuts[k]), len(cuts))
    return len(cuts)
