"""What can go wrong: with a kernel, with its text, with the machine it should run on."""

from nn.errors import InputError


class KernelError(RuntimeError):
    """A kernel did something that a GPU would not forgive: a race, a divergent barrier, an access out of bounds."""


class EmulatorError(InputError):
    """The emulator cannot run here, or cannot do this; the text says what helps."""


class CompileError(EmulatorError):
    """The text of a .cu file is no CUDA C that the emulator understands; the first errors with file and line, as g++ lays them out."""

    def __init__(self, message: str):
        ValueError.__init__(self, message)
