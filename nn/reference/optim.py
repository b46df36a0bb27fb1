"""One step of an optimiser on one array, in place, number by number; and the norm of all gradients."""

import math
from collections.abc import Sequence

import numpy as np


def sgd_step(value: np.ndarray, grad: np.ndarray, velocity: np.ndarray, lr: float, momentum: float) -> None:
    """v <- momentum v + ∇;   θ <- θ - lr v."""
    for k in np.ndindex(value.shape):
        v = momentum * float(velocity[k]) + float(grad[k])
        velocity[k], value[k] = v, float(value[k]) - lr * v


def adam_step(
    value: np.ndarray, grad: np.ndarray, m: np.ndarray, v: np.ndarray, step: int, lr: float, beta1: float, beta2: float, epsilon: float
) -> None:
    """m <- β₁m + (1-β₁)∇,  v <- β₂v + (1-β₂)∇²,  θ <- θ - lr m̂ / (√v̂ + ε),  m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ). (Kingma and Ba 2014, alg. 1)"""
    for k in np.ndindex(value.shape):
        gradient = float(grad[k])
        first = beta1 * float(m[k]) + (1 - beta1) * gradient
        second = beta2 * float(v[k]) + (1 - beta2) * gradient**2
        unbiased, spread = first / (1 - beta1**step), second / (1 - beta2**step)  # m̂, v̂
        m[k], v[k] = first, second
        value[k] = float(value[k]) - lr * unbiased / (math.sqrt(spread) + epsilon)


def total_norm(arrays: Sequence[np.ndarray]) -> np.float64:
    """√(Σ a²) over the numbers of all arrays."""
    return np.float64(math.sqrt(sum(float(a) ** 2 for array in arrays for a in array.reshape(-1))))
