"""The reference computes in float64 whatever comes in, so that it can judge the fast rooms."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Convert a function's floating-point arrays to float64 before it runs; shapes, winners, masks and None pass as they are."""

    @wraps(function)
    def converted(*arguments: Any, **named: Any) -> Any:
        return function(*map(_double, arguments), **{name: _double(value) for name, value in named.items()})

    return converted


def _double(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
