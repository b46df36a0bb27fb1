"""What the emulator's tests share: a kernel from a text, its faults, and the line at which one is expected."""

import numpy as np
import pytest

from nn.emulator import KernelError, cupy, mode

FILE = "test.cu"


def kernel(body, parameters="float* y, int n", *, before="", options=(), name="k"):
    """A kernel with this body, in a file named test.cu."""
    text = f'{before}\nextern "C" __global__ void {name}({parameters})\n{{\n{body}\n}}\n'
    return cupy.RawModule(code=f'#line 1 "{FILE}"\n{text}', options=options).get_function(name)


def line_of(function, mark="HERE"):
    """`test.cu:12:`, where the line 12 of the kernel's text has the comment `// HERE`."""
    lines = function.module.code.splitlines()[1:]
    (number,) = [i for i, line in enumerate(lines, 1) if line.rstrip().endswith(f"// {mark}")]
    return f"{FILE}:{number}"


def faults_of(function, grid, block, *arguments, shared_mem=0, **how):
    """The text of the faults that the checker finds; fails if it finds none."""
    with mode(check=True, **how), pytest.raises(KernelError) as caught:
        function(grid, block, sent(arguments), shared_mem=shared_mem)
    return str(caught.value)


def run(function, grid, block, *arguments, shared_mem=0, **how):
    """Launch in this mode; the arrays among the arguments after it, as NumPy arrays."""
    values = sent(arguments)
    with mode(**how):
        function(grid, block, values, shared_mem=shared_mem)
    return [value.get() for value in values if isinstance(value, cupy.ndarray)]


def sent(arguments):
    """Arrays to the emulated GPU, Python's numbers as int32 and float32."""
    types = {int: np.int32, float: np.float32}
    return tuple(cupy.asarray(a.copy()) if isinstance(a, np.ndarray) else types[type(a)](a) if type(a) in types else a for a in arguments)


def numbers(count, dtype=np.float32):
    """0, 1, 2, ..."""
    return np.arange(count).astype(dtype)
