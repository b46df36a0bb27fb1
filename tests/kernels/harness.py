"""What the kernel tests share: the modes they run in, how an operation is called there, and the hunt for planted bugs."""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from needs import needs_compiler

from nn import emulator
from nn.emulator import cupy as emulated
from nn.gpu import launch

MODES = {  # how the emulator runs the threads of a block, and what it watches
    "forward": {},
    "reverse": {"order": "reverse"},
    "shuffled": {"order": "shuffled"},
    "early copies": {"copies": "early"},
    "checked": {"check": True},
}
EXACT = 5e-6  # fp32 and 3xTF32 against float64, relative in norm
TF32 = 1e-3


def has_gpu() -> bool:
    """Whether a kernel can run on a GPU here."""
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    return cupy.cuda.is_available()


class Device:
    """Calls an operation with NumPy arrays moved to the emulated or real GPU, and hands back NumPy arrays."""

    def __init__(self, mode: str):
        self.mode = mode
        if mode == "cuda":
            import cupy

            self.library = cupy
        else:
            needs_compiler()
            self.library = emulated

    def __call__(self, function: Callable, *arguments: Any, **options: Any) -> Any:
        with emulator.mode(**MODES.get(self.mode, {})):
            return self.fetched(function(*map(self.sent, arguments), **{name: self.sent(value) for name, value in options.items()}))

    def sent(self, value: Any) -> Any:
        """NumPy arrays moved there, also those in a tuple."""
        if isinstance(value, tuple):
            return tuple(map(self.sent, value))
        return self.library.asarray(value) if isinstance(value, np.ndarray) else value

    def fetched(self, value: Any) -> Any:
        """Device arrays copied back."""
        if isinstance(value, tuple):
            return tuple(map(self.fetched, value))
        return value.get() if isinstance(value, self.library.ndarray) else value


def close(actual, expected, bar=EXACT):
    """Assert that an array agrees with its float64 original in norm, is fully written, and kept its shape."""
    expected = np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all(), "not fully written, or not finite"
    assert np.linalg.norm(actual - expected) <= bar * np.linalg.norm(expected) + 1e-30


class Mutant(NamedTuple):
    """A planted bug: in `file`, `old` (which stands there exactly once) becomes `new`; `subject(device)` is the check that must find it.

    The file is a .cu file, or a header that the .cu files of the subject include themselves.

    found_by "forward", "reverse", "shuffled" or "early copies": the values are wrong in that mode. Anything else is what the checked
    mode's fault must say: "race", "out-of-bounds", "uninitialised", "misaligned", "divergent", "deadlock", "const".
    """

    name: str
    file: str
    old: str
    new: str
    subject: Callable[[Device], None]
    found_by: str


def hunt(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that the mode named finds the planted bug, and that the original passes there."""
    mode = mutant.found_by if mutant.found_by in MODES else "checked"
    text = launch.source(mutant.file)
    assert text.count(mutant.old) == 1, f"{mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}"
    mutant.subject(Device(mode))
    read, planted = launch.source, text.replace(mutant.old, mutant.new)

    def source(file: str) -> str:
        """A header with a bug stands in the place of its #include."""
        return planted if file == mutant.file else read(file).replace(f'#include "{mutant.file}"', planted)

    monkeypatch.setattr(launch, "source", source)
    launch.kernel.cache_clear()
    try:
        if mode == mutant.found_by:
            with pytest.raises(AssertionError):
                mutant.subject(Device(mode))
        else:
            with pytest.raises(emulator.KernelError, match=mutant.found_by):
                mutant.subject(Device(mode))
    finally:
        launch.kernel.cache_clear()
