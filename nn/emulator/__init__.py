"""A GPU on the CPU: runs the very same .cu files with g++, and finds what a GPU would not forgive.

    with mode(check=True):                       # or order="reverse", order="shuffled", copies="early", profile=True
        kernel(grid, block, arguments)           # KernelError: what is wrong, at which line, in which thread

How it works, in reading order (folder machine/ is C++, compiled once):
    source.py, compiler.py    CUDA C is C++ but for some words; machine/cuda.h explains these to g++, and the text becomes a library
    machine/fibre.cpp         a stack for each CUDA thread, and the switch between two of them: the only assembly
    machine/scheduler.cpp     a block of threads on one thread of the operating system: passes, barriers, warp operations
    machine/warp.h            shuffles and votes;  machine/copies.cpp: cp.async;  machine/emulated_ptx.h: the tensor core
    machine/launch.cpp        from a grid to blocks, and where shared memory lies
    machine/hooks.cpp         g++ puts a call in front of every access; machine/checker.cpp judges it: bounds, const, races
    machine/memory.cpp        arrays moved apart with nobody's land between, and their names
    machine/profile.cpp       banks and sectors;  machine/lines.cpp, blocks.py: how often each line runs, and with how many lanes
    module.py                 RawModule and RawKernel as CuPy has them;  faults.py: from addresses to lines of the source
    settings.py, profile.py   mode(...), and the annotated listing;  own.py: `faceseed emulate my.cu`
    array.py, cupy.py         an array that minds whose memory it is in, and the few names of CuPy that nn/gpu uses

What it does not show: time; memory that orders itself otherwise than the program; a kernel that waits in a loop for another thread (it
hangs); the alignment that a GPU gives to shared variables without __align__.
"""

from nn.emulator.errors import CompileError, EmulatorError, KernelError
from nn.emulator.settings import mode

__all__ = ["CompileError", "EmulatorError", "KernelError", "mode"]
