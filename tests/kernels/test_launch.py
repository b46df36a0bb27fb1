"""What stands between an array and a kernel: signatures, checks, the compiled text."""

import numpy as np
import pytest

from nn.emulator import cupy
from nn.gpu import activation, launch, rungs
from nn.gpu.signature import kernels, signature

pytestmark = pytest.mark.usefixtures("compiler")

TEXT = """// __global__ void in_a_comment(int n) {}
__device__ float helper(float x) { return x; }
extern "C" __global__ void __launch_bounds__((A / 2) * (B / 4), 1) first(
    const float* __restrict__ x, unsigned char *winner,   // bytes
    long long n, const unsigned m, bool relu)
{
}
__global__ void second() {}
"""


def test_a_signature_is_read_from_the_source():
    assert kernels(TEXT) == ["first", "second"]
    assert signature(TEXT, "second") == []
    x, winner, n, m, relu = signature(TEXT, "first")
    assert [a.name for a in (x, winner, n, m, relu)] == ["x", "winner", "n", "m", "relu"]
    assert [a.dtype for a in (x, winner, n, m, relu)] == ["float32", "uint8", "int64", "uint32", "bool"]
    assert (x.pointer, x.const, winner.pointer, winner.const, n.pointer) == (True, True, True, False, False)
    assert signature(TEXT, "first", double=True)[0].dtype == np.float64


def test_launch_bounds_may_stand_before_void():
    assert [a.name for a in signature("__global__ __launch_bounds__(2 * (A + 1)) void f(float* y, int n) {}", "f")] == ["y", "n"]


def test_a_missing_kernel_and_an_unknown_type_are_named():
    with pytest.raises(ValueError, match=r"no __global__ void third.* it has: first, second"):
        signature(TEXT, "third")
    with pytest.raises(ValueError, match=r"half\* x: .*types known here are float"):
        signature("__global__ void f(half* x) {}", "f")


def run(*arguments):
    launch.launch("activation.cu", "relu_forward", (1,), (32,), *arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((cupy.zeros(4), cupy.zeros(4)), TypeError, "relu_forward in activation.cu takes 3 arguments, got 2"),
        ((cupy.zeros(4), cupy.zeros(4, np.float64), 4), TypeError, "argument x expects float64, got float32: convert with .astype"),
        ((cupy.zeros(4, np.int32), cupy.zeros(4), 4), TypeError, "argument x expects float32, got int32"),
        ((cupy.zeros(8)[::2], cupy.zeros(4), 4), TypeError, "argument x expects memory in row-major order"),
        ((cupy.zeros(4), cupy.zeros(4), 2**31), OverflowError, "argument n is 2147483648, more than int32 holds: use a smaller batch"),
        ((cupy.zeros(4), cupy.zeros(4), -(2**31) - 1), OverflowError, "argument n is -2147483649"),
    ],
)
def test_arguments_are_held_to_the_signature(arguments, error, words):
    with pytest.raises(error, match=words):
        run(*arguments)


def test_an_array_too_large_for_int_is_refused(monkeypatch):
    monkeypatch.setattr(launch, "MOST", 3)
    with pytest.raises(OverflowError, match="argument x has 4 elements, more than 3: use a smaller batch"):
        run(cupy.zeros(4), cupy.zeros(4), 4)


def test_an_empty_grid_is_no_launch():
    launch.launch("activation.cu", "no such kernel", (0,), (32,))


def test_a_kernel_is_compiled_once():
    launch.kernel.cache_clear()
    for _ in range(3):
        activation.relu(cupy.zeros(4))
    assert launch.kernel.cache_info().misses == 1


def test_the_text_changes_with_its_headers(monkeypatch, tmp_path):
    (tmp_path / "a.cuh").write_text("1")
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    launch.headers.cache_clear()
    one = launch.headers()
    (tmp_path / "a.cuh").write_text("2")
    launch.headers.cache_clear()
    assert launch.headers() != one
    launch.headers.cache_clear()


def test_the_preferred_rung_is_taken_where_it_can_be():
    able = ["naive", "tile", "block"]
    assert rungs.choose("gemm", able) == "block"
    with rungs.prefer(gemm="tile"):
        assert rungs.choose("gemm", able) == "tile"
        with rungs.prefer(gemm="naive", conv="direct"):
            assert (rungs.choose("gemm", able), rungs.choose("gemm", able[1:])) == ("naive", "block")
        assert rungs.TAKEN["gemm"] == "block" and rungs.PREFERRED == {"gemm": "tile"}
    assert rungs.PREFERRED == {}


@pytest.mark.parametrize(("wrong", "words"), [({"gemm": "fast"}, "gemm has naive, tile, block"), ({"dense": "tile"}, "families are conv")])
def test_an_unknown_rung_is_named(wrong, words):
    with pytest.raises(ValueError, match=words), rungs.prefer(**wrong):
        pass
