"""Blocks and threads: how they are numbered, in which order they run, and what they may not do at a barrier."""

import numpy as np
import pytest
from emulator.harness import faults_of, kernel, line_of, numbers, run

from nn.emulator import KernelError, mode

ORDERS = [{}, {"order": "reverse"}, {"order": "shuffled"}, {"check": True}]
TURN = "__shared__ int turn; y[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(last, 1);"  # who came when


@pytest.mark.parametrize("how", ORDERS, ids=str)
@pytest.mark.parametrize("threads", [1, 31, 32, 33, 1024])
def test_block_sizes(how, threads):
    body = """extern __shared__ float room[];
        room[threadIdx.x] = threadIdx.x;
        __syncthreads();
        y[blockIdx.x * blockDim.x + threadIdx.x] = room[blockDim.x - 1 - threadIdx.x] + blockIdx.x;"""
    after = run(kernel(body), (3,), (threads,), np.zeros(3 * threads, np.float32), 0, shared_mem=4 * threads, **how)[0]
    assert after.reshape(3, threads).tolist() == [[threads - 1 - t + b for t in range(threads)] for b in range(3)]


@pytest.mark.parametrize("how", ORDERS, ids=str)
def test_three_dimensions(how):
    body = """int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        y[block * 24 + thread] = 10000 * blockIdx.z + 1000 * blockIdx.y + 100 * blockIdx.x
                               + threadIdx.x + 2 * threadIdx.y + 6 * threadIdx.z;"""
    after = run(kernel(body, "int* y"), (2, 3, 2), (2, 3, 4), np.zeros(12 * 24, np.int32), **how)[0].reshape(2, 3, 2, 24)
    for z, y, x in np.ndindex(2, 3, 2):
        assert after[z, y, x].tolist() == [10000 * z + 1000 * y + 100 * x + t for t in range(24)]


def turns(**how):
    """In which turn each of 2 x 5 threads comes."""
    return run(kernel(TURN, "int* y, int* last"), (2,), (5,), np.zeros(10, np.int32), np.zeros(1, np.int32), **how)[0].tolist()


def test_orders():
    assert turns() == list(range(10))
    assert turns(order="reverse") == list(range(9, -1, -1))
    shuffled = [turns(order="shuffled", seed=seed) for seed in range(4)]
    assert all(sorted(turn) == list(range(10)) for turn in shuffled)
    assert len(set(map(tuple, shuffled))) > 2
    assert shuffled == [turns(order="shuffled", seed=seed) for seed in range(4)]


def test_shuffled_anew_after_each_barrier():
    body = """for (int i = 0; i < 3; i++) {
            y[i * 32 + threadIdx.x] = atomicAdd(last, 1) - 32 * i;
            __syncthreads();
        }"""
    function = kernel(body, "int* y, int* last")
    after = run(function, (1,), (32,), np.zeros(96, np.int32), np.zeros(1, np.int32), order="shuffled")[0].reshape(3, 32)
    assert [sorted(row) for row in after.tolist()] == [list(range(32))] * 3
    assert len(set(map(tuple, after.tolist()))) == 3


def test_modes_nest_and_end():
    with mode(order="reverse"):
        with mode(order="forward"):
            assert turns()[0] == 0
        assert turns()[0] == 9
        with pytest.raises(KeyError), mode(order="forward"):
            raise KeyError
        assert turns()[0] == 9
    assert turns()[0] == 0
    with pytest.raises(ValueError, match="order='sideways': expected one of forward, reverse, shuffled"), mode(order="sideways"):
        pass
    with pytest.raises(ValueError, match="copies='never': expected one of late, early"), mode(copies="never"):
        pass
    with pytest.raises(TypeError), mode(speed=9):
        pass


def test_barriers_that_count():
    body = """int votes = __syncthreads_count(threadIdx.x % 3 == 0);
        int any = __syncthreads_or(threadIdx.x == 40), none = __syncthreads_or(0);
        int all = __syncthreads_and(1), most = __syncthreads_and(threadIdx.x != 7);
        y[threadIdx.x] = votes * 10000 + any * 1000 + none * 100 + all * 10 + most;"""
    assert set(run(kernel(body), (1,), (64,), numbers(64), 0)[0].tolist()) == {22 * 10000 + 1010}


# ---- barriers that not all reach ----


@pytest.mark.parametrize("how", ORDERS, ids=str)
def test_two_barriers_for_two_halves(how):
    bad = kernel("if (threadIdx.x < 4) __syncthreads();  // HERE\n else __syncthreads();  // THERE\n y[0] = 1;")
    with pytest.raises(KernelError, match=r"divergent __syncthreads\(\)") as caught:
        run(bad, (1,), (8,), numbers(8), 8, **how)
    assert line_of(bad) in str(caught.value) and line_of(bad, "THERE") in str(caught.value)


def test_some_have_returned():
    good = kernel("if (threadIdx.x < n) y[threadIdx.x] = 1; __syncthreads();")
    run(good, (1,), (8,), numbers(8), 5, check=True)
    bad = kernel("if (threadIdx.x >= n) return;\n __syncthreads();  // HERE\n y[threadIdx.x] = 1;")
    for how in ORDERS:
        with pytest.raises(KernelError, match=rf"{line_of(bad)}: divergent .* reached by 5 of 8 threads, the others have returned"):
            run(bad, (1,), (8,), numbers(8), 5, **how)


@pytest.mark.parametrize("how", ORDERS, ids=str)
def test_lanes_that_never_come(how):
    good = kernel("float v = __shfl_sync(~0u, (float)threadIdx.x, 3); if (threadIdx.x > 2) y[threadIdx.x] = v;")
    run(good, (1,), (32,), numbers(32), 32, **how)
    returned = kernel("if (threadIdx.x == 5) return;\n y[threadIdx.x] = __shfl_sync(~0u, (float)threadIdx.x, 3);  // HERE")
    with pytest.raises(KernelError, match=rf"{line_of(returned)}: deadlock: divergent .* waits for lane 5, which has returned"):
        run(returned, (1,), (32,), numbers(32), 32, **how)
    elsewhere = kernel("if (threadIdx.x == 5) __syncthreads();  // THERE\n else __syncwarp();  // HERE\n y[0] = 1;")
    with pytest.raises(KernelError, match=rf"{line_of(elsewhere)}: deadlock: .* lane 5, which waits at {line_of(elsewhere, 'THERE')}"):
        run(elsewhere, (1,), (32,), numbers(32), 32, **how)


def test_masks_that_differ():
    bad = kernel(
        "unsigned mask = threadIdx.x < 16 ? ~0u : 0xffff0000u;\n y[threadIdx.x] = __shfl_xor_sync(mask, (float)threadIdx.x, 1);  // HERE"
    )
    assert f"{line_of(bad)}: deadlock: divergent warp operation" in faults_of(bad, (1,), (32,), numbers(32), 32)


def test_a_lane_outside_its_own_mask():
    bad = kernel("y[threadIdx.x] = __shfl_sync(0xffu, 1.f, 0);  // HERE")
    text = faults_of(bad, (1,), (32,), numbers(32), 32)
    assert f"{line_of(bad)}: divergent warp operation: lane 8 calls it, but its mask 000000ff leaves it out" in text


def test_two_operations_that_meet():
    bad = kernel(
        "float v = threadIdx.x;\n if (v < 9) v = __shfl_xor_sync(~0u, v, 1);  // HERE\n else v = __shfl_down_sync(~0u, v, 1);\n y[0] = v;"
    )
    assert "divergent warp operation: lane 31 waits here, lane 0 at " + line_of(bad) in faults_of(bad, (1,), (32,), numbers(32), 32)


def test_warps_may_go_different_ways():
    """Loops of different lengths, and warps that leave early, as long as no barrier comes after."""
    body = """float v = threadIdx.x / 32;
        for (int i = 0; i < (int)(threadIdx.x / 32) * 3; i++) v += __shfl_xor_sync(~0u, 1.f, 1);
        if (threadIdx.x / 32 == 1) return;
        y[threadIdx.x] = v;"""
    for how in ORDERS:
        after = run(kernel(body), (1,), (96,), np.zeros(96, np.float32), 0, **how)[0]
        assert after.tolist() == [0] * 64 + [8] * 32
