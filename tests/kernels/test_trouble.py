"""CuPy's errors are explained by their words, which stand here as CuPy 14 and the compilers that it calls write them."""

import pytest

from nn.gpu import trouble


def error(name, words, cause=None):
    """An exception of a type with this name."""
    made = type(name, (Exception,), {})(words)
    made.__cause__ = cause
    return made


RUNTIME, DRIVER, COMPILER = "CUDARuntimeError", "CUDADriverError", "CompileException"
OPEN = "cannot open shared object file: No such file or directory"
TEXTS = [
    (error("ModuleNotFoundError", "No module named 'cupy'"), trouble.NO_CUPY),
    (error("ModuleNotFoundError", "import of cupy halted; None in sys.modules"), trouble.NO_CUPY),
    (error(RUNTIME, "cudaErrorNoDevice: no CUDA-capable device is detected"), trouble.NO_DEVICE),
    (error(DRIVER, "CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"), trouble.NO_DEVICE),
    (error("RuntimeError", f"CuPy failed to load libcuda.so.1: OSError: libcuda.so.1: {OPEN}"), trouble.NO_DRIVER),
    (error("ImportError", "\nFailed to import CuPy.\n", error("ImportError", f"libcuda.so.1: {OPEN}")), trouble.NO_DRIVER),
    (error("ImportError", "\n====\nFailed to import CuPy.\n\nIf you installed CuPy via wheels (cupy-cudaXXX"), trouble.DAMAGED),
    (error("DynamicLibNotFoundError", 'Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file'), trouble.NO_COMPILER),
    (error("RuntimeError", f"CuPy failed to load libnvrtc.so.12: OSError: libnvrtc.so.12: {OPEN}"), trouble.NO_COMPILER),
    (error("RuntimeError", "CuPy failed to load nvrtc64_120_0.dll: FileNotFoundError: Could not find module"), trouble.NO_COMPILER),
    (error(COMPILER, "nvrtc: error: failed to open libnvrtc-builtins.so.12.9."), trouble.NO_COMPILER),
    (error("RuntimeError", "Failed to find CUDA headers. Please install the CUDA Toolkit or set CUDA_PATH"), trouble.NO_COMPILER),
    (error(COMPILER, 'k.cu(1): catastrophic error: could not open source file "cuda_fp16.h" (no directories'), trouble.NO_COMPILER),
    (error(COMPILER, "nvrtc: error: invalid value for --gpu-architecture (-arch)\n"), trouble.WRONG_COMPILER),
    (error(RUNTIME, "cudaErrorNoKernelImageForDevice: no kernel image is available for execution"), trouble.WRONG_COMPILER),
    (error(DRIVER, "CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available for execution"), trouble.WRONG_COMPILER),
    (error(DRIVER, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported"), trouble.OLD_DRIVER),
    (error(RUNTIME, "cudaErrorSystemDriverMismatch: system has unsupported display driver / cuda driver"), trouble.TORN_DRIVER),
    (error(RUNTIME, "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable"), trouble.BUSY),
    (error("OutOfMemoryError", "Out of memory allocating 10,000,000,000 bytes (allocated so far: 5,000,000,000)."), trouble.NO_MEMORY),
    (error(RUNTIME, "cudaErrorMemoryAllocation: out of memory"), trouble.NO_MEMORY),
    (error(RUNTIME, "cudaErrorIllegalAddress: an illegal memory access was encountered"), trouble.CRASH),
    (error(DRIVER, "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"), trouble.CRASH),
]
INSUFFICIENT = error(RUNTIME, "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


@pytest.mark.parametrize(("raised", "sentence"), TEXTS, ids=[str(raised).strip()[:50] for raised, _ in TEXTS])
def test_explained(raised, sentence):
    assert trouble.explained(raised) == sentence
    assert "\n" not in sentence


def test_every_sentence_is_tested():
    assert {sentence for _, sentence in TEXTS} >= {sentence for _, sentence in trouble.TROUBLES}


@pytest.mark.parametrize(("has_driver", "sentence"), [(False, trouble.NO_DRIVER), (True, trouble.OLD_DRIVER)])
def test_cuda_calls_no_driver_an_old_one(monkeypatch, has_driver, sentence):
    monkeypatch.setattr(trouble, "has_driver", lambda: has_driver)
    assert trouble.explained(INSUFFICIENT) == sentence


@pytest.mark.parametrize("there", [True, False])
def test_a_driver_is_a_library_that_loads(monkeypatch, there):
    def load(name):
        if not there:
            raise OSError(f"{name}: {OPEN}")

    monkeypatch.setattr(trouble.ctypes, "CDLL", load)
    assert trouble.has_driver() == there


def test_the_remedies_name_what_pyproject_offers():
    """CUDA 12 wants driver 525, CUDA 13 wants 580 and a card of compute capability 7.5."""
    for word in ("cuda12", "525", "cuda13", "580"):
        assert word in trouble.NO_CUPY
    assert "cuda12" in trouble.WRONG_COMPILER and "7.5" in trouble.WRONG_COMPILER
    assert "cupy-cuda12x[ctk]" in trouble.NO_COMPILER and "cupy-cuda13x[ctk]" in trouble.NO_COMPILER


@pytest.mark.parametrize("other", [ValueError("conv2d expects (N, H, W, C)"), error(COMPILER, 'k.cu(3): error: expected a ";"')])
def test_what_is_not_known_is_left_alone(other):
    assert trouble.explained(other) is None
