"""Every kernel, in every way in which it is compiled, as NVIDIA's own compiler sees it: no GPU is needed to know that it compiles for a
card, fits into the card's registers, and that its main loop is mostly arithmetic."""

import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from kernels import nvrtc, sass
from kernels.builds import builds

from models.measure.judge import chosen, prepared, sent
from models.measure.kernels import SMALL, TINY
from models.measure.kernels import cases as operations
from nn.gpu import launch
from nn.gpu.signature import kernels, signature

CAPABILITIES = (61, 75, 80, 90)
TENSOR_CORES = "ptx.cuh"  # what uses them, or asynchronous copies, includes this; it knows no double
MOST_REGISTERS = 128  # of a kernel on tensor cores: two blocks of 256 threads share an SM's 65536


class Case(NamedTuple):
    """A file, its macros, the card that it is compiled for, and whether `float` is read as double."""

    file: str
    macros: tuple[tuple[str, Any], ...]
    capability: int
    double: bool = False

    def __str__(self) -> str:
        macros = (f"{name}={value}" for name, value in self.macros)
        return " ".join([self.file, *macros, f"sm_{self.capability}", *(["double"] if self.double else [])])


class Demand(NamedTuple):
    """The main loop of a kernel has at least this share of an instruction."""

    file: str
    kernel: str
    opcode: str
    least: float


DEMANDS = [
    Demand("conv_igemm.cu", "conv_igemm", "FFMA", 0.8),
    Demand("conv_tensor.cu", "conv_tensor", "HMMA", 0.2),
    Demand("conv_weights.cu", "weights_igemm", "FFMA", 0.8),
    Demand("conv_weights_mma.cu", "weights_mma", "HMMA", 0.2),
    Demand("gemm.cu", "gemm_block", "FFMA", 0.8),
]


def cases_for(capabilities: Iterable[int], double: bool = False) -> list[Case]:
    """The builds that these cards can run."""
    return [
        Case(build.file, tuple(sorted(build.macros.items())), capability, double)
        for build in builds()
        for capability in capabilities
        if capability >= build.since and not (double and TENSOR_CORES in launch.source(build.file))
    ]


def compile_case(case: Case) -> nvrtc.Compiled:
    """As launch.kernel has it compiled."""
    text = (launch.DOUBLE if case.double else "") + f'#line 1 "{case.file}"\n{launch.source(case.file)}'
    macros = (f"-D{name}={value}" for name, value in case.macros)
    return nvrtc.compiled(text, case.capability, f"-I{launch.FOLDER}", *macros, name=case.file)


class Cubins:
    """Compiles ahead, on all cores, what the selected tests will ask for."""

    def __init__(self, pool: ThreadPoolExecutor, ahead: Iterable[Case]):
        self.pool = pool
        self.futures: dict[Case, Future] = {}
        self.read: dict[Case, dict[str, sass.Kernel]] = {}
        for case in ahead:
            self.start(case)

    def start(self, case: Case) -> Future:
        """The compilation, begun now if it was not before."""
        if case not in self.futures:
            self.futures[case] = self.pool.submit(compile_case, case)
        return self.futures[case]

    def __call__(self, case: Case) -> nvrtc.Compiled:
        return self.start(case).result()

    def code(self, case: Case) -> dict[str, sass.Kernel]:
        """Its machine code."""
        if case not in self.read:
            self.read[case] = sass.disassembled(self(case).cubin)
        return self.read[case]


@pytest.fixture(scope="module", autouse=True)
def tools():
    """NVRTC and nvdisasm: in CI they must be there."""
    try:
        nvrtc.library()
        sass.program()
    except FileNotFoundError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f'not run: {missing}, or pip install -e ".[kernels]"')


@pytest.fixture(scope="module")
def cubins(request, tools):
    """cubins(case): what the compiler made of it."""
    chosen = [item.callspec.params.get("case") for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    pool = ThreadPoolExecutor(os.cpu_count())
    yield Cubins(pool, [case for case in chosen if case])
    pool.shutdown(cancel_futures=True)


# ---- what is demanded ----


def check_clean(made: nvrtc.Compiled) -> None:
    """Kernels came out, and the compiler has nothing to remark."""
    assert made.kernels
    assert not made.warnings


def check_no_spills(made: nvrtc.Compiled) -> None:
    """All that a thread works on fits into its registers."""
    spilled = {name: usage for name, usage in made.kernels.items() if usage.spill_stores or usage.spill_loads}
    assert not spilled


def check_tensor_cores(made: nvrtc.Compiled, code: dict[str, sass.Kernel]) -> None:
    """There is a kernel on tensor cores; each is fed by asynchronous copies and leaves room for a second block on the SM."""
    on_tensor_cores = {name: mix for name, kernel in code.items() if (mix := kernel.mix())["HMMA"]}
    assert on_tensor_cores
    for name, mix in on_tensor_cores.items():
        assert mix["LDGSTS"], f"{name} copies through registers"
        assert made.kernels[name].registers <= MOST_REGISTERS, name


def check_main_loop(code: dict[str, sass.Kernel], kernel: str, opcode: str, least: float) -> None:
    """The main loop is mostly arithmetic."""
    mix = code[kernel].main_loop(opcode)
    assert sass.share(mix, opcode) >= least, f"{kernel}: {sass.share(mix, opcode):.0%} {opcode} of {mix.total()}: {mix.most_common(8)}"


# ---- the kernels ----


@pytest.mark.parametrize("case", cases_for(CAPABILITIES), ids=str)
def test_compiles_clean_and_fits(cubins, case):
    made = cubins(case)
    check_clean(made)
    if case.capability >= 80:
        check_no_spills(made)


@pytest.mark.parametrize("case", cases_for([80], double=True), ids=str)
def test_compiles_in_double_precision(cubins, case):
    check_clean(cubins(case))


@pytest.mark.parametrize("case", [case for case in cases_for([80, 90]) if "mma_tf32(" in launch.source(case.file)], ids=str)
def test_tensor_cores(cubins, case):
    check_tensor_cores(cubins(case), cubins.code(case))


@pytest.mark.parametrize("demand", DEMANDS, ids=lambda demand: f"{demand.kernel} {demand.opcode}")
@pytest.mark.parametrize("capability", [80, 90])
def test_main_loop(cubins, demand, capability):
    """In every build that has the kernel; at least one has."""
    having = [case for case in cases_for([capability]) if case.file == demand.file and demand.kernel in cubins(case).kernels]
    assert having
    for case in having:
        check_main_loop(cubins.code(case), *demand[1:])


def test_nothing_is_left_out(cubins):
    """Every kernel of every .cu file comes out of some build."""
    files = {path.name for path in launch.FOLDER.glob("*.cu")}
    made = {file: set() for file in files}
    for case in cases_for([max(CAPABILITIES)]):
        made[case.file] |= set(cubins(case).kernels)
    for file in files:
        assert set(kernels(launch.source(file))) == made[file], file


class Recorded:
    """In a kernel's place: it does nothing."""

    max_dynamic_shared_size_bytes = 0

    def __call__(self, *arguments: Any, **options: Any) -> None:
        pass


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [TINY, SMALL], ids=["tiny", "small"])
def test_every_launch_finds_a_build(monkeypatch, scale, dtype):
    """What the launchers ask for, on every rung, is among what is compiled here."""
    asked = set()

    def recorded(xp, file, name, double, macros):
        asked.add((file, macros))
        return Recorded(), signature(launch.source(file), name, double)

    monkeypatch.setattr(launch, "kernel", recorded)
    for case in operations(scale):
        arrays = [array.astype(dtype) for array in sent(case, "emulated")]
        for rung in case.rungs:
            with chosen(case, rung):
                prepared(case, arrays)()
    compiled = {(build.file, tuple(sorted(build.macros.items()))) for build in builds()}
    assert asked and not asked - compiled


# ---- the demands themselves: each is met by a good kernel, and not by a bad one ----

GOOD = """
extern "C" __global__ void sums(const float* x, float* y, int n)
{
    float s[32] = {};
    for (int k = 0; k < n; k++) {
        const float v = x[k];
        #pragma unroll
        for (int i = 0; i < 32; i++) s[i] = fmaf(s[i], v, v);
    }
    for (int i = 0; i < 32; i++) y[i] = s[i];
}
"""
SPILLS = GOOD.replace("void sums", "void __launch_bounds__(1024, 2) sums").replace("32", "96")
WARNS = GOOD.replace("float s[32]", "int unused; float s[32]")
COPIES = GOOD.replace("s[i] = fmaf(s[i], v, v)", "s[i] = fmaxf(s[i] * v, v)")
TENSOR = """
#include "ptx.cuh"
extern "C" __global__ void product(const float* x, float* y, int n)
{
    __shared__ float staged[128];
    float d[4] = {};
    for (int k = 0; k < n; k++) {
        cp_async16(staged + threadIdx.x % 32 * 4, x + k * 128 + threadIdx.x % 32 * 4, true);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads();
        unsigned a[4], b[2] = {__float_as_uint(staged[k % 7]), __float_as_uint(staged[k % 5])};
        ldmatrix_x4(a, staged + threadIdx.x % 32 * 4);
        mma_tf32(d, a, b);
        __syncthreads();
    }
    for (int i = 0; i < 4; i++) y[threadIdx.x * 4 + i] = d[i];
}
"""
NOT_COPIED = TENSOR.replace("cp_async16(", "*(float4*)(").replace(", x + k", ") = *(const float4*)(x + k").replace(" * 4, true)", " * 4)")
NO_TENSOR = TENSOR.replace("mma_tf32(d, a, b);", "d[0] += __uint_as_float(a[0]) * __uint_as_float(b[0]);")


def made_of(text):
    return nvrtc.compiled(text, 90, f"-I{launch.FOLDER}")


def test_a_kernel_that_spills_is_found():
    check_no_spills(made_of(GOOD))
    with pytest.raises(AssertionError):
        check_no_spills(made_of(SPILLS))


def test_a_kernel_that_warns_is_found():
    check_clean(made_of(GOOD))
    with pytest.raises(AssertionError):
        check_clean(made_of(WARNS))


def test_a_text_that_does_not_compile_is_found():
    with pytest.raises(nvrtc.CompileError, match="expected a"):
        made_of(GOOD.replace("float v = x[k];", "float v = x[k]"))


def test_a_wrong_mix_is_found():
    good, bad = (sass.disassembled(made_of(text).cubin) for text in (GOOD, COPIES))
    check_main_loop(good, "sums", "FFMA", 0.8)
    with pytest.raises(AssertionError, match="FFMA"):
        check_main_loop(bad, "sums", "FFMA", 0.8)


@pytest.mark.parametrize("text", [NOT_COPIED, NO_TENSOR], ids=["copies through registers", "no tensor core"])
def test_a_kernel_beside_the_tensor_cores_is_found(text):
    good, bad = made_of(TENSOR), made_of(text)
    check_tensor_cores(good, sass.disassembled(good.cubin))
    with pytest.raises(AssertionError):
        check_tensor_cores(bad, sass.disassembled(bad.cubin))


def test_too_many_registers_beside_the_tensor_cores_are_found():
    good = made_of(TENSOR)
    code = sass.disassembled(good.cubin)
    hungry = good._replace(kernels={name: usage._replace(registers=MOST_REGISTERS + 1) for name, usage in good.kernels.items()})
    with pytest.raises(AssertionError):
        check_tensor_cores(hungry, code)
