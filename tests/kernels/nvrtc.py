"""CUDA C compiled where there is no GPU: NVIDIA's run-time compiler out of its Python wheel, called through ctypes.

`compiled(text, 90)` gives what CuPy would load on a card of compute capability 9.0, and what ptxas says of each kernel. The wheel is
nvidia-cuda-nvrtc-cu12; no driver, no toolkit, no CuPy is asked for. NVRTC takes several programs at once from several threads.
"""

import ctypes
import functools
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

WHEEL = "nvidia-cuda-nvrtc-cu12"
LIBRARIES = ("cuda_nvrtc/lib/libnvrtc.so.12", "cuda_nvrtc/bin/nvrtc64_120_0.dll")  # in the wheel, on Linux and Windows
OPTIONS = ("-std=c++17", "--ptxas-options=-v")
DEPRECATED = "Architectures prior to"  # no fault of the text: the compiler says that it will drop cards before 7.5


class CompileError(Exception):
    """What the compiler says against the text."""


class Usage(NamedTuple):
    """What a kernel takes: registers a thread; bytes a thread spilled to memory and fetched back; static shared bytes a block."""

    registers: int
    spill_stores: int
    spill_loads: int
    shared: int


class Compiled(NamedTuple):
    """Machine code, what each kernel takes, and the compiler's warnings."""

    cubin: bytes
    kernels: dict[str, Usage]
    warnings: list[str]


def compiled(text: str, capability: int, *options: str, name: str = "kernel.cu") -> Compiled:
    """Compile for one compute capability, 90 for 9.0. Raises CompileError."""
    nvrtc = library()
    program = ctypes.c_void_p()
    ask(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None))
    try:
        every = [option.encode() for option in (f"-arch=sm_{capability}", *OPTIONS, *options)]
        code = nvrtc.nvrtcCompileProgram(program, len(every), (ctypes.c_char_p * len(every))(*every))
        log = fetched("ProgramLog", program).rstrip(b"\0").decode()
        if code:
            raise CompileError(log)
        warnings = [line for line in log.splitlines() if "warning" in line.lower() and DEPRECATED not in line]
        return Compiled(fetched("CUBIN", program), usages(log), warnings)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def usages(log: str) -> dict[str, Usage]:
    """What `ptxas -v` writes of each kernel."""
    found = {}
    for kernel, said in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", log, re.DOTALL):
        numbers = (r"Used (\d+) registers", r"(\d+) bytes spill stores", r"(\d+) bytes spill loads", r"(\d+) bytes smem")
        found[kernel] = Usage(*(int(match[1]) if (match := re.search(number, said)) else 0 for number in numbers))
    return found


def fetched(what: str, program: ctypes.c_void_p) -> bytes:
    """The bytes of nvrtcGet<what>, whose size is asked first."""
    size = ctypes.c_size_t()
    ask(getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    content = ctypes.create_string_buffer(size.value)
    ask(getattr(library(), f"nvrtcGet{what}")(program, content))
    return content.raw


def ask(code: int) -> None:
    """Raise CompileError where NVRTC answers with an error."""
    if code:
        raise CompileError(library().nvrtcGetErrorString(code).decode())


@functools.cache
def library() -> ctypes.CDLL:
    """NVRTC. Raises FileNotFoundError where its wheel is not installed."""
    path = found()
    if path is None:
        raise FileNotFoundError(f"NVRTC is not installed: pip install {WHEEL}")
    nvrtc = ctypes.CDLL(str(path))
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


def found() -> Path | None:
    """Where the wheel has put the library; None where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    paths = [Path(folder) / name for folder in folders or [] for name in LIBRARIES]
    return next((path for path in paths if path.exists()), None)
