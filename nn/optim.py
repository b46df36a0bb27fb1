"""Optimisers: one `step` turns the gradients of a model's parameters into a change of their values.

SGD    v <- momentum v + ∇             θ <- θ - lr v
Adam   m <- β₁ m + (1 - β₁) ∇          v <- β₂ v + (1 - β₂) ∇²          θ <- θ - lr m̂ / (√v̂ + ε)
       m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ): the averages start at 0, and early on the division makes up for it
"""

from typing import Any

import numpy as np

from nn.backend import device_of, ops, to_device, to_numpy
from nn.layer import Parameter


class Optimizer:
    """Holds parameters by name, a learning rate that a schedule may change between steps, and a few arrays a parameter."""

    slots: tuple[str, ...] = ()  # what it keeps for each parameter, each of the parameter's shape, 0 at first

    def __init__(self, parameters: dict[str, Parameter], lr: float):
        self.parameters, self.lr, self.steps = parameters, lr, 0
        self.kept = {f"{slot}.{name}": np.zeros_like(p.value) for name, p in parameters.items() for slot in self.slots}

    def step(self) -> None:
        """Change every parameter by its gradient."""
        self.steps += 1
        for name, parameter in self.parameters.items():
            self.update(parameter, *(self.kept[f"{slot}.{name}"] for slot in self.slots))

    def update(self, parameter: Parameter, *kept: Any) -> None:
        """Change one parameter."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def change(self, *kept: Any) -> np.ndarray:
        """What the last step took off a parameter, from what it keeps of it, as NumPy's float64 (the room rounds otherwise)."""
        raise NotImplementedError(f"{type(self).__name__}.change")

    def gradient_norm(self) -> float:
        """‖∇‖ over all parameters; infinite where a square or their sum is more than the gradients' dtype holds."""
        gradients = [parameter.grad for parameter in self.parameters.values()]
        return float(ops(*gradients).total_norm(gradients))

    def clip(self, norm: float, most: float) -> None:
        """Scale all gradients, whose norm is given, so that it is at most `most`; their direction stays. (Pascanu et al. 2013)"""
        if norm > most:
            for parameter in self.parameters.values():
                parameter.grad *= most / norm

    def update_ratio(self) -> float:
        """‖Δθ‖ / ‖θ‖ over all parameters: how far the last step went, against the weights as they are now."""
        squares = np.zeros(2)
        for name, parameter in self.parameters.items():
            change = self.change(*(to_numpy(self.kept[f"{slot}.{name}"]).astype(np.float64) for slot in self.slots))
            squares += np.square(change).sum(), np.square(to_numpy(parameter.value), dtype=np.float64).sum()
        return float(np.sqrt(squares[0] / squares[1]))

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint must hold to go on exactly here."""
        return {**{name: to_numpy(array) for name, array in self.kept.items()}, "steps": np.array(self.steps)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take such a state over. Raises ValueError where it belongs to another model or optimiser."""
        own = self.state()
        if state.keys() != own.keys() or any(state[name].shape != own[name].shape for name in own):
            raise ValueError(f"the saved optimiser state is not that of {type(self).__name__} on this model")
        self.steps = int(state["steps"])
        for name, array in self.kept.items():
            array[...] = to_device(state[name], device_of(array))


class SGD(Optimizer):
    """Stochastic gradient descent with momentum."""

    slots = ("velocity",)

    def __init__(self, parameters: dict[str, Parameter], lr: float, *, momentum: float = 0.9):
        super().__init__(parameters, lr)
        self.momentum = momentum

    def update(self, parameter: Parameter, *kept: Any) -> None:
        """v <- momentum v + ∇;  θ <- θ - lr v."""
        ops(parameter.value).sgd_step(parameter.value, parameter.grad, *kept, self.lr, self.momentum)

    def change(self, *kept: Any) -> np.ndarray:
        """lr v."""
        return self.lr * kept[0]


class Adam(Optimizer):
    """Adam with bias correction. (Kingma and Ba 2014, algorithm 1)"""

    slots = ("m", "v")

    def __init__(self, parameters: dict[str, Parameter], lr: float, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
        super().__init__(parameters, lr)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def update(self, parameter: Parameter, *kept: Any) -> None:
        """θ <- θ - lr m̂ / (√v̂ + ε)."""
        step = ops(parameter.value).adam_step
        step(parameter.value, parameter.grad, *kept, self.steps, self.lr, self.beta1, self.beta2, self.epsilon)

    def change(self, *kept: Any) -> np.ndarray:
        """lr m̂ / (√v̂ + ε)."""
        m, v = kept[0] / (1 - self.beta1**self.steps), kept[1] / (1 - self.beta2**self.steps)
        return self.lr * m / (np.sqrt(v) + self.epsilon)
