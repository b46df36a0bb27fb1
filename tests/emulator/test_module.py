"""What is refused before a kernel runs, and how it is built: errors of the text, the cache, no compiler."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from emulator.harness import kernel, numbers, run

from nn.emulator import CompileError, EmulatorError, compiler, cupy

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache that holds the machine, so that it need not be built again."""
    built = compiler.machine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler, "machine", lambda: built)
    return tmp_path / "faceseed"


# ---- arguments ----


def call(*arguments, grid=(1,), block=(1,), shared_mem=0):
    function = kernel("y[0] = x[0] + v;", "const float* x, float* y, float v, int n")
    function(grid, block, arguments, shared_mem=shared_mem)
    return arguments


GOOD = (cupy.asarray(numbers(4)), cupy.asarray(numbers(4)), np.float32(2), np.int32(4))


@pytest.mark.parametrize(
    "where, value, error, text",
    [
        (0, cupy.asarray(numbers(4, np.float64)), TypeError, "k: argument x expects float32, got float64"),
        (
            0,
            cupy.asarray(numbers(16).reshape(4, 4)).T,
            TypeError,
            "k: argument x is not in row-major order: copy it with ascontiguousarray",
        ),
        (1, numbers(4), TypeError, "k: argument y expects an array of the emulated GPU, got ndarray"),
        (1, np.float32(1), TypeError, "k: argument y expects an array of the emulated GPU, got float32"),
        (2, 2.0, TypeError, "k: argument v expects float32, got float64"),
        (2, np.float64(2), TypeError, "k: argument v expects float32, got float64"),
        (3, 4, TypeError, "k: argument n expects int32, got int64"),
        (3, np.uint32(4), TypeError, "k: argument n expects int32, got uint32"),
        (3, None, TypeError, "k: argument n expects int32"),
    ],
)
def test_arguments_that_do_not_fit(where, value, error, text):
    arguments = list(GOOD)
    arguments[where] = value
    with pytest.raises(error, match=text):
        call(*arguments)


def test_a_read_only_array():
    frozen = cupy.asarray(numbers(4))
    frozen.flags.writeable = False
    call(frozen, *GOOD[1:])
    with pytest.raises(TypeError, match="argument y is a read-only array"):
        call(GOOD[0], frozen, *GOOD[2:])


def test_too_few_and_too_many():
    with pytest.raises(TypeError, match=r"k takes 4 arguments \(x, y, v, n\), got 3"):
        call(*GOOD[:3])
    with pytest.raises(TypeError, match="got 5"):
        call(*GOOD, np.int32(1))


@pytest.mark.parametrize(
    "what, size", [("grid", (0,)), ("grid", (1, 65536)), ("block", (1025,)), ("block", (1, 1, 65)), ("grid", (1, 1, 1, 1))]
)
def test_sizes_that_no_gpu_takes(what, size):
    with pytest.raises(ValueError, match=re.escape(f"k: no GPU takes the {what} {size}")):
        call(*GOOD, **{what: size})


def test_too_many_threads():
    with pytest.raises(ValueError, match="k: a block of 2048 threads; it takes 1024 at most"):
        call(*GOOD, block=(64, 32))
    text = '#define T 64\nextern "C" __global__ void __launch_bounds__(T * 2, 1) k(float* y) { y[threadIdx.x] = 1; }'
    function = cupy.RawModule(code=text).get_function("k")
    run(function, (1,), (128,), numbers(128))
    with pytest.raises(ValueError, match="a block of 129 threads; it takes 128 at most"):
        run(function, (1,), (129,), numbers(129))


def test_dynamic_shared_memory_must_be_asked_for():
    function = kernel("extern __shared__ float room[]; room[n] = 1; y[0] = room[n];")
    with pytest.raises(ValueError, match=r"k: 49153 bytes of dynamic shared memory; set max_dynamic_shared_size_bytes first"):
        run(function, (1,), (1,), numbers(1), 0, shared_mem=49153)
    function.max_dynamic_shared_size_bytes = 227 << 10
    assert function.max_dynamic_shared_size_bytes == 227 << 10
    assert run(function, (1,), (1,), numbers(1), (227 << 8) - 1, shared_mem=227 << 10, check=True)[0][0] == 1
    with pytest.raises(ValueError, match="no block gets more than 232448"):
        function.max_dynamic_shared_size_bytes = (227 << 10) + 1


def test_every_type_of_number():
    types = {
        "int8": "signed char",
        "uint8": "unsigned char",
        "int16": "short",
        "uint16": "unsigned short",
        "int32": "int",
        "uint32": "unsigned",
    }
    types |= {"int64": "long long", "uint64": "unsigned long long", "float32": "float", "float64": "double", "bool": "bool"}
    for name, kind in types.items():
        dtype = np.dtype(name)
        value = dtype.type(True if name == "bool" else -3.5 if dtype.kind == "f" else np.iinfo(dtype).max)
        function = kernel("y[0] = v; y[1] = x[1];", f"const {kind}* __restrict__ x, {kind}* y, const {kind} v")
        x = np.array([0, 1]).astype(dtype)
        assert run(function, (1,), (1,), x, np.zeros(2, dtype), value)[1].tolist() == [value, 1]


def test_arrays_without_elements():
    function = kernel("if (n) y[0] = 1;")
    assert run(function, (1,), (1,), numbers(0), 0, check=True)[0].size == 0


# ---- the text ----


def test_errors_of_the_text():
    bad = kernel("float v = 1;\n y[0] = w + v;\n undefined_function(v);")
    with pytest.raises(CompileError) as caught:
        run(bad, (1,), (1,), numbers(1), 0)
    text = str(caught.value)
    assert "test.cu:5: 'w' was not declared in this scope\n    y[0] = w + v;" in text
    assert "test.cu:6: 'undefined_function' was not declared in this scope" in text
    assert "-fPIC" not in text and "machine_" not in text


def test_an_include_that_is_not_there():
    with pytest.raises(CompileError, match=r'kernel.cu:1: nowhere.cuh: No such file or directory\n    #include "nowhere.cuh"'):
        run(cupy.RawModule(code='#include "nowhere.cuh"\n').get_function("k"), (1,), (1,))


def test_a_kernel_that_is_not_there():
    with pytest.raises(EmulatorError, match="there is no kernel other; the source has: k"):
        run(kernel("y[0] = 1;").module.get_function("other"), (1,), (1,), numbers(1), 0)


def test_kernels_behind_macros():
    """Those that #if leaves out are not there; those that a macro writes are."""
    text = """
        #define EACH(name, value) extern "C" __global__ void name##_all(float* y) { y[threadIdx.x] = value; }
        EACH(two, 2)
        #if WITH
        extern "C" __global__ void three_all(float* y) { y[threadIdx.x] = missing; }
        #endif
        // __global__ void four_all(float* y) { }
        EACH(five, VALUE)"""
    built = cupy.RawModule(code=text, options=("-DWITH=0", "-DVALUE=2 + 3", "-DFLAG"))
    assert run(built.get_function("two_all"), (1,), (2,), numbers(2))[0].tolist() == [2, 2]
    assert run(built.get_function("five_all"), (1,), (2,), numbers(2))[0].tolist() == [5, 5]
    with pytest.raises(EmulatorError, match=r"there is no kernel three_all; the source has: .*two_all"):
        run(built.get_function("three_all"), (1,), (2,), numbers(2))


def test_macros_do_not_reach_the_emulators_own_headers():
    function = kernel("y[0] = T + lane + value;", options=("-DT=1", "-Dlane=2", "-Dvalue=3", "-DU=x", "-Dmask=y", "-Dold"))
    assert run(function, (1,), (1,), numbers(1), 0)[0][0] == 6


# ---- the cache ----


def test_built_once(own_cache, monkeypatch):
    function = kernel("y[0] = 1234;")
    run(function, (1,), (1,), numbers(1), 0)
    (library,) = own_cache.glob("kernel-*.so")
    monkeypatch.setattr(compiler, "compiled", lambda *_: pytest.fail("compiled again"))
    again = kernel("y[0] = 1234;")
    assert run(again, (1,), (1,), numbers(1), 0)[0][0] == 1234
    assert list(own_cache.glob("*")) == [library]


def test_built_again_when_a_header_changes(own_cache, tmp_path):
    header = tmp_path / "value.cuh"
    for value in (1, 2):
        header.write_text(f"#define VALUE {value}\n")
        function = kernel("y[0] = VALUE;", before='#include "value.cuh"', options=(f"-I{tmp_path}",))
        assert run(function, (1,), (1,), numbers(1), 0)[0][0] == value
    assert len(list(own_cache.glob("kernel-*.so"))) == 2


def test_nothing_is_left_of_a_failed_build(own_cache):
    with pytest.raises(CompileError):
        run(kernel("nonsense"), (1,), (1,), numbers(1), 0)
    assert list(own_cache.glob("*")) == []


def test_old_libraries_are_removed(own_cache):
    own_cache.mkdir()
    for name, age in (("kernel-old.so", 40), ("kernel-new.so", 20), ("notes.txt", 99)):
        (own_cache / name).write_text("")
        os.utime(own_cache / name, (0, compiler.time.time() - age * 86400))
    compiler.clear(own_cache)
    assert sorted(path.name for path in own_cache.iterdir()) == ["kernel-new.so", "notes.txt"]


PROGRAM = """
import numpy as np
from nn.emulator import cupy, mode
for check in (False, True):
    with mode(check=check):
        y = cupy.zeros(64)
        body = "__shared__ float s[64]; s[threadIdx.x] = 5; __syncthreads(); y[threadIdx.x] = s[0];"
        text = f'extern "C" __global__ void k(float* y) {{ {body} }}'
        cupy.RawModule(code=text).get_function("k")((1,), (64,), (y,))
        assert y.get().tolist() == [5] * 64
print("done")
"""


def test_two_processes_build_at_once(tmp_path):
    """From an empty cache, machine and all."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in both] == ["done\n"] * 2
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "faceseed").iterdir()) == ["kernel", "kernel", "machine"]


def test_threads_of_the_system():
    """A launch at a time; each thread finds its shared memory."""
    body = "__shared__ float room[32]; room[threadIdx.x] = n; __syncthreads(); y[threadIdx.x] = room[31 - threadIdx.x];"
    function, wrong = kernel(body), []

    def work(number):
        for _ in range(50):
            if set(run(function, (4,), (32,), numbers(32), number)[0].tolist()) != {number}:
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


# ---- where it cannot run ----


def test_no_compiler(own_cache, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    with pytest.raises(
        EmulatorError, match=r"runs on x86-64 and aarch64 Linux with g\+\+, and there is no '/nowhere/g\+\+': apt-get install g\+\+"
    ):
        run(kernel("y[0] = 4321;"), (1,), (1,), numbers(1), 0)


def test_a_compiler_that_fails(own_cache, monkeypatch):
    monkeypatch.setenv("CXX", "/bin/false")
    with pytest.raises(CompileError, match="/bin/false failed"):
        run(kernel("y[0] = 4322;"), (1,), (1,), numbers(1), 0)


@pytest.mark.parametrize("system, processor", [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "riscv64")])
def test_no_linux_or_another_processor(monkeypatch, system, processor):
    monkeypatch.setattr(compiler.platform, "system", lambda: system)
    monkeypatch.setattr(compiler.platform, "machine", lambda: processor)
    with pytest.raises(EmulatorError, match=f"the emulator runs on x86-64 and aarch64 Linux with g.., not on {system} {processor}"):
        compiler.machine.__wrapped__()


def test_a_cache_that_cannot_be_written(tmp_path, own_cache, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EmulatorError, match=r"file/faceseed cannot be written .*: set XDG_CACHE_HOME to a folder that can"):
        run(kernel("y[0] = 4323;"), (1,), (1,), numbers(1), 0)
