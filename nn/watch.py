"""Watching a pass for its first number that is not finite: what every layer takes and gives, or every operation too.

A layer is watched through its `forward` and `backward`, an operation through its name in the room; both are put back afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from inspect import signature
from types import ModuleType
from typing import Any

import numpy as np

from nn.backend import to_numpy
from nn.layer import Layer, Parameter

RATE = "lower the rate, --set optim.lr=..., or clip, --set optim.clip=1"


class NotFinite(FloatingPointError):
    """A number that is not finite: where it is, and what to do."""

    def __init__(self, where: str, mend: str = RATE):
        super().__init__(f"{where}; {mend}")


def said(array: Any) -> str:
    """ "12 infinite numbers and 3 NaN (first at [0, 4, 7, 3])"; "" where all is finite, or no floating-point number is given."""
    if not isinstance(array, float) and getattr(getattr(array, "dtype", None), "kind", "") != "f":
        return ""
    values = np.asarray(array if isinstance(array, float) else to_numpy(array))
    if (finite := np.isfinite(values)).all():
        return ""
    nan = int(np.isnan(values).sum())
    infinite = int((~finite).sum()) - nan
    counts = {f"{infinite} infinite number{'s' if infinite > 1 else ''}": infinite, f"{nan} NaN": nan}
    first = f" (first at {np.argwhere(~finite)[0].tolist()})" if values.ndim else ""
    return " and ".join(text for text, count in counts.items() if count) + first


def largest(arrays: dict[str, Any]) -> str:
    """ "x 0.93, weight 3.2e+18": the largest absolute values of the arrays, which are finite."""
    sizes = {name: np.abs(to_numpy(array)).max(initial=0) for name, array in arrays.items() if getattr(array, "ndim", 0)}
    return ", ".join(f"{name} {size:.2g}" for name, size in sizes.items())


def shaped(name: str, array: Any) -> str:
    """ "y (4, 32, 32, 4)"."""
    return f"{name} {array.shape}" if getattr(array, "ndim", 0) else name


@contextmanager
def watching(layers: dict[str, Layer], *rooms: ModuleType) -> Iterator[None]:
    """Within this, these layers and the operations of these rooms raise NotFinite at the first number that is not finite."""
    path: list[str] = []  # the passes under way, the innermost last
    with ExitStack() as stack:
        for name, layer in layers.items():
            for method in ("forward", "backward"):
                stack.enter_context(replaced(layer, method, watched_pass(name, layer, method, path)))
        for room in rooms:
            for name in room.__all__:
                stack.enter_context(replaced(room, name, watched_operation(room, name, path)))
        yield


@contextmanager
def replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Within this, the owner's own attribute is the function."""
    own = vars(owner)
    before = {name: own[name]} if name in own else {}
    setattr(owner, name, function)
    try:
        yield
    finally:
        delattr(owner, name)
        for was in before.values():
            setattr(owner, name, was)


def watched_pass(name: str, layer: Layer, method: str, path: list[str]) -> Callable[..., Any]:
    """A layer's forward or backward, its arguments and results watched; in backward its parameters' gradients too.

    backward takes d of what forward gives, and gives d of what forward takes: so its results have names.
    """
    original, place = getattr(layer, method), f"{name}, {method}"
    taken, given = ([*signature(getattr(layer, way)).parameters] for way in ("forward", "backward"))
    results = [f"d{x}" for x in taken] if method == "backward" else [dy.removeprefix("d") for dy in given] or ["the loss"]
    own = {key: member for key, member in vars(layer).items() if isinstance(member, Parameter)}

    @wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        inputs = dict(zip(taken if method == "forward" else given, arguments, strict=False)) | options
        for key, array in inputs.items():
            if wrong := said(array):
                raise NotFinite(f"{place}: its input {shaped(key, array)} has {wrong}")
        path.append(place)
        made = original(*arguments, **options)
        path.pop()
        outputs = dict(zip(results, made if isinstance(made, tuple) else (made,), strict=False))
        if method == "backward":
            outputs |= {f"{key}'s gradient": parameter.grad for key, parameter in own.items()}
        for key, array in outputs.items():
            if wrong := said(array):
                known = inputs | {key: parameter.value for key, parameter in own.items()}
                raise NotFinite(f"{place}: {shaped(key, array)} has {wrong}, what goes in has none, its largest: {largest(known)}")
        return made

    return call


def watched_operation(room: ModuleType, name: str, path: list[str]) -> Callable[..., Any]:
    """An operation of a room, its arguments watched before it and its results after it; where it gives none, it has worked in place."""
    original = getattr(room, name)
    bind = signature(original).bind

    @wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        place = f"{f'{path[-1]}, ' if path else ''}{room.__name__}.{name}"
        inputs = bind(*arguments, **options).arguments
        for key, array in inputs.items():
            if wrong := said(array):
                raise NotFinite(f"{place}: its input {shaped(key, array)} has {wrong}, which came about before it, between two operations")
        known = largest(inputs)
        made = original(*arguments, **options)
        outputs = made if isinstance(made, tuple) else (made,)
        for key, array in inputs.items() if made is None else ((f"result {k}", array) for k, array in enumerate(outputs, 1)):
            if wrong := said(array):
                shapes = ", ".join(shaped(*pair) for pair in inputs.items() if getattr(pair[1], "ndim", 0))
                raise NotFinite(f"{place}: {shaped(key, array)} has {wrong}, what goes in, {shapes}, has none, its largest: {known}")
        return made

    return call
