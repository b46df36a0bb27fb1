"""Memory that is used again: a block goes to the next array once nobody looks at it, never before, and idle blocks do not pile up."""

import gc
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from nn.cpu import memory
from nn.cpu.memory import LARGE, empty, zeros

SIDE = 64
SHAPE = (LARGE // 4 // SIDE, SIDE)  # LARGE bytes of float32


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No blocks from before, and none left behind."""
    monkeypatch.setattr(memory, "_blocks", {})
    monkeypatch.setattr(memory, "_most", 0)


def blocks():
    """How many bytes each block that is kept has."""
    return sorted(size for size, held in memory._blocks.items() for _ in held)


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(SHAPE, "f4"), ((SHAPE[0], SIDE // 2), "f8"), ((LARGE,), bool), ((3, LARGE), "u1"), ((0, LARGE), "f4"), ((), "f4")],
)
def test_shape_and_dtype_are_those_asked_for(shape, dtype):
    for make in (empty, zeros):
        array = make(shape, dtype)
        assert array.shape == shape and array.dtype == dtype
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned


def test_an_array_takes_over_the_block_of_a_dead_one():
    array = empty(SHAPE, np.float32)
    before = address(array)
    del array
    assert address(empty(SHAPE, np.float32)) == before
    assert blocks() == [LARGE]


def test_the_bytes_count_not_shape_or_dtype():
    before = address(empty(SHAPE, np.float32))
    assert address(empty((SHAPE[1], SHAPE[0] // 2), np.float64)) == before
    assert address(empty((LARGE,), bool)) == before
    assert blocks() == [LARGE]


def test_zeros_clears_what_the_block_held():
    array = empty(SHAPE, np.float32)
    array[...] = 7
    before = address(array)
    del array
    cleared = zeros(SHAPE, np.float32)
    assert address(cleared) == before and not cleared.any()


LOOKS = {  # what holds a block besides the array itself
    "the array": lambda a: a,
    "a slice": lambda a: a[3:5],
    "one number": lambda a: a[:1, :1],
    "a view of a view": lambda a: a[1:].T[::2],
    "reshaped": lambda a: a.reshape(-1),
    "of another dtype": lambda a: a.view(np.uint8),
    "broadcast": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "strided": lambda a: as_strided(a, (3, 3), (4, 4)),
    "strided over a view": lambda a: as_strided(a[1:], (3, 3), (4, 4))[1:],
    "an iterator": lambda a: a.flat,
    "a memoryview": memoryview,
    "split": lambda a: np.split(a, 4)[2],
    "a Fortran one": lambda a: a.reshape(-1, order="F") if a.flags.f_contiguous else a.T,
    "in a closure": lambda a: lambda: a,
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_block_is_not_used_again_while_anything_looks_at_it(look):
    array = empty(SHAPE, np.float32)
    before, kept = address(array), LOOKS[look](array)
    del array
    other = empty(SHAPE, np.float32)
    assert address(other) != before and blocks() == [LARGE, LARGE]
    del other, kept
    gc.collect()  # a closure or an iterator may be part of a ring
    assert {address(one) for one in [empty(SHAPE, np.float32), empty(SHAPE, np.float32)]} >= {before}
    assert blocks() == [LARGE, LARGE]


def test_a_block_is_not_used_again_while_another_thread_looks_at_it():
    box, made, may_end = deque(), Barrier(2), Barrier(2)

    def look():
        view = empty(SHAPE, np.float32)[2:]
        box.append(address(view) - 2 * SHAPE[1] * 4)
        made.wait(10)
        may_end.wait(10)

    thread = Thread(target=look)
    thread.start()
    made.wait(10)
    other = address(empty(SHAPE, np.float32))
    may_end.wait(10)
    thread.join()
    assert other != box[0]
    first, second = empty(SHAPE, np.float32), empty(SHAPE, np.float32)
    assert {address(first), address(second)} == {other, box[0]}


def test_what_is_small_is_numpys():
    array = empty((LARGE // 4 - 1,), np.float32)
    assert array.base is None and blocks() == []


def test_a_larger_block_serves_a_smaller_array_and_no_smaller_one_a_larger():
    before = address(empty((3 * LARGE,), np.uint8))
    assert address(empty((2 * LARGE + 5,), np.uint8)) == before
    assert blocks() == [3 * LARGE]
    empty((3 * LARGE + 1,), np.uint8)
    assert blocks() == [3 * LARGE + 1]  # the idle one made room


def test_the_smallest_block_that_fits_is_taken():
    large, small = empty((LARGE + 90,), np.uint8), empty((LARGE + 30,), np.uint8)
    before = address(small)
    del large, small
    assert address(empty((LARGE + 10,), np.uint8)) == before


@pytest.mark.parametrize("seed", range(5))
def test_no_more_is_kept_than_was_in_use_at_once(seed):
    rng, held, most = np.random.default_rng(seed), [], 0
    for _ in range(200):
        if held and rng.random() < 0.5:
            held.pop(rng.integers(len(held)))
        else:
            held.append(empty((int(rng.integers(1, 40)) * LARGE,), np.uint8))
            most = max(most, sum(array.base.nbytes for array in held))
        assert sum(blocks()) <= most


@pytest.mark.parametrize(("asked", "kept"), [(6, [3, 6]), (7, [3, 7]), (8, [2, 8]), (9, [9])])
def test_room_is_made_by_the_smallest_idle_block_that_suffices_or_the_largest_and_more(asked, kept):
    held = [empty((size * LARGE,), np.uint8) for size in (2, 3, 5)]
    del held
    empty((asked * LARGE,), np.uint8)
    assert blocks() == [size * LARGE for size in kept]


def test_sizes_that_are_gone_are_forgotten():
    for size in range(1, 200):
        empty((LARGE + size,), np.uint8)
    assert len(memory._blocks) == 1


def test_a_block_in_use_stays_known_while_idle_ones_go():
    held = empty((3 * LARGE,), np.uint8)
    for size in range(10 * LARGE, 20 * LARGE, LARGE):
        empty((size,), np.uint8)
    before = address(held)
    del held
    assert address(empty((3 * LARGE,), np.uint8)) == before


@pytest.fixture
def hasty_threads():
    """Python hands its lock on as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_that_ask_at_once_never_share_a_block(hasty_threads):
    """Each writes its number and still finds it after others had their turn."""

    def work(number):
        spoiled = 0
        for turn in range(300):
            array = empty((LARGE + 64 * (turn % 3),), np.uint8)
            array[:64] = number
            others = sum(range(50))  # time to be interrupted
            spoiled += others > 0 and bool((array[:64] != number).any())
            del array
        return spoiled

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8
    assert len(blocks()) <= 8 * 3
