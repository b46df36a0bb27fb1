"""Where kernels are tested: every mode of the emulator, and the GPU where there is one."""

import pytest
from kernels.harness import MODES, Device, has_gpu


@pytest.fixture(params=[*MODES, "cuda"])
def device(request):
    """Each mode of the emulator in turn, and the GPU."""
    if request.param == "cuda" and not has_gpu():
        pytest.skip("not run: no GPU here")
    return Device(request.param)
