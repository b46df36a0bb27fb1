"""One step of an optimiser on one array, in place, block by block on every core."""

import numpy as np

from nn.cpu.threads import parallel_blocks


def sgd_step(value: np.ndarray, grad: np.ndarray, velocity: np.ndarray, lr: float, momentum: float) -> None:
    """v <- momentum v + ∇;   θ <- θ - lr v."""
    velocity *= momentum
    velocity += grad
    value -= lr * velocity


def adam_step(
    value: np.ndarray, grad: np.ndarray, m: np.ndarray, v: np.ndarray, step: int, lr: float, beta1: float, beta2: float, epsilon: float
) -> None:
    """m <- β₁m + (1-β₁)∇,  v <- β₂v + (1-β₂)∇²,  θ <- θ - lr m̂ / (√v̂ + ε),  m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ). (Kingma and Ba 2014, alg. 1)"""
    rate = lr / (1 - beta1**step)
    correction = (1 - beta2**step) ** -0.5
    value, grad, m, v = (array.reshape(-1) for array in (value, grad, m, v))  # views: all four are contiguous

    def work(_: int, block: slice) -> None:
        g = grad[block]
        m[block] *= beta1
        m[block] += (1 - beta1) * g
        v[block] *= beta2
        v[block] += (1 - beta2) * g * g
        root = np.sqrt(v[block])
        root *= correction
        root += epsilon
        np.divide(m[block], root, out=root)
        root *= rate
        value[block] -= root

    parallel_blocks(work, value.size, 1)
