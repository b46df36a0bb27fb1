"""What the profile counts, for patterns whose numbers are known."""

import numpy as np
import pytest
from emulator.harness import faults_of, kernel, line_of, numbers, run

from nn.emulator import cupy, mode, profile


def counted(body, *arguments, parameters="const float* x, float* y", grid=(1,), block=(32,), **options):
    """For the line marked HERE: {"read global": (warps, moved, least), ...}."""
    function = kernel(body, parameters, **options)
    run(function, grid, block, *arguments, profile=True)
    file, line = line_of(function).split(":")
    return {what: (count.times, count.moved, count.least) for what, count in function.profile.lines[file, int(line)].items()}


def runs_of(function):
    """For each line of test.cu marked with `// NAME`: (how often a warp came through it, by how many lanes in all); None without code."""
    runs = function.profile.runs()
    text = function.module.code.splitlines()[1:]
    marks = [(number, *line.split("// ")[1:]) for number, line in enumerate(text, 1)]
    return {found[1]: runs.get(("test.cu", found[0])) for found in marks if len(found) == 2}


def ran(body, *, grid=(1,), block=(32,), order="forward", before=""):
    """The runs of a kernel's marked lines; n is 10."""
    function = kernel(body, before=before)
    run(function, grid, block, numbers(4096), 10, profile=True, order=order)
    return runs_of(function)


X, Y = numbers(4096), np.zeros(4096, np.float32)


@pytest.mark.parametrize(
    "index, sectors, least",
    [
        ("threadIdx.x", 4, 4),  # 128 bytes in a row
        ("threadIdx.x + 1", 5, 4),  # and not where a sector begins
        ("threadIdx.x * 2", 8, 4),
        ("threadIdx.x * 32", 32, 4),  # a column: a sector each
        ("7", 1, 1),  # all the same
        ("threadIdx.x / 8", 1, 1),
        ("31 - threadIdx.x", 4, 4),
    ],
)
def test_sectors_of_a_read(index, sectors, least):
    got = counted(f"float v = x[{index}];  // HERE\n y[threadIdx.x] = v;", X, Y)
    assert got == {"read global": (1, sectors, least)}


def test_wide_reads_and_writes():
    got = counted("((float4*)y)[threadIdx.x] = ((const float4*)x)[threadIdx.x];  // HERE", X, Y)
    assert got == {"read global": (1, 16, 16), "write global": (1, 16, 16)}
    got = counted("((float4*)y)[threadIdx.x * 2] = ((const float4*)x)[threadIdx.x * 2];  // HERE", X, Y)
    assert got == {"read global": (1, 32, 16), "write global": (1, 32, 16)}


def test_bytes():
    got = counted(
        "y[threadIdx.x] = x[threadIdx.x];  // HERE",
        numbers(32, np.uint8),
        numbers(32, np.uint8),
        parameters="const unsigned char* x, unsigned char* y",
    )
    assert got == {"read global": (1, 1, 1), "write global": (1, 1, 1)}


@pytest.mark.parametrize(
    "index, passes",
    [
        ("threadIdx.x", 1),
        ("0", 1),  # one word for all: a broadcast
        ("threadIdx.x / 2", 1),
        ("threadIdx.x * 2", 2),
        ("threadIdx.x * 8", 8),
        ("threadIdx.x * 32", 32),
        ("threadIdx.x * 33", 1),  # a column of a matrix padded by one
        ("(threadIdx.x ^ 5)", 1),
        ("threadIdx.x % 2 * 32", 2),
    ],
)
def test_bank_conflicts(index, passes):
    body = f"""__shared__ float room[2048];
        for (int i = threadIdx.x; i < 2048; i += 32) room[i] = i;
        __syncthreads();
        float v = room[{index}];  // HERE
        y[threadIdx.x] = v;"""
    assert counted(body, X, Y) == {"read shared": (1, passes, 1)}


@pytest.mark.parametrize("index, passes", [("threadIdx.x", 4), ("threadIdx.x * 2", 8), ("threadIdx.x * 8", 32), ("0", 4)])
def test_bank_conflicts_of_float4(index, passes):
    """Four quarters of a warp, 128 bytes a pass."""
    body = f"""__shared__ float4 room[256];
        for (int i = threadIdx.x; i < 256; i += 32) room[i] = make_float4(i, i, i, i);
        __syncthreads();
        *(float4*)(y + 4 * threadIdx.x) = room[{index}];  // HERE"""
    assert counted(body, X, Y)["read shared"] == (1, passes, 4)


def test_loops_warps_and_blocks():
    body = "for (int i = 0; i < 5; i++)\n y[i * 192 + blockIdx.x * 96 + threadIdx.x] = x[i * 32 + threadIdx.x % 32];  // HERE"
    got = counted(body, X, Y, grid=(2,), block=(96,))
    assert got == {"read global": (5 * 6, 5 * 6 * 4, 5 * 6 * 4), "write global": (5 * 6, 5 * 6 * 4, 5 * 6 * 4)}


def test_lanes_that_stay_away():
    got = counted("if (threadIdx.x < 8) y[threadIdx.x] = x[threadIdx.x];  // HERE", X, Y)
    assert got == {"read global": (1, 1, 1), "write global": (1, 1, 1)}


def test_barriers_shuffles_and_atomics():
    function = kernel(
        "__syncthreads();  // ONE\n float v = __shfl_xor_sync(~0u, x[0], 1);  // TWO\n atomicAdd(y, v);  // THREE",
        "const float* x, float* y",
    )
    run(function, (3,), (64,), X, Y, profile=True)

    def times(mark, what):
        return function.profile.lines["test.cu", int(line_of(function, mark).split(":")[1])][what].times

    assert times("ONE", "barrier") == 3
    assert times("TWO", "warp operation") == 6
    assert times("THREE", "atomic global") == 6


def test_the_listing_and_the_report():
    function = kernel("y[blockIdx.x * 32 + threadIdx.x] =\n x[threadIdx.x * 32];  // HERE", "const float* x, float* y", name="columns")
    run(function, (2,), (32,), X, Y, profile=True)
    listing = function.listing()
    assert listing.startswith("columns, 1 launch\n")
    number = line_of(function).split(":")[1]
    (row,) = [row for row in listing.splitlines() if row.endswith("// HERE")]
    assert row.split()[:6] == ["2", "read", "global", "64", "8", "8.00x"] and row.split()[6] == number
    assert "global memory: 2304 bytes in 72 sectors, 4.50x the least; 512 bytes asked for" in listing
    assert "shared memory: 0 passes, 0 of them for bank conflicts" in listing
    assert profile.report() == listing
    run(function, (2,), (32,), X, Y, profile=True)
    assert function.listing() == listing, "a new profile begins anew"


def test_a_profile_is_checked_too():
    assert "out-of-bounds" in faults_of(kernel("y[n] = 1;"), (1,), (1,), numbers(1), 1, profile=True)


def test_a_loop_in_four_warps():
    body = "float s = 0;\n for (int i = 0; i < n; i++)  // LOOP\n s += i;  // BODY\n y[threadIdx.x] = s;  // END"
    assert ran(body, block=(128,)) == {"LOOP": (44, 44 * 32), "BODY": (40, 40 * 32), "END": (4, 4 * 32)}  # a loop tests once more


def test_half_the_lanes():
    """Also where an optimising compiler would need no branch."""
    body = """float v = 0;  // BEFORE
        if (threadIdx.x % 2)  // IF
            v = 1;  // THEN
        else
            v = 2;  // ELSE
        y[threadIdx.x] = v;  // AFTER"""
    assert ran(body) == {"BEFORE": (1, 32), "IF": (1, 32), "THEN": (1, 16), "ELSE": (1, 16), "AFTER": (1, 32)}


def test_a_condition_that_whole_warps_share_is_no_divergence():
    body = "if (threadIdx.x / 32 % 2)\n y[threadIdx.x] = 1;  // THEN"
    assert ran(body, block=(256,)) == {"THEN": (4, 4 * 32)}


def test_loops_as_long_as_each_lane_likes():
    body = """int s = 0;
        for (int i = 0; i < (int)threadIdx.x; i++)  // LOOP
            s += i;  // BODY
        y[threadIdx.x] = s;  // AFTER"""
    assert ran(body) == {"LOOP": (32, 32 * 33 // 2), "BODY": (31, 31 * 32 // 2), "AFTER": (1, 32)}


def test_lanes_that_take_a_branch_one_after_the_other():
    """Each in another turn of the loop: 32 runs of one lane, not one run of 32."""
    body = """int s = 0;
        for (int i = 0; i < 32; i++) {
            if (i != threadIdx.x)
                continue;  // MOST
            s += i;  // ONE
        }
        y[threadIdx.x] = s;"""
    assert ran(body) == {"MOST": (32, 32 * 31), "ONE": (32, 32)}


def test_break_and_return():
    body = """if (threadIdx.x >= 24)
            return;  // RETURN
        int i = 0;  // STAYED
        while (true) {
            if (i == threadIdx.x % 4)
                break;  // BREAK
            i++;  // MORE
        }
        y[threadIdx.x] = i;  // AFTER"""
    assert ran(body) == {"RETURN": (1, 8), "STAYED": (1, 24), "BREAK": (4, 24), "MORE": (3, 18 + 12 + 6), "AFTER": (1, 24)}


def test_lanes_meet_at_the_next_turn_of_an_endless_loop():
    """Whichever way through it they took: at its end or from its middle, or by an inner loop that they left at another time."""
    body = """int i = 0, s = 0;
        while (true) {
            i++;  // TURN
            if (i > 4)
                break;  // LAST
            if (threadIdx.x % 2)
                continue;  // ODD
            int j = 0;
            while (true) {
                j++;  // INNER
                if (j > threadIdx.x % 4)
                    break;
            }
        }
        y[threadIdx.x] = s;  // AFTER"""
    inner = (4 * 3, 4 * (8 * 1 + 8 * 3))  # in each of 4 turns once by lanes 0, 4, ..., three times by lanes 2, 6, ...
    assert ran(body) == {"TURN": (5, 5 * 32), "LAST": (1, 32), "ODD": (4, 64), "INNER": inner, "AFTER": (1, 32)}


def test_a_switch():
    body = """int v = 0;
        switch (threadIdx.x % 4) {
        case 0:
            v = 3;  // ZERO
            break;  // ITS BREAK
        case 1:
            v = 4;  // ONE
        case 2:
            v++;  // ONE OR TWO
            break;
        default:
            v = 9;  // OTHER
        }
        y[threadIdx.x] = v;  // AFTER"""
    assert ran(body) == {"ZERO": (1, 8), "ITS BREAK": (1, 8), "ONE": (1, 8), "ONE OR TWO": (1, 16), "OTHER": (1, 8), "AFTER": (1, 32)}


def test_a_break_where_the_compiler_plays():
    """Only what runs is counted, and what runs in the compiler may hold a `break`, too."""
    before = """constexpr int half(int n)
{
    while (true) {
        if (n < 10)
            break;
        n /= 2;
    }
    return n;
}"""
    assert ran("constexpr int five = half(40);\n y[threadIdx.x] = five;  // HERE", before=before) == {"HERE": (1, 32)}


def test_a_line_never_reached_and_a_line_without_code():
    body = "float v;  // NO CODE\n if (n < 0)\n y[0] = 1;  // NEVER\n __shared__ int room[32];  // NO CODE EITHER"
    assert ran(body) == {"NO CODE": None, "NEVER": (0, 0), "NO CODE EITHER": None}


def test_warps_that_are_not_full():
    assert ran("y[threadIdx.x] = 1;  // HERE", block=(40,)) == {"HERE": (2, 40)}
    assert ran("y[threadIdx.y * 8 + threadIdx.x] = 1;  // HERE", block=(8, 5)) == {"HERE": (2, 40)}


BARRIERS = """__shared__ float room[64];
    room[threadIdx.x] = threadIdx.x;  // FILL
    for (int half = 32; half > 0; half /= 2) {  // LOOP
        __syncthreads();  // BARRIER
        if (threadIdx.x < half)
            room[threadIdx.x] += room[threadIdx.x + half];  // ADD
    }
    if (threadIdx.x == 0)
        y[blockIdx.x] = room[0];  // RESULT"""


@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled"])
def test_barriers(order):
    """A sum by halves: whole warps leave first, then lanes."""
    assert ran(BARRIERS, grid=(3,), block=(64,), order=order) == {
        "FILL": (6, 6 * 32),
        "LOOP": (6 * 7, 6 * 7 * 32),
        "BARRIER": (6 * 6, 6 * 6 * 32),
        "ADD": (3 * 6, 3 * 63),
        "RESULT": (3, 3),
    }


def test_shuffles():
    body = """float v = threadIdx.x;
        for (int apart = 16; apart > 0; apart /= 2)
            v += __shfl_xor_sync(~0u, v, apart);  // SHUFFLE
        if (threadIdx.x < 4)
            v = __shfl_xor_sync(0xf, v, 1);  // FOUR
        y[threadIdx.x] = v;  // AFTER"""
    assert ran(body, block=(32,)) == {"SHUFFLE": (5, 5 * 32), "FOUR": (1, 4), "AFTER": (1, 32)}


def test_functions():
    before = """__device__ float square(float v)
{
    return v * v;  // CALLED TWICE
}
__device__ int factorial(int n)
{
    if (n < 2)
        return 1;  // INNERMOST
    return n * factorial(n - 1);  // OUTER
}
template <class T>
__device__ T half(T v)
{
    return v / 2;  // OF TWO TYPES
}
__device__ float unused(float v)
{
    return v;  // UNUSED
}"""
    body = """float v = square(threadIdx.x);
        v += threadIdx.x < 8 ? square(v) : v;  // CALL
        v += half(v) + half(3) + factorial(threadIdx.x < 4 ? 5 : 3);
        y[threadIdx.x] = v;"""
    assert ran(body, before=before, block=(32,)) == {
        "CALLED TWICE": (2, 32 + 8),
        "INNERMOST": (2, 32),  # those of factorial(5) are deeper in calls: they are back first
        "OUTER": (4, 4 + 4 + 32 + 32),
        "OF TWO TYPES": (2, 64),
        "UNUSED": (0, 0),
        "CALL": (1, 32),
    }


def test_functions_of_the_emulator_are_none_of_the_kernels_lines():
    body = "float v = max(fabs(y[threadIdx.x]), 3.f);  // HERE\n y[threadIdx.x] = rsqrtf(v);"
    function = kernel(body, before="#include <math.h>")
    run(function, (1,), (32,), numbers(32), 1, profile=True)
    assert runs_of(function) == {"HERE": (1, 32)}
    assert {file for file, _ in function.profile.runs()} == {"test.cu"}


def test_lines_of_an_included_file(tmp_path):
    (tmp_path / "twice.cuh").write_text("__device__ float twice(float v)\n{\n    return v + v;\n}\n")
    function = kernel("y[threadIdx.x] = twice(n);", before='#include "twice.cuh"', options=(f"-I{tmp_path}",))
    run(function, (1,), (64,), numbers(64), 1, profile=True)
    (runs,) = [runs for (file, line), runs in function.profile.runs().items() if file.endswith("twice.cuh") and line == 3]
    assert runs == (2, 64)
    assert [row.split()[1:3] for row in function.listing().splitlines() if row.endswith("return v + v;")] == [["2", "32.0"]]


def test_launches_add_up_and_a_new_profile_begins_anew():
    function = kernel("y[blockIdx.x * 32 + threadIdx.x] = n;  // HERE")
    with mode(profile=True):
        run(function, (2,), (32,), numbers(64), 1)
        run(function, (1,), (16,), numbers(32), 1)
    assert runs_of(function) == {"HERE": (3, 80)}
    run(function, (1,), (32,), numbers(32), 1, profile=True)
    assert runs_of(function) == {"HERE": (1, 32)}


def test_a_profile_leaves_what_one_run_leaves():
    """Lines are counted in a run of their own, whose results are dropped; also where one array is handed in twice."""
    (y,) = run(kernel("y[threadIdx.x] += 1;"), (1,), (32,), numbers(32), 1, profile=True)
    np.testing.assert_array_equal(y, numbers(32) + 1)
    array = cupy.asarray(numbers(32))
    with mode(profile=True):
        kernel("x[threadIdx.x] += 1;\n y[threadIdx.x] *= 2;", "float* x, float* y")((1,), (32,), (array, array))
    np.testing.assert_array_equal(array.get(), 2 * (numbers(32) + 1))


def test_the_listing_shows_the_runs_of_every_line():
    body = """int s = 0;
    for (int i = 0; i < 1000000 / n; i++)
        if (threadIdx.x < 8)
            s += i;  // QUARTER
    if (n < 0)
        s = 7;  // NEVER
    y[threadIdx.x] = s;  // END"""
    function = kernel(body, name="aligned")
    run(function, (1,), (32,), numbers(32), 10000, profile=True)
    _, head, *rows = function.listing().splitlines()
    rows, foot = rows[:-3], rows[-3:]
    assert head.split() == ["warps", "what", "moved", "least", "line", "runs", "lanes"]
    ends = [head.index(name) + len(name) for name in ("line", "runs", "lanes")]
    found = {}
    for row in rows:
        padded = row.ljust(ends[-1])
        number, runs, lanes = (padded[begin:end].strip() for begin, end in zip([ends[0] - 4, *ends], ends, strict=False))
        if number:
            found[row.split("// ")[-1]] = (runs, lanes)
            source = function.module.code.splitlines()[int(number)]
            assert padded[ends[-1] :].strip() == source.strip(), "every column ends where its name does"
    assert found["QUARTER"] == ("100", "8.0")
    assert found["NEVER"] == ("0", "")
    assert found["END"] == ("1", "32.0")
    total = sum(runs.warps for runs in function.profile.runs().values())
    idle = 100 * 24 / (32 * total)
    assert foot[0] == f"lines: run {total} times by a warp, {100 * idle:.1f}% of the lanes idle"
