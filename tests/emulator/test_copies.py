"""cp.async: early and late, waited for and not."""

import numpy as np
import pytest
from emulator.harness import faults_of, kernel, line_of, numbers, run

from nn.gpu.launch import FOLDER

MODES = [{}, {"copies": "early"}, {"order": "reverse"}, {"check": True}]
STAGES = """
    __shared__ __align__(16) float room[2][128];
    int t = threadIdx.x;
    cp_async16(&room[0][t * 4], x + t * 4, true);
    cp_async_commit();
    for (int step = 0; step < n; step++) {
        if (step + 1 < n) cp_async16(&room[(step + 1) % 2][t * 4], x + (step + 1) * 128 + t * 4, true);  // COPY
        cp_async_commit();
        cp_async_wait<PENDING>();
        BARRIER
        for (int i = 0; i < 4; i++)
            y[step * 128 + t * 4 + i] = room[step % 2][127 - t * 4 - i];  // HERE
        LAST
    }
"""


def stages(pending=1, barrier="__syncthreads();", last="__syncthreads();"):
    """Two stages: one is filled while the other is read."""
    options = (f"-I{FOLDER}", f"-DPENDING={pending}", f"-DBARRIER={barrier}", f"-DLAST={last}")
    return kernel(STAGES, "const float* x, float* y, int n", before='#include "ptx.cuh"', options=options)


X = numbers(5 * 128)
EXPECTED = X.reshape(5, 128)[:, ::-1].reshape(-1)


@pytest.mark.parametrize("how", MODES, ids=str)
def test_two_stages(how):
    assert (run(stages(), (1,), (32,), X, np.zeros_like(X), 5, **how)[1] == EXPECTED).all()


def test_waiting_for_one_group_too_few():
    bad = stages(pending=2)
    after = run(bad, (1,), (32,), X, np.zeros_like(X), 5)[1]
    assert np.isnan(after).any()
    assert (run(bad, (1,), (32,), X, np.zeros_like(X), 5, copies="early")[1] == EXPECTED).all()
    text = faults_of(bad, (1,), (32,), X, np.zeros_like(X), 5)
    assert f"{line_of(bad)}: race: read of room[127], into which the cp.async of thread (31,0,0) of block (0,0,0)" in text


def test_waiting_for_the_own_copies_is_not_enough():
    bad = stages(barrier="")
    for order in ("forward", "reverse"):
        assert f"{line_of(bad)}: race: read of room[" in faults_of(bad, (1,), (32,), X, np.zeros_like(X), 5, order=order)


def test_filling_the_stage_that_is_being_read():
    bad = stages(last="")
    text = faults_of(bad, (1,), (32,), X, np.zeros_like(X), 5)
    assert f"{line_of(bad, 'COPY')}: race: write of room[" in text and f"at {line_of(bad)}, with no barrier" in text


def copy(statement, parameters="const float* x, float* y, int n"):
    body = f"""__shared__ __align__(16) float room[16]; float* r = room;
        {statement}  // HERE
        cp_async_commit(); cp_async_wait<0>(); __syncthreads();
        y[threadIdx.x] = room[threadIdx.x];"""
    return kernel(body, parameters, before='#include "ptx.cuh"', options=(f"-I{FOLDER}",))


@pytest.mark.parametrize("how", MODES, ids=str)
def test_zeros_where_it_is_outside(how):
    good = copy("cp_async4(r + threadIdx.x, threadIdx.x < n ? x + threadIdx.x : x, threadIdx.x < n);")
    assert run(good, (1,), (16,), numbers(10) + 1, numbers(16), 10, **how)[1].tolist() == [*range(1, 11), *[0] * 6]


def test_a_source_out_of_bounds():
    bad = copy("cp_async4(r + threadIdx.x, x + threadIdx.x, true);")
    assert f"{line_of(bad)}: out-of-bounds read of 4 bytes at x[10] (it has 10)" in faults_of(
        bad, (1,), (16,), numbers(10), numbers(16), 10
    )
    zeros = copy("cp_async4(r + threadIdx.x, x + threadIdx.x, threadIdx.x < n);")
    run(zeros, (1,), (16,), numbers(10), numbers(16), 10, check=True)


def test_alignment_of_both_sides():
    for bad in (copy("if (!threadIdx.x) cp_async16(r + 1, x, true);"), copy("if (!threadIdx.x) cp_async16(r, x + 1, true);")):
        assert f"{line_of(bad)}: misaligned cp.async" in faults_of(bad, (1,), (16,), numbers(32), numbers(16), 16)


def test_only_to_shared_memory():
    bad = copy("if (!threadIdx.x) cp_async4(y, x, true);")
    assert f"{line_of(bad)}: out-of-bounds cp.async: it can write to shared memory only" in faults_of(
        bad, (1,), (16,), numbers(16), numbers(16), 16
    )
