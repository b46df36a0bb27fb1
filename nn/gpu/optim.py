"""One step of an optimiser on one array, in place: one launch; the kernels stand in optim.cu. And the norm of all gradients.

Values and averages must lie in row-major order (TypeError otherwise: a copy would take the step in their place); gradients need not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nn.gpu.launch import THREADS, Build, blocks, contiguous, launch
from nn.gpu.reduce import sum_all

BUILDS = [Build("optim.cu", {})]


def sgd_step(value: Any, grad: Any, velocity: Any, lr: float, momentum: float) -> None:
    """v <- momentum v + ∇;   θ <- θ - lr v."""
    n = value.size
    launch("optim.cu", "sgd_step", blocks(n), (THREADS,), value, contiguous(grad), velocity, lr, momentum, n)


def adam_step(value: Any, grad: Any, m: Any, v: Any, step: int, lr: float, beta1: float, beta2: float, epsilon: float) -> None:
    """m <- β₁m + (1-β₁)∇,  v <- β₂v + (1-β₂)∇²,  θ <- θ - lr m̂ / (√v̂ + ε),  m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ). (Kingma and Ba 2014, alg. 1)"""
    correction = (1 - beta2**step) ** 0.5
    rate, shift = lr * correction / (1 - beta1**step), epsilon * correction
    numbers = rate, shift, beta1, 1 - beta1, beta2, 1 - beta2, value.size
    launch("optim.cu", "adam_step", blocks(value.size), (THREADS,), value, contiguous(grad), m, v, *numbers)


def total_norm(arrays: Sequence[Any]) -> Any:
    """√(Σ a²) over the numbers of all arrays: a 0-d array, infinite where a square or the sum is more than the dtype holds.

    They are joined first: three launches for them all cost less than one for each.
    """
    flat = np.concatenate([array.reshape(-1) for array in arrays])
    return np.sqrt(sum_all(flat * flat))
