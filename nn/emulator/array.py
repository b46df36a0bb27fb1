"""The emulator's array: NumPy's memory, CuPy's manners.

It refuses to meet a plain NumPy array, as CuPy's would, so that a line which would fail on a GPU fails here too.
"""

from typing import Any

import numpy as np

MAKERS = {"array", "asarray", "ascontiguousarray", "empty", "full", "ones", "zeros"}  # their `like=` calls come with plain arrays


class ndarray(np.ndarray):  # cupy's name for it
    """An array in the emulated GPU's memory. `get()` copies it to NumPy; `nn.emulator.cupy.asarray` makes one."""

    def get(self) -> np.ndarray:
        """A plain NumPy copy."""
        return np.array(self, subok=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **options: Any) -> Any:
        refuse_strangers(ufunc.__name__, (*inputs, *out))
        results = getattr(ufunc, method)(*map(plain, inputs), **({"out": tuple(map(plain, out))} if out else {}), **options)
        return out[0] if len(out) == 1 else emulated(results)

    def __array_function__(self, function: Any, types: Any, arguments: tuple, options: dict[str, Any]) -> Any:
        if function.__name__ not in MAKERS:
            refuse_strangers(function.__name__, (*arguments, *options.values()))
        return emulated(function(*map(plain, arguments), **{name: plain(value) for name, value in options.items()}))

    def __setitem__(self, where: Any, value: Any) -> None:
        refuse_strangers("an assignment", (value,))
        plain(self)[where] = plain(value)


def plain(value: Any) -> Any:
    """The NumPy view behind an emulated array, or behind those of a list or tuple; anything else as it is."""
    if isinstance(value, ndarray):
        return value.view(np.ndarray)
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    return value


def emulated(value: Any) -> Any:
    """The emulated array over a NumPy result; tuples and lists of them alike."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(ndarray)
    if isinstance(value, (list, tuple)):
        return type(value)(map(emulated, value))
    if isinstance(value, dict):
        return {name: emulated(item) for name, item in value.items()}
    return value


def refuse_strangers(what: str, values: tuple) -> None:
    """Raise TypeError where a plain NumPy array stands among the operands."""
    for value in values:
        if isinstance(value, (list, tuple)):
            refuse_strangers(what, tuple(value))
        elif type(value) is np.ndarray:
            raise TypeError(f"{what} got a NumPy array beside the emulated GPU's; bring it there with nn.emulator.cupy.asarray(...)")
