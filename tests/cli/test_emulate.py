"""`faceseed emulate`: a user's own kernel runs, is found wrong where it is, and bad input gets one line."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("compiler")

AXPY = """extern "C" __global__ void axpy(const float* x, float* y, float a, int n)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < n)
        y[k] += a * x[k];
}
"""
SUM = """__global__ void nothing() {}
extern "C" __global__ void sum(const float* x, float* total)
{
    extern __shared__ float part[];
    part[threadIdx.x] = x[threadIdx.x];
    BARRIER
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        BARRIER
    }
    if (threadIdx.x == 0)
        total[0] = part[0];
}
"""
SUM_ARGUMENTS = ["--kernel", "sum", "--grid", "1", "--block", "64", "--shared", "256", "--args", "x=64:arange", "total=1"]


@pytest.fixture
def emulate(faceseed, tmp_path):
    """emulate(text, *options) of a file own.cu: exit code, output, errors."""

    def call(text, *options):
        (tmp_path / "own.cu").write_text(text)
        return faceseed("emulate", str(tmp_path / "own.cu"), *options)

    return call


def axpy(emulate, *values, text=AXPY, options=()):
    return emulate(text, "--grid", "4", "--block", "256", *options, "--args", *values)


def test_a_right_kernel(emulate, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(1000.0))
    code, out, _ = axpy(emulate, f"x={tmp_path / 'x.npy'}", "y=1000:ones", "a=0.5", "n=1000", options=["--save", str(tmp_path / "saved")])
    assert code == 0
    assert "y: float32 1000: 1 1.5 2 2.5 3 3.5 4 4.5 ..." in out
    assert "axpy: nothing wrong found; the same bits in every order of its threads" in out
    np.testing.assert_array_equal(np.load(tmp_path / "saved" / "y.npy"), 1 + 0.5 * np.arange(1000))


def test_one_element_too_many(emulate):
    code, out, _ = axpy(emulate, "x=1000", "y=1024:zeros", "a=2", "n=1001")
    assert code == 1
    assert "out-of-bounds read" in out and "own.cu:5" in out and "thread (232,0,0) of block (3,0,0)" in out and "x[1000]" in out


def test_all_threads_on_one_element(emulate):
    code, out, _ = axpy(emulate, "x=1000", "y=1:zeros", "a=2", "n=1000", text=AXPY.replace("y[k]", "y[0]"))
    assert code == 1 and "race" in out and "own.cu:5" in out


def test_empty_arrays(emulate):
    code, out, _ = axpy(emulate, "x=0", "y=0", "a=2", "n=0")
    assert code == 0 and "y: float32 0:" in out


def test_an_unwritten_output_is_said(emulate):
    code, out, _ = axpy(emulate, "x=1000", "y=1000", "a=2", "n=10", text=AXPY.replace("+=", "="))
    assert code == 0 and "(990 of 1000 not finite: unwritten?)" in out


def test_dynamic_shared_memory_macros_and_a_choice_of_kernels(emulate):
    code, out, _ = emulate(SUM, "-D", "BARRIER=__syncthreads();", *SUM_ARGUMENTS)
    assert (code, "total: float32 1: 2016" in out) == (0, True)
    code, out, _ = emulate(SUM, "-D", "BARRIER=", *SUM_ARGUMENTS)
    assert code == 1 and ("race" in out or "uninitialised" in out)


def test_our_header_for_ptx_is_at_hand(emulate):
    text = """#include "ptx.cuh"
extern "C" __global__ void through_shared(const float* x, float* y)
{
    __shared__ float room[64];
    cp_async4(&room[threadIdx.x], &x[threadIdx.x], true);
    cp_async_commit();
    WAIT
    y[threadIdx.x] = room[threadIdx.x];
}
"""
    arguments = ["--grid", "1", "--block", "64", "--args", "x=64:arange", "y=64"]
    code, out, _ = emulate(text, "-D", "WAIT=cp_async_wait<0>();", *arguments)
    assert code == 0 and "y: float32 64: 0 1 2 3" in out
    code, out, _ = emulate(text, "-D", "WAIT=", *arguments)
    assert code == 1 and "race" in out and "cp.async" in out


def test_a_sum_by_float_atomics_depends_on_the_order(emulate):
    text = AXPY.replace("y[k] += a * x[k]", "atomicAdd(&y[0], a * x[k])")
    code, out, _ = axpy(emulate, "x=1000", "y=1:zeros", "a=2", "n=1000", text=text)
    assert code == 1 and "axpy gives something else in reverse order: 1 of 1 numbers of y" in out


def test_profile_prints_the_source_with_its_counts(emulate):
    code, out, _ = axpy(emulate, "x=1000:ones", "y=1000:zeros", "a=2", "n=1000", options=["--profile"])
    assert code == 0
    line = next(line for line in out.splitlines() if "y[k] += a * x[k];" in line)
    assert any(cell.isdigit() for cell in line.split())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["x=1000", "y=1000", "n=1000"], ["a needs a value", "const float32* x", "int32 n"]),
        (["x=1000", "y=1000", "a=1", "n=1000", "z=1"], ["z is none of its arguments"]),
        (["x=1000:seven", "y=1000", "a=1", "n=1000"], ["x=1000:seven", "expected a shape", "normal"]),
        (["x=-5", "y=1000", "a=1", "n=1000"], ["x=-5", "negative"]),
        (["x=1000000x1000000x1000", "y=1000", "a=1", "n=1000"], ["x=1000000x1000000x1000"]),
        (["x=1000", "y=1000", "a=1", "n=99999999999999999999"], ["n=99999999999999999999"]),
        (["x=gone.npy", "y=1000", "a=1", "n=1000"], ["x=gone.npy", "gone.npy"]),
        (["x=1000", "y=1000", "a=one", "n=1000"], ["a=one", "expected a number"]),
        (["x", "y=1000", "a=1", "n=1000"], ["x: expected NAME=VALUE"]),
    ],
)
def test_bad_values_get_one_line(emulate, values, words):
    code, out, err = axpy(emulate, *values)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words), err


@pytest.mark.parametrize("header", [b"\x10\x27" + b"-" * 10_000, b"\x76\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"])
def test_an_npy_file_that_holds_no_numbers(emulate, tmp_path, header):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + header)
    code, _, err = axpy(emulate, f"x={tmp_path / 'x.npy'}", "y=1000", "a=1", "n=1000")
    assert code == 2 and err.count("\n") == 1 and "x.npy: expected a shape" in err and "no arrays of numbers" in err


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (SUM, [], ["own.cu", "nothing, sum", "--kernel"]),
        (AXPY, ["--kernel", "axpby"], ["no __global__ void axpby", "axpy"]),
        ("int main() {}", [], ["no `__global__ void` function"]),
        (AXPY, ["--block", "2048"], ["own.cu", "no GPU takes the block (2048,)"]),
        (AXPY, ["--grid", "1,65536"], ["own.cu", "no GPU takes the grid (1, 65536)"]),
        (AXPY, ["--shared", "300000"], ["own.cu", "300000 bytes of shared memory"]),
        (AXPY, ["--shared", "-1"], ["own.cu", "-1 bytes"]),
        (AXPY, ["--grid", "0"], ["--grid 0: expected one to three numbers of 1 or more"]),
        (AXPY, ["--grid", "1,2,3,4"], ["--grid 1,2,3,4"]),
        (AXPY.replace("float a", "float4 a"), [], ["float4 a", "types known"]),
    ],
)
def test_bad_files_and_options_get_one_line(emulate, text, options, words):
    code, out, err = emulate(text, "--grid", "4", "--block", "256", *options, "--args", "x=1", "y=1", "a=1", "n=1")
    assert code == 2 and out == "" and err.count("\n") == 1
    assert all(word in err for word in words), err


def test_a_missing_file(faceseed):
    code, _, err = faceseed("emulate", "gone.cu", "--grid", "1", "--block", "1")
    assert code == 2 and "gone.cu: cannot be read" in err


def test_a_mistake_in_the_language_names_file_and_line(emulate):
    code, out, err = axpy(emulate, "x=10", "y=10", "a=1", "n=10", text=AXPY.replace("y[k] +=", "y[k] += b *"))
    assert code in (1, 2) and "own.cu:5" in out + err and "b" in out + err
