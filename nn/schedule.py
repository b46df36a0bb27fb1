"""How the learning rate falls: lr(epoch) = lr₀ · factor^⌊epoch / every⌋."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepDecay:
    """The paper's: CFPD 0.01, x 0.4 every 10 epochs (section 2.2); COREFAN 0.001, x 0.5 every 20 (section 3.2)."""

    lr: float
    factor: float
    every: float

    def __call__(self, epoch: int) -> float:
        """The rate of an epoch, counted from 0."""
        return self.lr * self.factor ** (epoch // self.every)
