"""The numerics guard: a number that is not finite is caught in the step where it arises, before a weight is touched, and named.

A step checks what is cheap: its batch, its loss, and the norm of all gradients, which hold every number's trace. Where one of them is
not finite, the model is put back to where it stood before the step, and the same pass is done again with every layer watched.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import signature
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.backend import ops
from nn.layer import Layer, Parameter, generators
from nn.optim import Optimizer
from nn.watch import NotFinite, largest, said, shaped, watching

if TYPE_CHECKING:
    from nn.training import Task

DATA = "mend or leave out what it was read from"
WEIGHTS = "begin anew, or from weights that are finite"


class Guard:
    """Takes the steps of a training. `norms`: those of this epoch's gradients, before they are clipped.

    clip: the most that the norm may be, 0 for no limit. debug: watch every layer and every operation in every step.
    """

    def __init__(self, task: "Task", optimizer: Optimizer, clip: float = 0.0, debug: bool = False):
        self.task, self.optimizer, self.clip, self.debug = task, optimizer, clip, debug
        self.norms: list[float] = []
        self.names = list(signature(task.learn).parameters)  # of a batch's arrays
        self.generators = list(generators(task.model).values())
        self.statistics = [buffer for buffer in task.model.buffers().values() if not isinstance(buffer, Parameter)]

    @np.errstate(all="ignore")  # what is not finite is named in one line, not announced by NumPy
    def step(self, batch: tuple, epoch: int) -> float:
        """Forward, backward, one step of the optimiser: the loss. Steps are counted from the beginning of the training.

        Raises FloatingPointError where a number is not finite; then weights, statistics and generators are as before the step.
        """
        before = self.optimizer.steps
        with self.named(f"epoch {epoch}, step {before + 1}", f"weights stand as after step {before}"):
            loss, norm = self.learn(batch)
        self.norms.append(norm)
        if self.clip:
            self.optimizer.clip(norm, self.clip)
        with self.named(f"epoch {epoch}, step {before + 1}", "the weights are spoiled, the last checkpoint is whole"), self.watching():
            self.optimizer.step()
        return loss

    def learn(self, batch: tuple) -> tuple[float, float]:
        """The loss of a batch and the norm of the gradients. Raises NotFinite."""
        self.task.model.zero_grad()
        self.check(batch)
        if self.debug:
            self.check_weights()
        states, values = [rng.bit_generator.state for rng in self.generators], [buffer.value.copy() for buffer in self.statistics]

        def restore() -> None:
            self.task.model.zero_grad()
            for rng, state in zip(self.generators, states, strict=True):
                rng.bit_generator.state = state
            for buffer, value in zip(self.statistics, values, strict=True):
                buffer.value[...] = value

        try:
            with self.watching():
                loss = self.task.learn(*batch)
            norm = self.optimizer.gradient_norm()
            if not math.isfinite(loss + norm):
                restore()
                self.examine(batch, loss, norm)
        except NotFinite:
            restore()
            raise
        return loss, norm

    def check(self, batch: tuple) -> None:
        """Raise NotFinite where the batch is not finite: a maximum, say, may hide it."""
        for name, array in zip_longest(self.names, batch, fillvalue="array"):
            if wrong := said(array):
                raise NotFinite(f"the batch's {shaped(name, array)} has {wrong}", DATA)

    def check_weights(self) -> None:
        """Raise NotFinite where a weight or running statistic is not finite."""
        for name, buffer in self.task.model.buffers().items():
            if wrong := said(buffer.value):
                raise NotFinite(f"{shaped(name, buffer.value)} has {wrong} before the step", WEIGHTS)

    def examine(self, batch: tuple, loss: float, norm: float) -> None:
        """Do the pass again to find where that loss or that norm of the gradients comes from. Raises NotFinite."""
        self.check_weights()
        with watching(self.layers()):
            again = self.task.learn(*batch)
        gradients = {name: parameter.grad for name, parameter in self.optimizer.parameters.items()}
        for name, gradient in reversed(gradients.items()):
            if wrong := said(gradient):
                raise NotFinite(f"the gradient of {shaped(name, gradient)} has {wrong}")
        if not math.isfinite(again):
            raise NotFinite(f"the loss is {again}, though what every layer takes and gives is finite")
        if math.isfinite(self.optimizer.gradient_norm()):
            raise NotFinite(f"the loss was {loss}, the gradients' norm {norm}, but not when the step was done again", "test the machine")
        raise NotFinite(f"the gradients' norm is {norm}, their squares are too large to add; their largest: {largest(gradients)}")

    def validate(self, epoch: int) -> dict[str, float]:
        """The task's errors after an epoch. Raises FloatingPointError where one is not finite."""
        with np.errstate(all="ignore"), self.named(f"epoch {epoch}, validation", "the last checkpoint is whole"):
            errors = self.task.validate()
            for name, error in errors.items():
                if not math.isfinite(error):
                    with watching(self.layers()):
                        self.task.validate()
                    raise NotFinite(f"{name} is {error}")
        return errors

    def row(self) -> dict[str, float]:
        """The epoch's line of metrics: mean and maximum of the gradients' norm over its steps, and ‖Δθ‖ / ‖θ‖ of its last step."""
        norms, self.norms = self.norms, []
        return {
            "gradient_norm": sum(norms) / len(norms),
            "gradient_norm_max": max(norms),
            "update_ratio": self.optimizer.update_ratio(),
        }

    def layers(self) -> dict[str, Layer]:
        """The model's layers and the loss, by name."""
        parts = {"" if key == "model" else key: member for key, member in vars(self.task).items() if isinstance(member, Layer)}
        return {name or type(layer).__name__: layer for key, part in parts.items() for name, layer in part.layers(key)}

    def watching(self) -> Any:
        """In debug mode a context that watches every layer and operation, else none."""
        if not self.debug:
            return nullcontext()
        return watching(self.layers(), ops(*(parameter.value for parameter in self.optimizer.parameters.values())))

    @contextmanager
    def named(self, where: str, stand: str) -> Iterator[None]:
        """What is found within this gets its place in the training, and how things stand."""
        try:
            yield
        except NotFinite as found:
            raise FloatingPointError(f"{where}: {found}; {stand}") from None
