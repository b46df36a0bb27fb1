"""Which room serves an array, a call at a time, and how arrays move between rooms. There is no global switch.

NumPy array                           -> nn.cpu
CuPy array (a GPU)                    -> nn.gpu
the emulator's array (a GPU played)   -> nn.gpu, over the emulator's stand-in for CuPy
"""

from types import ModuleType
from typing import Any

import numpy as np

DEVICES = {"cpu": "NumPy", "cuda": "CuPy", "emulated": "emulated"}


def device_of(array: Any) -> str:
    """Where an array is: "cpu" (NumPy), "cuda" (CuPy) or "emulated"."""
    module = type(array).__module__
    if module == "nn.emulator.array":
        return "emulated"
    if isinstance(array, (np.ndarray, np.generic)):
        return "cpu"
    if module.partition(".")[0] == "cupy":
        return "cuda"
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}; wrap it with np.asarray(...)")


def ops(*arrays: Any) -> ModuleType:
    """Return the module whose functions serve these arrays; None is passed over.

    Raises TypeError where arrays of two devices meet in one call.
    """
    devices = {device_of(array) for array in arrays if array is not None}
    if len(devices) > 1:
        kinds = " and ".join(DEVICES[device] for device in DEVICES if device in devices)
        raise TypeError(f"one call got {kinds} arrays; move them to one side with layer.asarray(...) or nn.to_numpy(...)")
    if devices == {"cpu"}:
        from nn import cpu

        return cpu
    from nn import gpu

    return gpu


def to_device(array: Any, device: str) -> Any:
    """The array on "cpu", "cuda" or "emulated": itself where it is there already, else a copy.

    Raises InputError where that device is not to be had, saying what to do.
    """
    if device == "cpu":
        return to_numpy(array)
    from nn.gpu.launch import library_of

    return library_of(device).asarray(array)


def to_numpy(array: Any) -> np.ndarray:
    """The array as NumPy's: itself where it is, else a copy from its device."""
    return array if device_of(array) == "cpu" else array.get()
