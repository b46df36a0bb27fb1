"""Each kind of fault is found, with its file, line, variable, block and thread; the same kernel without the mistake passes."""

import numpy as np
import pytest
from emulator.harness import faults_of, kernel, line_of, numbers, run

from nn.emulator import KernelError, cupy, mode


def twice(good, bad, parameters="float* y, int n", **options):
    """The kernel as it should be, and with the mistake."""
    return kernel(good, parameters, **options), kernel(bad, parameters, **options)


# ---- out of bounds ----


def test_write_beyond_the_end():
    good, bad = twice(
        "int k = blockIdx.x * blockDim.x + threadIdx.x; if (k < n) y[k] = k;",
        "int k = blockIdx.x * blockDim.x + threadIdx.x;\n y[k] = k;  // HERE",
    )
    assert run(good, (2,), (32,), numbers(40), 40, check=True)[0][39] == 39
    text = faults_of(bad, (2,), (32,), numbers(40), 40)
    assert f"{line_of(bad)}: out-of-bounds write of 4 bytes at y[40] (it has 40); thread (8,0,0) of block (1,0,0)" in text


def test_read_before_the_beginning():
    good, bad = twice(
        "y[threadIdx.x] = x[threadIdx.x];", "y[threadIdx.x] =\n x[(int)threadIdx.x - 1];  // HERE", "const float* x, float* y"
    )
    run(good, (1,), (4,), numbers(4), numbers(4), check=True)
    assert f"{line_of(bad)}: out-of-bounds read of 4 bytes at x[-1] (it has 4); thread (0,0,0)" in faults_of(
        bad, (1,), (4,), numbers(4), numbers(4)
    )


def test_a_wide_access_that_straddles_the_end():
    body = "*(float4*)&y[0] = make_float4(1, 2, 3, 4);  // HERE"
    bad = kernel(body)
    assert run(bad, (1,), (1,), numbers(4), 4, check=True)[0].tolist() == [1, 2, 3, 4]
    assert f"{line_of(bad)}: out-of-bounds write of 16 bytes at y[0]: only 12 of them" in faults_of(bad, (1,), (1,), numbers(3), 3)


def test_null_pointer_and_wild_pointer():
    null = kernel("y[threadIdx.x] = x[0];", "const float* x, float* y")
    assert "out-of-bounds read of 4 bytes at null pointer" in faults_of(null, (1,), (1,), None, numbers(1))
    wild = kernel("y[1ll << 40] = 1;")
    assert "which is nobody's" in faults_of(wild, (1,), (1,), numbers(1), 1)


def test_dynamic_shared_memory_has_bounds():
    body = "extern __shared__ float room[];\n room[threadIdx.x] = 1;  // HERE\n __syncthreads();\n y[threadIdx.x] = room[threadIdx.x];"
    function = kernel(body)
    assert run(function, (1,), (8,), numbers(8), 8, shared_mem=32, check=True)[0].tolist() == [1] * 8
    text = faults_of(function, (1,), (8,), numbers(8), 8, shared_mem=28)
    assert f"{line_of(function)}: out-of-bounds write of 4 bytes at room[7] (it has 7); thread (7,0,0)" in text


def test_shared_variables_have_bounds_of_their_own():
    body = """__shared__ float a[4][4], b[4][4];
        a[threadIdx.x][0] = 1; b[threadIdx.x][0] = 2;
        __syncthreads();
        y[threadIdx.x] = a[0][INDEX];  // HERE"""
    inside = kernel(body, options=("-DINDEX=0",))
    assert run(inside, (1,), (4,), numbers(4), 4, check=True)[0].tolist() == [1] * 4
    beyond = kernel(body, options=("-DINDEX=(threadIdx.x+4)",))
    assert f"{line_of(beyond)}: out-of-bounds index 4 into an array of fixed size; thread (0,0,0)" in faults_of(
        beyond, (1,), (4,), numbers(4), 4
    )


def test_a_wide_access_from_one_shared_variable_into_the_next():
    body = """__shared__ __align__(16) float a[5], b[7];
        for (int i = 0; i < 5; i++) a[i] = i;
        for (int i = 0; i < 7; i++) b[i] = i;
        *(float4*)y = *(float4*)(a + START);  // HERE"""
    assert run(kernel(body, options=("-DSTART=0",)), (1,), (1,), numbers(4), 4, check=True)[0].tolist() == [0, 1, 2, 3]
    bad = kernel(body, options=("-DSTART=4",))
    assert "out-of-bounds read of 16 bytes at a[4]: only 4 of them" in faults_of(bad, (1,), (1,), numbers(4), 4)


def test_two_arguments_over_the_same_memory():
    function = kernel("y[threadIdx.x + 1] = x[threadIdx.x];", "const float* x, float* y")
    whole = numbers(9)
    array = cupy.asarray(whole)
    with mode(check=True):
        function((1,), (1,), (array[:8], array[:8]))
    assert array.get().tolist() == [0, 0, 2, 3, 4, 5, 6, 7, 8]


def test_plain_runs_survive_a_step_outside_and_a_leap():
    """A little beyond the end nothing is harmed and NaN is read; far away the processor stops it, and a KernelError says where."""
    step = kernel("y[n + threadIdx.x] = 1; y[0] = x[n];", "const float* x, float* y, int n")
    x = numbers(4)
    after = run(step, (1,), (4,), x, numbers(4), 4)
    assert np.isnan(after[1][0]) and after[1][1:].tolist() == [1, 2, 3]
    # Absolute, as arrays lie anywhere: the first page, and a number that x86-64 takes for no address at all.
    never_mapped, no_address = 1 << 6, 1 << 60
    for place, what in ((never_mapped, "out-of-bounds access to address 0x40"), (no_address, "out-of-bounds or misaligned access")):
        leap = kernel(f"*(float*){place}ull = 1;  // HERE")
        with pytest.raises(KernelError, match=f"{line_of(leap)}: {what}"):
            run(leap, (1,), (1,), numbers(4), 4)


# ---- races in shared memory ----

NEIGHBOUR = """
    __shared__ float room[64];
    room[threadIdx.x] = threadIdx.x;  // WRITTEN
    BARRIER
    y[threadIdx.x] = room[(threadIdx.x + 33) % 64];  // HERE
"""


def test_read_without_a_barrier():
    good, bad = kernel(NEIGHBOUR, options=("-DBARRIER=__syncthreads();",)), kernel(NEIGHBOUR, options=("-DBARRIER=",))
    assert run(good, (1,), (64,), numbers(64), 64, check=True)[0][0] == 33
    text = faults_of(bad, (1,), (64,), numbers(64), 64)
    written = line_of(bad, "WRITTEN")
    assert (
        f"{line_of(bad)}: race: read of room[0], written by thread (0,0,0) of block (0,0,0) at {written}, with no barrier between" in text
    )
    assert "; thread (31,0,0) of block (0,0,0)" in text
    assert f"{written}: race: write of room[33], read by thread (0,0,0)" in text


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
def test_a_race_is_found_whatever_the_order(order):
    bad = kernel(NEIGHBOUR, options=("-DBARRIER=",))
    assert "race" in faults_of(bad, (1,), (64,), numbers(64), 64, order=order)


def test_write_after_read_without_a_barrier():
    body = """__shared__ float one;
        if (threadIdx.x == 0) one = 1;
        __syncthreads();
        y[threadIdx.x] = one;
        BARRIER
        if (threadIdx.x == 63) one = 2;  // HERE"""
    run(kernel(body, options=("-DBARRIER=__syncthreads();",)), (1,), (64,), numbers(64), 64, check=True)
    bad = kernel(body, options=("-DBARRIER=",))
    for order in ("forward", "reverse"):
        assert "race: " in faults_of(bad, (1,), (64,), numbers(64), 64, order=order)


def test_two_writers_of_the_same_number():
    good = kernel("__shared__ float one; if (threadIdx.x == 0) one = 1; __syncthreads(); y[threadIdx.x] = one;")
    bad = kernel("__shared__ float one;\n one = 1;  // HERE\n __syncthreads(); y[threadIdx.x] = one;")
    run(good, (1,), (8,), numbers(8), 8, check=True)
    assert f"{line_of(bad)}: race: write of one[0], written by thread (0,0,0)" in faults_of(bad, (1,), (8,), numbers(8), 8)


@pytest.mark.parametrize("kind, size", [("unsigned char", 1), ("unsigned short", 2), ("float", 4), ("double", 8)])
def test_neighbours_of_any_size_do_not_race(kind, size):
    """Byte by byte: threads that write neighbouring numbers do not race, threads that write the same one do."""
    dtype = {1: np.uint8, 2: np.uint16, 4: np.float32, 8: np.float64}[size]
    body = f"""__shared__ {kind} room[64];
        room[threadIdx.x AT] = ({kind})threadIdx.x;  // HERE
        y[threadIdx.x AT] = ({kind})threadIdx.x;  // GLOBAL
        __syncthreads();
        if (threadIdx.x < 64 / 2) y[threadIdx.x] = room[threadIdx.x];"""
    apart = kernel(body, f"{kind}* y", options=("-DAT=",))
    bad = kernel(body, f"{kind}* y", options=("-DAT=/2",))
    assert run(apart, (1,), (64,), numbers(64, dtype), check=True)[0].tolist() == list(range(64))
    text = faults_of(bad, (1,), (64,), numbers(64, dtype))
    assert f"{line_of(bad)}: race: write of room[0]" in text
    assert f"{line_of(bad, 'GLOBAL')}: race: write of y[0]" in text


def test_a_byte_within_a_number():
    """Bytes of one float by different threads: no race; the float whole against one of its bytes: a race."""
    good = kernel("((unsigned char*)y)[threadIdx.x] = 0;")
    assert run(good, (1,), (16,), numbers(4), 4, check=True)[0].tolist() == [0] * 4
    bad = kernel("if (threadIdx.x < 15) ((unsigned char*)y)[threadIdx.x] = 0;\n else y[2] = 1;  // HERE")
    assert f"{line_of(bad)}: race: write of y[2], written by thread (8,0,0)" in faults_of(bad, (1,), (16,), numbers(4), 4)


def test_what_is_no_race():
    """All read one number; one thread writes a number again and again; a number is read by others in the next interval."""
    body = """__shared__ float one, many[32];
        if (threadIdx.x == 0) { one = 1; one = 2; one += 1; }
        __syncthreads();
        many[threadIdx.x] = one + one;
        many[threadIdx.x] += one;
        __syncthreads();
        y[threadIdx.x] = many[31 - threadIdx.x];
        y[threadIdx.x] += 1;"""
    assert run(kernel(body), (1,), (32,), numbers(32), 32, check=True)[0].tolist() == [10] * 32


# ---- __syncwarp ----

EXCHANGE = """
    __shared__ float room[64];
    room[threadIdx.x] = threadIdx.x;
    SYNC
    float v = room[threadIdx.x ^ DISTANCE];  // HERE
    SYNC
    room[threadIdx.x ^ DISTANCE] = v + 1;
    SYNC
    y[threadIdx.x] = room[threadIdx.x];
"""


def exchange(sync, distance):
    return kernel(EXCHANGE, options=(f"-DSYNC={sync}", f"-DDISTANCE={distance}"))


def test_syncwarp_orders_the_lanes_of_a_warp_and_no_others():
    assert run(exchange("__syncwarp();", 1), (1,), (64,), numbers(64), 64, check=True)[0].tolist() == list(range(1, 65))
    assert "race" in faults_of(exchange("", 1), (1,), (64,), numbers(64), 64)
    assert "race" in faults_of(exchange("__syncwarp();", 32), (1,), (64,), numbers(64), 64)


def test_syncwarp_of_half_a_warp():
    """Its mask counts: halves that sync among themselves exchange within a half, not across; however often each half did before."""
    halves = "__syncwarp(threadIdx.x % 32 < 16 ? 0xffffu : 0xffff0000u);"
    uneven = f"if (threadIdx.x % 32 < 16) for (int i = 0; i < 5; i++) __syncwarp(0xffffu); {halves}"
    for sync in (halves, uneven):
        run(exchange(sync, 8), (1,), (64,), numbers(64), 64, check=True)
        assert "race" in faults_of(exchange(sync, 16), (1,), (64,), numbers(64), 64)


def test_all_lanes_read_then_one_writes():
    body = """__shared__ float one;
        if (threadIdx.x == 5) one = 7;
        __syncwarp();
        y[threadIdx.x] = one;
        SYNC
        if (threadIdx.x == 9) one = 8;  // HERE
        __syncwarp();
        y[threadIdx.x] += one;"""
    assert run(kernel(body, options=("-DSYNC=__syncwarp();",)), (1,), (32,), numbers(32), 32, check=True)[0].tolist() == [15] * 32
    assert "race: write of one[0], read by thread" in faults_of(kernel(body, options=("-DSYNC=",)), (1,), (32,), numbers(32), 32)


def test_a_shuffle_orders_nothing():
    assert "race" in faults_of(
        exchange("v0 += __shfl_xor_sync(~0u, v0, 1);".replace("v0", "y[threadIdx.x]"), 1), (1,), (64,), numbers(64), 64
    )


# ---- races in global memory ----


def test_blocks_that_write_the_same_number():
    good, bad = twice("y[blockIdx.x] = 1;", "y[0] = 1;  // HERE")
    run(good, (3,), (1,), numbers(3), 3, check=True)
    text = faults_of(bad, (3,), (1,), numbers(3), 3)
    assert f"{line_of(bad)}: race: write of y[0], written by thread (0,0,0) of block (0,0,0) at {line_of(bad)}" in text
    assert "; thread (0,0,0) of block (1,0,0)" in text


def test_a_barrier_does_not_order_blocks():
    bad = kernel("if (blockIdx.x == 0) y[0] = 1;\n __syncthreads();\n if (blockIdx.x == 1) y[1] = y[0];  // HERE")
    assert f"{line_of(bad)}: race: read of y[0], written by thread (0,0,0) of block (0,0,0)" in faults_of(bad, (2,), (1,), numbers(2), 2)
    for order in ("reverse", "shuffled"):
        assert "race" in faults_of(bad, (2,), (1,), numbers(2), 2, order=order)


def test_a_reader_of_an_earlier_block_is_remembered():
    """Blocks 0 and 1 read y[0], then block 1 writes it: the read of block 0 is in no order with that."""
    bad = kernel("y[1 + blockIdx.x] = y[0];\n if (blockIdx.x == 1) y[0] = n;  // HERE")
    text = faults_of(bad, (2,), (1,), numbers(3), 2)
    assert f"{line_of(bad)}: race: write of y[0], read by thread (0,0,0) of block (0,0,0)" in text


def test_threads_of_a_block_in_global_memory():
    body = "y[threadIdx.x] = 1;\n BARRIER\n y[64 + threadIdx.x] = y[63 - threadIdx.x];  // HERE"
    run(kernel(body, options=("-DBARRIER=__syncthreads();",)), (1,), (64,), numbers(128), 64, check=True)
    assert "race: read of y[31], written" in faults_of(kernel(body, options=("-DBARRIER=",)), (1,), (64,), numbers(128), 64)


def test_atomics_do_not_race_with_each_other_but_with_the_rest():
    good, bad = twice("atomicAdd(&y[0], 1.f);", "if (threadIdx.x) atomicAdd(&y[0], 1.f);\n else y[0] = 1;  // HERE")
    assert run(good, (3,), (50,), np.zeros(1, np.float32), 1, check=True)[0][0] == 150
    assert "race: atomic of y[0], written by thread (0,0,0)" in faults_of(bad, (1,), (50,), numbers(1), 1)


# ---- shared memory that nobody has written ----


def test_uninitialised_shared_memory():
    good, bad = twice(
        "__shared__ float room[8]; room[threadIdx.x] = 1; __syncthreads(); y[threadIdx.x] = room[threadIdx.x];",
        "__shared__ float room[8]; if (threadIdx.x < 7) room[threadIdx.x] = 1; __syncthreads();\n"
        "y[threadIdx.x] = room[threadIdx.x];  // HERE",
    )
    run(good, (2,), (8,), numbers(8), 8, check=False)
    text = faults_of(bad, (1,), (8,), numbers(8), 8)
    assert f"{line_of(bad)}: read of uninitialised shared memory room[7]; thread (7,0,0) of block (0,0,0)" in text


def test_what_an_earlier_block_wrote_is_uninitialised():
    body = "extern __shared__ float room[]; if (blockIdx.x == 0) room[0] = 1;\n y[blockIdx.x] = room[0];"
    assert "uninitialised shared memory room[0]; thread (0,0,0) of block (1,0,0)" in faults_of(
        kernel(body), (2,), (1,), numbers(2), 2, shared_mem=4
    )
    assert np.isnan(run(kernel(body), (2,), (1,), numbers(2), 2, shared_mem=4)[0][1])


# ---- alignment, const, arithmetic ----


@pytest.mark.parametrize("kind, size", [("float4", 16), ("float2", 8), ("double", 8)])
def test_misaligned(kind, size):
    body = f"*({kind}*)&y[START] = {{}};  // HERE"
    run(kernel(body, options=(f"-DSTART={size // 4}",)), (1,), (1,), numbers(8), 8, check=True)
    bad = kernel(body, options=("-DSTART=1",))
    assert f"{line_of(bad)}: misaligned write of {size} bytes at y[1]; thread (0,0,0)" in faults_of(bad, (1,), (1,), numbers(8), 8)


def test_a_slice_keeps_its_misalignment():
    function = kernel("*(float4*)y = *(const float4*)x;", "const float* x, float* y")
    array, out = cupy.asarray(numbers(16)), cupy.empty(4)
    with mode(check=True):
        function((1,), (1,), (array[4:], out))
        assert out.get().tolist() == [4, 5, 6, 7]
        with pytest.raises(KernelError, match="misaligned read of 16 bytes at x"):
            function((1,), (1,), (array[1:], out))


def test_write_through_const():
    good, bad = twice("y[0] = x[0];", "y[0] = x[0];\n ((float*)x)[2] = 1;  // HERE", "const float* x, float* y")
    x = numbers(4)
    run(good, (1,), (1,), x, numbers(1), check=True)
    assert f"{line_of(bad)}: write through a const argument, x[2]; thread (0,0,0)" in faults_of(bad, (1,), (1,), x, numbers(1))


@pytest.mark.parametrize(
    "expression, what",
    [
        ("2147483647 + n", "integer overflow in an addition"),
        ("-2147483647 - 2 * n", "integer overflow in a subtraction"),
        ("65536 * (65535 + n)", "integer overflow in a multiplication"),
        ("1 / (n - 1)", "division by zero"),
        ("1 % (n - 1)", "division by zero"),
        ("1 << (31 + n)", "shift by a negative number, or by as many bits as there are"),
    ],
)
def test_arithmetic_of_integers(expression, what):
    function = kernel(f"y[0] = (float)({expression});  // HERE")
    assert f"{line_of(function)}: {what}" in faults_of(function, (1,), (1,), numbers(1), 1)


def test_division_by_zero_in_a_plain_run():
    function = kernel("y[0] = (float)(7 / (n - 1));  // HERE")
    with pytest.raises(KernelError, match=f"{line_of(function)}: division by zero"):
        run(function, (1,), (1,), numbers(1), 1)


def test_too_many_variables_for_a_threads_stack():
    function = kernel("volatile float much[1 << 16]; for (int i = 0; i < n; i++) much[i] = i;  y[0] = much[n / 2];")
    with pytest.raises(KernelError, match="stack overflow: the variables of a thread need more than 128 KB"):
        run(function, (1,), (1,), numbers(1), 1 << 16)


# ---- what is told ----


def test_faults_name_threads_and_blocks_in_three_dimensions():
    bad = kernel("if (threadIdx.z == 1 && threadIdx.y == 2 && blockIdx.y == 1)\n y[n] = 1;  // HERE")
    assert "thread (0,2,1) of block (0,1,0)" in faults_of(bad, (2, 2), (2, 3, 2), numbers(4), 4)


def test_a_fault_in_an_included_file(tmp_path):
    (tmp_path / "part.cuh").write_text("\n\n__device__ void store(float* y, int k)\n{\n    y[k] = 1;\n}\n")
    function = kernel("store(y, n);", before='#include "part.cuh"', options=(f"-I{tmp_path}",))
    assert "part.cuh:5: out-of-bounds write" in faults_of(function, (1,), (1,), numbers(1), 1)


def test_a_fault_is_told_once_and_few_in_all():
    bad = kernel("y[n + threadIdx.x % 2] = 1;" * 2, "float* y, int n")
    many = kernel("".join(f"y[{i}] = 1;\n" for i in range(20)))
    assert faults_of(bad, (1,), (8,), numbers(9), 4).count("race") <= 2
    assert faults_of(many, (1,), (8,), numbers(20), 4).count("race") == 8


def test_a_kernel_runs_again_after_a_fault():
    function = kernel("__syncthreads(); y[threadIdx.x] = 1; if (n) y[n] = 2; __syncthreads();")
    for _ in range(3):
        faults_of(function, (2,), (64,), numbers(64), 64)
        assert run(function, (1,), (64,), numbers(64), 0, check=True)[0].tolist() == [1] * 64
