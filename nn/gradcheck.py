"""The numerical judge: does a layer's backward pass give the derivative of its forward pass?

For a loss L = Σ u · y with a random upstream gradient u, backward(u) claims g = ∂L/∂θ for every input and parameter θ. Then

    (L(θ + step d) - L(θ - step d)) / (2 step)   =   ⟨g, d⟩   + O(step²)               for any direction d with ‖d‖ = 1

Two kinds of direction are tried. On tiny tensors every element by itself, which names the wrong one. On every tensor a few random
directions in which no component vanishes, each ± U(0.5, 1.5) before it is normalised: one wrong entry among a million shifts ⟨g, d⟩.

An upstream of ones would be blind where a layer's outputs sum to a constant (batch norm, softmax): any dx ∝ 0 would pass. u is normal.
The difference is taken output by output, Σ u (y₊ - y₋), before it is summed: two large sums would lose the digits that matter.

Keep inputs clear of kinks (ReLU at 0, ties in a pooling window) by much more than `step`: there the two sides differ and nobody is wrong.
"""

import copy
import inspect
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator

from nn.backend import device_of, to_device, to_numpy
from nn.layer import Layer


@dataclass(frozen=True)
class Row:
    """The worst disagreement on one tensor by one kind of direction."""

    tensor: str
    kind: str  # "element" or "direction"
    error: float  # relative, see `check`
    at: str  # index of the element, or number of the direction
    numeric: float
    analytic: float


@dataclass
class Report:
    """What `check` found; printed, it is a table. `failures` are faults that are no matter of digits, a sentence each."""

    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def worst(self) -> float:
        """The largest relative error; infinity where there is a failure."""
        return math.inf if self.failures else max((row.error for row in self.rows), default=0.0)

    def ok(self, tolerance: float = 1e-7) -> bool:
        """Whether backward is right: no failure, and no error above the tolerance."""
        return self.worst <= tolerance

    def __str__(self) -> str:
        cells = [("tensor", "kind", "error", "at", "numeric", "analytic")]
        cells += [(r.tensor, r.kind, f"{r.error:.1e}", r.at, f"{r.numeric:.9e}", f"{r.analytic:.9e}") for r in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
        return "\n".join([f"FAILURE: {failure}" for failure in self.failures] + (lines if self.rows else []))


def check(
    layer: Layer,
    *inputs: np.ndarray,
    rng: Generator,
    constants: Iterable[Any] = (),
    step: float = 1e-5,
    directions: int = 4,
    exhaustive: int = 64,
) -> Report:
    """Compare backward with central differences in float64, for every input and every parameter of a layer or whole model.

    Calls forward(*inputs, *constants); `constants` (targets, distances) get no gradient. An output tuple gets an upstream tuple,
    and a loss, which returns a float, gets none: backward(). Gradients that backward returns beyond those of `inputs` are passed over.

    step: length of the step; an error that falls a hundredfold with a tenth of it is the O(step²), not a mistake (a batch norm over
    two or three numbers bends that much).   directions: random ones a tensor.   exhaustive: tensors up to this size are checked at
    every element.

    The error of a pair is |numeric - analytic| / max(|numeric|, |analytic|, 1e-3 · scale). Without a floor, rounding in entries that are
    nearly 0 would shout; with one taken from the same entry it would hide them. Tied to the whole check, it forgives what is lost
    beside the largest gradient and still sees a small tensor that is wrong: one of 1e-6 of the scale, returned as 0, has error 1e-3.
    scale is what such a pair typically measures where gradients are largest: for elements max |g|; for unit directions the largest
    root mean square of a tensor's g, since ⟨g, d⟩, a sum of n terms of random sign and size g/√n, has that size and not ‖g‖.

    Every evaluation has its own deep copy of the layer, so dropout draws one and the same mask, running averages do not move, and the
    caller's layer stays as it is. The copies have already lived through one pass on other inputs: what they kept must not leak.

    Reported as failures: a gradient missing, of another shape or dtype, NaN or infinite; inputs, upstream, outputs or parameters
    changed by a pass; a parameter's grad overwritten instead of added to.
    """
    with np.errstate(all="ignore"):  # what is not finite is reported by name
        trial = _Trial(layer, inputs, constants, rng)
        gradients, failures = trial.analytic()
        if failures:
            return Report(failures=failures)
        scales = {
            "element": max((float(np.abs(g).max()) for g in gradients.values() if g.size), default=0.0),
            "direction": max((float(np.sqrt(np.mean(g * g))) for g in gradients.values() if g.size), default=0.0),
        }
        report = Report()
        for name, g in gradients.items():
            for kind, moves in (("element", _elements(g, exhaustive)), ("direction", _directions(g, directions, rng))):
                pairs = [(at, trial.slope(name, move, step), float((g * move).sum())) for at, move in moves]
                rows = [Row(name, kind, _relative(n, a, 1e-3 * scales[kind]), at, n, a) for at, n, a in pairs]
                if lost := [row.at for row in rows if not math.isfinite(row.numeric)]:
                    report.failures.append(f"the outputs are not finite when {name} moves by {step} ({kind} {lost[0]})")
                elif rows:
                    report.rows.append(max(rows, key=lambda row: row.error))
        return report


def _relative(numeric: float, analytic: float, floor: float) -> float:
    difference = abs(numeric - analytic)
    return difference / max(abs(numeric), abs(analytic), floor) if difference else 0.0


def _elements(g: np.ndarray, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """Every unit vector of a tensor of at most `most` numbers."""
    for index in np.ndindex(g.shape if g.size <= most else (0,)):
        move = np.zeros_like(g)
        move[index] = 1
        yield str(index), move


def _directions(g: np.ndarray, count: int, rng: Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Random unit directions without a vanishing component."""
    for k in range(count if g.size else 0):
        move = rng.choice([-1.0, 1.0], g.shape) * rng.uniform(0.5, 1.5, g.shape)
        yield str(k), _beside(g, move / np.linalg.norm(move))


def _double(value: Any) -> Any:
    """A float64 copy of a floating-point array; anything else as it is."""
    return value.astype(np.float64) if _is_array(value) and value.dtype.kind == "f" else value


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _beside(array: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """These numbers on the device of `array`."""
    return to_device(numbers, device_of(array))


def _tuple(values: Any) -> tuple:
    return values if isinstance(values, tuple) else (values,)


class _Trial:
    """One layer, one set of inputs, one upstream gradient: the analytic gradients, and the slope of L along any direction."""

    def __init__(self, layer: Layer, inputs: tuple[np.ndarray, ...], constants: Iterable[Any], rng: Generator):
        names = [*inspect.signature(layer.forward).parameters, *map(str, range(len(inputs)))]  # the numbers serve a forward(*inputs)
        self.inputs = {f"input {name}": x.astype(np.float64) for name, x in zip(names, inputs, strict=False)}
        self.constants = [_double(value) for value in constants]
        self.layer = copy.deepcopy(layer).astype(np.float64)
        y = self.layer.forward(*(np.flip(x).copy() for x in self.inputs.values()), *self.constants)  # the life before
        self.upstream = () if isinstance(y, float) else tuple(_beside(part, rng.normal(size=part.shape)) for part in _tuple(y))
        self.layer.backward(*self.upstream)

    def slope(self, name: str, move: np.ndarray, step: float) -> float:
        """(L(θ + step d) - L(θ - step d)) / (2 step) for the tensor θ of that name and the direction d."""
        upstream = self.upstream or (1.0,)
        plus, minus = self.outputs(name, step * move), self.outputs(name, -step * move)
        return sum(float(np.sum(u * (p - m))) for u, p, m in zip(upstream, plus, minus, strict=True)) / (2 * step)

    def outputs(self, name: str, change: np.ndarray) -> tuple:
        """The outputs of a copy of the layer in which one tensor has moved."""
        layer = copy.deepcopy(self.layer)
        if name not in self.inputs:
            layer.parameters()[name].value += change
        return _tuple(layer.forward(*(x + change if name == own else x.copy() for own, x in self.inputs.items()), *self.constants))

    def analytic(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """The gradients that backward gives, by tensor, and what is wrong with them or with its manners."""
        layer = copy.deepcopy(self.layer)
        layer.zero_grad()
        values = {name: parameter.value for name, parameter in layer.parameters().items()}
        inputs = {name: x.copy() for name, x in self.inputs.items()}
        upstream = {f"upstream {k}": u.copy() for k, u in enumerate(self.upstream)}
        watched = inputs | {f"constant {k}": value for k, value in enumerate(self.constants)} | values

        if failures := _not_finite(inputs | values):
            return {}, failures
        before = copy.deepcopy(watched)
        outputs = {f"output {k}": y for k, y in enumerate(_tuple(layer.forward(*inputs.values(), *self.constants)))}
        failures = _changed("forward", before, watched) + _not_finite(outputs)
        watched |= outputs | upstream
        before = copy.deepcopy(watched)
        returned = _tuple(layer.backward(*upstream.values()))
        failures += _changed("backward", before, watched)

        gradients: dict[str, Any] = {name: returned[k] if k < len(returned) else None for k, name in enumerate(inputs)}
        gradients |= {name: parameter.grad for name, parameter in layer.parameters().items()}
        for name, value in (inputs | values).items():
            failures += _misshapen(name, gradients[name], value)
        return gradients, failures or self.overwritten(gradients)

    def overwritten(self, gradients: dict[str, np.ndarray]) -> list[str]:
        """The parameters whose grad, not zero before a pass, is not larger by the gradient after it."""
        layer = copy.deepcopy(self.layer)  # its grads are those of the life before
        layer.forward(*(x.copy() for x in self.inputs.values()), *self.constants)
        layer.backward(*(u.copy() for u in self.upstream))
        return [
            f"backward does not add to {name}.grad: it held {old.grad.ravel()[0]:.3g}..., then {new.grad.ravel()[0]:.3g}..."
            for (name, old), new in zip(self.layer.parameters().items(), layer.parameters().values(), strict=True)
            if not _close(to_numpy(new.grad), to_numpy(old.grad + gradients[name]), to_numpy(gradients[name]))
        ]


def _close(a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> bool:
    return np.allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(scale).max(initial=0))


def _changed(which: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [f"{which} changed {name} in place" for name in before if not np.array_equal(before[name], after[name])]


def _not_finite(tensors: dict[str, Any]) -> list[str]:
    arrays = {name: to_numpy(value) if _is_array(value) else np.asarray(value) for name, value in tensors.items()}
    return [
        f"{name} is not finite: {array[*at]} at {tuple(at.tolist())}"
        for name, array in arrays.items()
        for at in np.argwhere(~np.isfinite(array))[:1]  # the first one
    ]


def _misshapen(name: str, g: Any, value: np.ndarray) -> list[str]:
    """What is wrong with the gradient of a tensor before any number is compared."""
    if not _is_array(g):
        return [f"backward gives no gradient of {name}: {g!r}"]
    if g.shape != value.shape or g.dtype != value.dtype:
        return [f"the gradient of {name} is {g.dtype} {g.shape}, {name} itself {value.dtype} {value.shape}"]
    return _not_finite({f"the gradient of {name}": g})
