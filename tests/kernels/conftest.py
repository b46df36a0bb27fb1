"""Where kernels are tested: every mode of the emulator, and the GPU where there is one."""

import os
import shutil

import pytest
from kernels.harness import MODES, Device, has_gpu


@pytest.fixture(params=[*MODES, "cuda"])
def device(request):
    """Each mode of the emulator in turn, and the GPU."""
    if request.param == "cuda" and not has_gpu():
        pytest.skip("not run: no GPU here")
    return Device(request.param)


def pytest_sessionstart(session):
    """In CI nothing here may be skipped."""
    if os.environ.get("CI") and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise pytest.UsageError("g++ is missing: the kernel tests need it (apt-get install g++)")
