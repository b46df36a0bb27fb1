"""One step of an optimiser on one array, in place: one launch; the kernels stand in optim.cu.

Values and averages must lie in row-major order (TypeError otherwise: a copy would take the step in their place); gradients need not.
"""

from typing import Any

from nn.gpu.launch import THREADS, Build, blocks, contiguous, launch

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
