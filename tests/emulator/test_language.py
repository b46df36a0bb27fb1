"""CUDA C beyond C++: warp operations, atomics, vectors, intrinsics, shared and constant memory, printf, double in the place of float."""

import numpy as np
import pytest
from emulator.harness import faults_of, kernel, line_of, numbers, run

from nn.emulator import cupy
from nn.gpu.launch import DOUBLE, FOLDER

LANES = np.arange(32)


def lanes(expression, how=None, threads=32, kind="float"):
    """What each thread gets of an expression in which v is its lane."""
    function = kernel(f"int lane = threadIdx.x % 32; {kind} v = lane; y[threadIdx.x] = {expression};", f"{kind}* y")
    dtype = {"float": np.float32, "double": np.float64, "int": np.int32, "unsigned": np.uint32}[kind]
    return run(function, (1,), (threads,), np.zeros(threads, dtype), **(how or {}))[0]


@pytest.mark.parametrize("how", [{}, {"order": "reverse"}, {"order": "shuffled"}, {"check": True}], ids=str)
@pytest.mark.parametrize("kind", ["float", "int", "double"])
def test_shuffles(how, kind):
    def same(expression, expected):
        assert lanes(expression, how, kind=kind).tolist() == expected

    same("__shfl_sync(~0u, v, 5)", [5] * 32)
    same("__shfl_sync(~0u, v, 37)", [5] * 32)
    same("__shfl_sync(~0u, v, 1, 8)", [lane // 8 * 8 + 1 for lane in LANES])
    same("__shfl_up_sync(~0u, v, 3)", [lane - 3 if lane >= 3 else lane for lane in LANES])
    same("__shfl_down_sync(~0u, v, 2, 16)", [lane + 2 if lane % 16 < 14 else lane for lane in LANES])
    same("__shfl_xor_sync(~0u, v, 12)", [lane ^ 12 for lane in LANES])
    same("__shfl_xor_sync(~0u, v, 12, 8)", [lane for lane in LANES])


def test_votes():
    assert set(lanes("__ballot_sync(~0u, lane % 5 == 0)", kind="unsigned")) == {sum(1 << lane for lane in range(0, 32, 5))}
    assert lanes("__any_sync(~0u, lane == 9) * 100 + __any_sync(~0u, lane > 31) * 10 + __all_sync(~0u, lane < 32)").tolist() == [101] * 32
    assert set(lanes("__all_sync(~0u, lane != 4)")) == {0}


def test_the_last_warp_may_be_short():
    after = lanes("__shfl_xor_sync(~0u, v, 1) + 100 * __all_sync(~0u, 1)", threads=40)
    assert after.tolist() == [(lane ^ 1) + 100 for lane in [*range(32), *range(8)]]
    body = "__syncthreads(); y[threadIdx.x] = __activemask(); __syncthreads();"
    assert run(kernel(body, "unsigned* y"), (1,), (40,), np.zeros(40, np.uint32))[0].tolist() == [2**32 - 1] * 32 + [255] * 8


def test_parts_of_a_warp():
    body = """unsigned v = threadIdx.x;
        y[threadIdx.x] = v < 16 ? __shfl_down_sync(0xffffu, v, 1, 16) : __shfl_up_sync(0xffff0000u, v, 1, 16);"""
    after = run(kernel(body, "unsigned* y"), (1,), (32,), np.zeros(32, np.uint32))[0]
    assert after.tolist() == [*range(1, 16), 15, 16, *range(16, 31)]


def test_a_shuffle_from_a_lane_that_takes_no_part():
    bad = kernel("if (threadIdx.x < 16)\n y[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 20);  // HERE")
    text = faults_of(bad, (1,), (32,), numbers(32), 32)
    assert f"{line_of(bad)}: divergent shuffle: lane 0 reads lane 20, which takes no part (mask 0000ffff)" in text


def test_a_sum_over_the_warp():
    body = "float v = threadIdx.x; for (int d = 16; d; d /= 2) v += __shfl_down_sync(~0u, v, d); if (threadIdx.x == 0) y[0] = v;"
    for how in ({}, {"order": "reverse"}, {"order": "shuffled"}):
        assert run(kernel(body), (1,), (32,), numbers(1), 0, **how)[0][0] == 496


def test_atomics():
    body = """atomicAdd(&y[0], 2); atomicSub(&y[1], 1); atomicMax(&y[2], (int)threadIdx.x); atomicMin(&y[3], -(int)threadIdx.x);
        atomicOr(&y[4], 1 << threadIdx.x % 8); atomicAnd(&y[5], ~(1 << threadIdx.x % 8)); atomicXor(&y[6], 3);
        int old; do old = y[7]; while (atomicCAS(&y[7], old, old + 5) != old);
        atomicExch(&y[8], 77);"""
    start = np.array([1, 0, -9, 9, 256, 1023, 4, 0, 0], np.int32)
    assert run(kernel(body, "int* y"), (3,), (10,), start)[0].tolist() == [61, -30, 9, -9, 256 + 255, 1023 - 255, 4, 150, 77]
    counter = kernel("y[threadIdx.x] = atomicInc(&count[0], 3);", "unsigned* y, unsigned* count")
    assert run(counter, (1,), (6,), np.zeros(6, np.uint32), np.zeros(1, np.uint32))[0].tolist() == [0, 1, 2, 3, 0, 1]
    for kind, dtype in (("float", np.float32), ("double", np.float64), ("unsigned long long", np.uint64)):
        total = kernel("atomicAdd(y, 1);", f"{kind}* y")
        assert run(total, (2,), (40,), np.zeros(1, dtype), check=True)[0][0] == 80


def test_vectors_and_their_sizes():
    body = """float4 v = make_float4(1, 2, 3, 4); float2 w = make_float2(v.x, v.w); int4 i = make_int4(5, 6, 7, 8); uchar4 c = {1, 2, 3, 4};
        y[0] = sizeof(float2) + sizeof(float3) + sizeof(float4) + sizeof(double2) + sizeof(double4) + sizeof(uchar4) + sizeof(uint4);
        y[1] = w.x + w.y + i.z + c.w; y[2] = alignof(float4) + alignof(float3) + alignof(double2) + alignof(uchar4);
        *(float4*)(y + 4) = v;"""
    after = run(kernel(body), (1,), (1,), np.zeros(8, np.float32), 0, check=True)[0]
    assert after.tolist() == [8 + 12 + 16 + 16 + 32 + 4 + 16, 16, 16 + 4 + 16 + 4, 0, 1, 2, 3, 4]


def test_fp32_arithmetic_is_exact():
    """a * b + c rounds twice, fmaf once: nothing is contracted behind our back."""
    a, b, c = (np.float32(v) for v in (1 + 2**-12, 1 + 2**-12, -1 - 2**-11))
    body = "y[0] = a * b + c; y[1] = fmaf(a, b, c); y[2] = __fmaf_rn(a, b, c);"
    after = run(kernel(body, "float* y, float a, float b, float c"), (1,), (1,), numbers(3), a, b, c)[0]
    assert after[0] == a * b + c == 0
    assert after[1] == after[2] == np.float32(float(a) * float(b) + float(c)) != 0


def test_intrinsics():
    body = """y[0] = __popc(255u) + __clz(1) + __clz(0) + __ffs(8);
        y[1] = __uint_as_float(__float_as_uint(2.5f)); y[2] = __int_as_float(0x3f800000); y[3] = rsqrtf(4.f);
        y[4] = min(3, 2) + max(2.f, 5.f) + min(7u, 9u); y[5] = __ldg(x + 1);
        y[6] = fmaxf(-INFINITY, 1.f) + __saturatef(7.f);
        y[7] = isnan(NAN) + isinf(INFINITY) + isfinite(1.f); y[8] = __expf(0.f) + exp(0.f) + sqrt(9.f) + fabs(-1.f) + tanhf(0.f);
        y[9] = __brev(1u) == 0x80000000u && __umulhi(1u << 31, 4u) == 2 && warpSize == 32;"""
    after = run(kernel(body, "const float* x, float* y"), (1,), (1,), numbers(3), np.zeros(10, np.float32))[1]
    assert after.tolist() == [8 + 31 + 32 + 4, 2.5, 1, 0.5, 14, 1, 2, 3, 6, 1]


def test_static_dynamic_and_constant_memory():
    before = """__constant__ float table[3] = {2, 4, 8};
        #define ROWS 2
        static __device__ __forceinline__ float next(float v)
        {
            __shared__ float own[64];
            own[threadIdx.x] = v;
            return own[threadIdx.x] + 1;
        }"""
    body = """__shared__ float rows[ROWS][32];
        extern __shared__ __align__(16) unsigned char bytes[];
        float* behind = (float*)(bytes + 64);
        rows[threadIdx.x % ROWS][threadIdx.x / ROWS] = threadIdx.x;
        bytes[threadIdx.x] = threadIdx.x; behind[threadIdx.x] = 100;
        __syncthreads();
        y[threadIdx.x] = next(rows[0][threadIdx.x / 2] + bytes[63 - threadIdx.x] + behind[threadIdx.x] + table[threadIdx.x % 3]);"""
    function = kernel(body, before=before)
    expected = [t // 2 * 2 + 63 - t + 100 + (2, 4, 8)[t % 3] + 1 for t in range(64)]
    for how in ({}, {"check": True}):
        assert run(function, (1,), (64,), np.zeros(64, np.float32), 0, shared_mem=64 + 256, **how)[0].tolist() == expected


def test_double_in_the_place_of_float():
    """What launch.py does for float64: the same text behind `#define float double`."""
    text = """extern "C" __global__ void k(float* y, float v)
        {
            __shared__ float s[2];
            *(float4*)y = make_float4(v, v, v, expf(v));
            s[threadIdx.x] = fmaf(v, v, v);
            y[4] = s[0] + sizeof(float) + rsqrtf(v);
        }"""
    function = cupy.RawModule(code=f'{DOUBLE}#line 1 "test.cu"\n{text}').get_function("k")
    after = run(function, (1,), (1,), np.zeros(5), np.float64(0.1), check=True)[0]
    assert after[:3].tolist() == [0.1] * 3 and after[3] == pytest.approx(np.exp(0.1), rel=1e-15)
    assert after[4] == pytest.approx(0.11 + 8 + 0.1**-0.5, rel=1e-15)


def test_printf(capfd):
    run(kernel('printf("thread %d of %s\\n", (int)threadIdx.x, "here");'), (1,), (2,), numbers(1), 0)
    assert capfd.readouterr().out == "thread 0 of here\nthread 1 of here\n"


def test_headers_of_c_may_be_included():
    function = kernel(
        "y[0] = FLT_MAX > 1 ? std::max(1.f, cosf(0.f)) + INFINITY * 0 : 0;",
        before="#include <cfloat>\n#include <cmath>\n#include <algorithm>",
    )
    assert np.isnan(run(function, (1,), (1,), numbers(1), 0)[0][0])


def test_memcpy_is_watched():
    function = kernel("memcpy(y, x, 4 * n);  // HERE", "const float* x, float* y, int n")
    assert run(function, (1,), (1,), numbers(100), np.zeros(100, np.float32), 100, check=True)[1].tolist() == list(range(100))
    assert "out-of-bounds read" in faults_of(function, (1,), (1,), numbers(99), numbers(100), 100)


# ---- nn/gpu/ptx.cuh ----

PTX = '#include "ptx.cuh"'


def ptx(body, parameters):
    return kernel(body, parameters, before=PTX, options=(f"-I{FOLDER}",))


@pytest.mark.parametrize("how", [{}, {"order": "shuffled"}, {"check": True}], ids=str)
def test_mma_by_the_layout_of_the_manual(how):
    """D += A B for whole matrices, with each lane's part taken and put back as the PTX manual says."""
    body = """int g = threadIdx.x / 4, t = threadIdx.x % 4;
        float part[6] = {A[g * 8 + t], A[(g + 8) * 8 + t], A[g * 8 + t + 4], A[(g + 8) * 8 + t + 4], B[t * 8 + g], B[(t + 4) * 8 + g]};
        unsigned a[4], b[2];
        for (int i = 0; i < 6; i++) (i < 4 ? a[i] : b[i - 4]) = __float_as_uint(part[i]);
        float d[4] = {D[g * 8 + 2 * t], D[g * 8 + 2 * t + 1], D[(g + 8) * 8 + 2 * t], D[(g + 8) * 8 + 2 * t + 1]};
        __syncwarp();
        mma_tf32(d, a, b);
        D[g * 8 + 2 * t] = d[0]; D[g * 8 + 2 * t + 1] = d[1]; D[(g + 8) * 8 + 2 * t] = d[2]; D[(g + 8) * 8 + 2 * t + 1] = d[3];"""
    rng = np.random.default_rng(0)
    a, b, d = (rng.integers(-8, 8, shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    assert (run(ptx(body, "const float* A, const float* B, float* D"), (1,), (32,), a, b, d, **how)[2] == d + a @ b).all()


def test_ldmatrix_by_the_layout_of_the_manual():
    body = """__shared__ __align__(16) float room[32][4];
        for (int i = 0; i < 4; i++) room[threadIdx.x][i] = threadIdx.x * 4 + i;
        __syncwarp();
        unsigned r[4];
        ldmatrix_x4(r, room[threadIdx.x]);
        for (int m = 0; m < 4; m++) y[threadIdx.x * 4 + m] = __uint_as_float(r[m]);"""
    after = run(ptx(body, "float* y"), (1,), (32,), np.zeros((32, 4), np.float32), check=True)[0]
    matrices = np.arange(128).reshape(4, 8, 4)
    assert after.tolist() == [[matrices[m, lane // 4, lane % 4] for m in range(4)] for lane in range(32)]


def test_ldmatrix_wants_16_bytes_and_all_lanes():
    shared = (
        "__shared__ __align__(16) float room[160]; for (int i = threadIdx.x; i < 160; i += 32) room[i] = i; __syncwarp(); unsigned r[4];"
    )
    odd = ptx(f"{shared}\n ldmatrix_x4(r, room + threadIdx.x * 4 + 1);  // HERE\n y[threadIdx.x] = __uint_as_float(r[0]);", "float* y")
    assert f"{line_of(odd)}: misaligned read of 16 bytes at room[" in faults_of(odd, (1,), (32,), numbers(32))
    few = ptx(f"{shared}\n if (threadIdx.x) ldmatrix_x4(r, room);  // HERE\n y[threadIdx.x] = __uint_as_float(r[0]);", "float* y")
    assert f"{line_of(few)}: deadlock: divergent warp operation" in faults_of(few, (1,), (32,), numbers(32))
