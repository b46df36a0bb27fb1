"""What CuPy's and CUDA's errors mean to someone who wants to train a network: one sentence each, with what to do.

An error is known by its type's name and its words, which were read from CuPy 14: neither CuPy nor a GPU is needed to look one up.
"""

import ctypes
import re
from collections.abc import Iterator

NO_CUPY = 'CuPy is not installed: pip install -e ".[cuda13]" (NVIDIA driver 580 or newer), or -e ".[cuda12]" (525 or newer)'
DAMAGED = "CuPy is there, but cannot be loaded: pip uninstall all of cupy that `pip list` shows, then install the extra cuda12 or cuda13"
NO_DRIVER = "there is no NVIDIA driver: install the one for your card (nvidia.com/drivers) until `nvidia-smi` lists it"
OLD_DRIVER = 'the NVIDIA driver is too old for this CuPy: update it to 580 or newer, or to 525 and pip install -e ".[cuda12]"'
TORN_DRIVER = "the parts of the NVIDIA driver do not fit together, as after an update: restart the machine, or install the driver anew"
NO_DEVICE = (
    "there is a driver, but no GPU to be seen: `nvidia-smi` should list one, CUDA_VISIBLE_DEVICES must not hide it, "
    "and a container must be started with it (docker run --gpus all)"
)
BUSY = "another program holds the GPU for itself alone: `nvidia-smi` shows which; end it, or wait"
NO_COMPILER = 'CuPy finds no CUDA compiler, or not its headers: pip install "cupy-cuda13x[ctk]", or "cupy-cuda12x[ctk]" if you have that'
WRONG_COMPILER = (
    "CuPy's CUDA compiles for no card like this one: CUDA 13 has dropped those before compute capability 7.5, which "
    'pip install -e ".[cuda12]" still serves; a card newer than CuPy needs a newer CuPy'
)
NO_MEMORY = "the GPU's memory is full: take a smaller --batch; `nvidia-smi` shows who else holds some"
CRASH = (
    "a kernel went beyond an array, and what was on the GPU is lost: start again; `faceseed doctor --device emulated` "
    "may find the kernel, please report it"
)
TROUBLES = [  # the first that is found counts
    (r"ModuleNotFoundError.*\bcupy\b", NO_CUPY),
    (r"OutOfMemoryError|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY", NO_MEMORY),
    (r"cudaErrorNoDevice|CUDA_ERROR_NO_DEVICE", NO_DEVICE),
    (r"libcuda\.so|nvcuda\.dll", NO_DRIVER),
    (r"DynamicLibNotFoundError|(load|open) (libnvrtc|nvrtc64)|CUDA headers|open source file", NO_COMPILER),
    (r"cudaErrorSystemDriverMismatch|cudaErrorCompatNotSupported|SYSTEM_DRIVER_MISMATCH|COMPAT_NOT_SUPPORTED", TORN_DRIVER),
    (r"UnsupportedPtxVersion|UNSUPPORTED_PTX_VERSION", OLD_DRIVER),
    (r"--gpu-architecture|NVRTC_ERROR_INVALID_OPTION|NoKernelImage|NO_BINARY_FOR_GPU", WRONG_COMPILER),
    (r"cudaErrorDevicesUnavailable|CUDA_ERROR_DEVICE_UNAVAILABLE", BUSY),
    (r"cudaError(IllegalAddress|MisalignedAddress|LaunchFailure)|ERROR_(ILLEGAL_ADDRESS|MISALIGNED_ADDRESS|LAUNCH_FAILED)", CRASH),
]


def explained(error: BaseException) -> str | None:
    """What has happened and what mends it, in one sentence; None where we do not know."""
    text = "\n".join(f"{type(each).__name__}: {each}" for each in causes(error))
    for words, sentence in TROUBLES:
        if re.search(words, text):
            return sentence
    if "cudaErrorInsufficientDriver" in text:  # CUDA says so too where there is none at all
        return OLD_DRIVER if has_driver() else NO_DRIVER
    return DAMAGED if "Failed to import CuPy" in text else None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what had led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def has_driver() -> bool:
    """Whether the NVIDIA driver's library can be loaded."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False
