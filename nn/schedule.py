"""How the learning rate falls.

StepDecay      lr(epoch) = lr₀ · factor^⌊epoch / every⌋
CosineDecay    lr(epoch) = lr₀ · ½ (1 + cos(π epoch / epochs))
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Protocol


class Schedule(Protocol):
    """The learning rate of each epoch."""

    def __call__(self, epoch: int) -> float:
        """The rate of an epoch, counted from 0."""
        ...


@dataclass(frozen=True)
class StepDecay:
    """The paper's: CFPD 0.01, x 0.4 every 10 epochs (section 2.2); COREFAN 0.001, x 0.5 every 20 (section 3.2)."""

    lr: float
    factor: float
    every: float

    def __call__(self, epoch: int) -> float:
        """The rate of an epoch, counted from 0."""
        return self.lr * self.factor ** (epoch // self.every)


@dataclass(frozen=True)
class CosineDecay:
    """Slowly at first and at the end, in half a wave. (Loshchilov and Hutter 2016, without restarts)"""

    lr: float
    epochs: int

    def __call__(self, epoch: int) -> float:
        """The rate of an epoch, counted from 0; 0 from `epochs` on."""
        return self.lr * (1 + cos(pi * min(epoch / self.epochs, 1))) / 2
