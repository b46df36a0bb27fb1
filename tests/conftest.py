"""What the tests share: hypothesis profiles, the rooms that hold each operation, arrays as they come in real use, drawn figures."""

import importlib
import os
import signal
import sys
from functools import partial, wraps

import matplotlib.figure
import numpy as np
import pytest
from hypothesis import settings
from needs import needs_compiler

import models.faces.opencv  # noqa: F401  # before any test imports cv2: it says how large an image may be
from nn import emulator
from nn.cpu import conv, memory
from nn.emulator.array import emulated, plain

# No timed assertions: a busy machine is no bug. In CI the examples are the same at each run.
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None, max_examples=15)
settings.load_profile("ci" if "CI" in os.environ else "dev")

ROOMS = ["cpu", "gpu"]  # modules of nn that give the operations of nn.reference
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in its background so; tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
LAYOUTS = [
    np.ascontiguousarray,
    np.asfortranarray,
    lambda x: np.repeat(x, 2, axis=-1)[..., ::2],  # every other number of a longer row
    lambda x: np.flip(np.flip(x).copy()),  # negative strides
]


@pytest.fixture(scope="session", params=ROOMS)
def ops(request):
    """Each room in turn; what it computes must agree with nn.reference. The GPU's is played by the emulator."""
    room = importlib.import_module(f"nn.{request.param}")
    if request.param == "cpu":
        return room
    needs_compiler()
    return Emulated(room)


class Emulated:
    """A room whose functions take NumPy arrays, memory order and all, as the emulator's, and give NumPy arrays back."""

    def __init__(self, room):
        self.__all__ = room.__all__
        for name in room.__all__:
            setattr(self, name, self.called(getattr(room, name)))

    def called(self, function):
        @wraps(function)
        def call(*arguments, **options):
            with emulator.mode(order="shuffled"):
                return plain(function(*emulated(arguments), **emulated(options)))

        return call


@pytest.fixture(scope="session")
def compiler():
    """g++ is here, or the test is not run."""
    needs_compiler()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Arrays:
    """Arrays of one dtype, read-only, so that no operation can change its input, and in any memory order."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.tolerance = {"float32": 2e-5, "float64": 1e-10}[dtype]

    def __call__(self, rng, *shape):
        """Normal numbers of this shape."""
        return self.of(rng, rng.normal(size=shape))

    def of(self, rng, values):
        """These numbers, in this dtype and a random memory order."""
        array = LAYOUTS[rng.integers(len(LAYOUTS))](values.astype(self.dtype))
        array.flags.writeable = False
        return array

    def agree(self, actual, expected):
        """Assert that arrays equal their float64 originals to rounding, in shape too, and kept the dtype."""
        actual, expected = (value if isinstance(value, tuple) else (value,) for value in (actual, expected))
        for ours, theirs in zip(actual, expected, strict=True):
            assert ours.dtype == self.dtype
            np.testing.assert_allclose(ours, theirs, rtol=self.tolerance, atol=self.tolerance, strict=False)
            assert ours.shape == theirs.shape


@pytest.fixture(scope="session", params=["float32", "float64"])
def arrays(request):
    return Arrays(request.param)


@pytest.fixture(scope="session")
def spread():
    """spread(rng, *shape): shuffled values 0.01 apart, none within 0.003 of 0: far from the kinks that a difference must not cross."""

    def draw(rng, *shape):
        count = int(np.prod(shape))
        return (rng.permutation(count) - count // 2).reshape(shape) * 0.01 + 0.003

    return draw


@pytest.fixture
def dirty_memory(monkeypatch):
    """Arrays that nn.cpu takes without clearing come full of NaN (True, 1), so that a number nobody wrote shows in the result."""
    clean = memory.empty

    def empty(shape, dtype):
        array = clean(shape, dtype)
        array.fill(np.nan if array.dtype.kind == "f" else 1)
        return array

    for name, module in list(sys.modules.items()):
        if name.startswith("nn.cpu.") and getattr(module, "empty", None) is clean:
            monkeypatch.setattr(module, "empty", empty)


@pytest.fixture
def cut(monkeypatch):
    """cut(size): nn.cpu cuts all work into pieces of about so many floats, products or tiles."""

    def smaller(size):
        for name, module in list(sys.modules.items()):
            if name.startswith("nn.cpu."):
                for limit in {"BLOCK", "SMALL", "PIECE", "READ", "TILES"} & vars(module).keys():
                    monkeypatch.setattr(module, limit, size)
        for name, rung in list(conv.RUNGS.items()):
            limited = (partial(f, block=size) if "block" in getattr(f, "keywords", {}) else f for f in rung)
            monkeypatch.setitem(conv.RUNGS, name, conv.Rung(*limited))

    return smaller


@pytest.fixture(scope="module")
def one_torch_thread():
    """PyTorch's threads wait for each other longer than they compute on small maps."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that a test saves, as objects."""
    figures = []
    save = matplotlib.figure.Figure.savefig

    def keep(figure, *arguments, **options):
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return figures
