"""Sums over the rows of a matrix, and over all numbers: the same bits at every run, on every card. The ladder stands in reduce.cu."""

from math import prod
from typing import Any, NamedTuple

from nn.gpu.launch import THREADS, Build, blocks, contiguous, empty, launch, library
from nn.gpu.rungs import LADDERS, choose

RUNGS = list(LADDERS["reduce"])
MACROS: dict[str, dict[str, Any]] = {"serial": {}, "shared": {"COLUMN_SUM": "column_sum_shared"}, "shuffle": {}}
BUILDS = [Build("reduce.cu", MACROS[rung]) for rung in ("shared", "shuffle")]

BLOCKS = 512  # that a matrix is cut into at most, or nearly: about four an SM of a large card
WALK = 32  # rows that a thread walks at least, before the matrix is cut further


class Cut(NamedTuple):
    """How blocks share a matrix (M, C): strips of `width` columns, slabs of `rows` rows; see reduce.cuh."""

    width: int
    rows: int
    strips: int
    slabs: int

    @property
    def grid(self) -> tuple[int, int]:
        """A block for each slab of each strip."""
        return self.strips, self.slabs


def cut(M: int, C: int, slabs: int | None = None) -> Cut:
    """Cut a matrix into this many slabs, or as many as it takes to busy a card. The shape alone decides: so the sums' order is fixed."""
    width = min(32, 1 << (C - 1).bit_length())
    strips = -(-C // width)
    least = WALK * THREADS // width  # rows of a slab
    slabs = slabs or max(1, min(-(-M // least), BLOCKS // strips))
    rows = -(-M // slabs)
    return Cut(width, rows, strips, -(-M // rows))


def sum_rows(a: Any) -> Any:
    """Σ_m a_mc: (M, C) -> (C,); zeros where M is 0."""
    M, C = a.shape
    if a.size == 0:
        return library(a).zeros((C,), a.dtype)
    a, rung = contiguous(a), choose("reduce", RUNGS)
    if rung == "serial":
        sums = empty(a, (C,))
        launch("reduce.cu", "sum_rows_serial", blocks(C), (THREADS,), a, sums, M, C)
        return sums
    partial = slab_sums(a, cut(M, C), rung)
    if len(partial) > 1:
        partial = slab_sums(partial, cut(len(partial), C, slabs=1), rung)
    return partial.reshape(C)


def sum_all(a: Any) -> Any:
    """The sum of all numbers, a 0-d array; 0 where there are none."""
    return sum_rows(contiguous(a).reshape(prod(a.shape), 1)).reshape(())


def slab_sums(a: Any, cut: Cut, rung: str) -> Any:
    """The sums of each slab's rows: (M, C) -> (slabs, C)."""
    M, C = a.shape
    sums = empty(a, (cut.slabs, C))
    launch("reduce.cu", "sum_rows", cut.grid, (THREADS,), a, sums, M, C, cut.width, cut.rows, **MACROS[rung])
    return sums
