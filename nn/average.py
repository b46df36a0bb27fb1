"""A model's arrays averaged over the steps of training: steadier than the last step's, and better where the rate is still high.

    θ̄ ← β_t θ̄ + (1 - β_t) θ        β_t = min(β, (1 + t) / (10 + t)), t = 1, 2, ...: early on it forgets faster, as its start says little

(Polyak and Juditsky 1992 average all steps alike; this one forgets, so that the early steps do not count.)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nn.layer import Layer


class Average:
    """The average of every parameter and of batch norm's running statistics."""

    def __init__(self, model: Layer, beta: float):
        if not 0 < beta < 1:
            raise ValueError(f"Average expects a beta between 0 and 1, got {beta}")
        self.model, self.beta, self.steps = model, beta, 0
        self.mean = {name: array.copy() for name, array in model.state().items()}

    def step(self) -> None:
        """Take in the model as it is now."""
        self.steps += 1
        share = 1 - min(self.beta, (1 + self.steps) / (10 + self.steps))
        for name, array in self.model.state().items():
            self.mean[name] += share * (array - self.mean[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Within this, the model is its average."""
        own = {name: array.copy() for name, array in self.model.state().items()}
        self.model.load_state(self.mean)
        try:
            yield
        finally:
            self.model.load_state(own)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint must hold to go on exactly here."""
        return {**self.mean, "steps": np.array(self.steps)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take such a state over. Raises ValueError where it belongs to another model."""
        if state.keys() != self.state().keys() or any(state[name].shape != array.shape for name, array in self.mean.items()):
            raise ValueError("the saved average is not that of this model")
        self.steps = int(state["steps"])
        self.mean = {name: state[name].copy() for name in self.mean}
