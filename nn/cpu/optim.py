"""One step of an optimiser on one array, in place, block by block on every core; and the norm of all gradients."""

from collections.abc import Sequence

import numpy as np

from nn.cpu.memory import empty
from nn.cpu.threads import one_blas_thread, parallel_blocks


def sgd_step(value: np.ndarray, grad: np.ndarray, velocity: np.ndarray, lr: float, momentum: float) -> None:
    """v <- momentum v + ∇;   θ <- θ - lr v."""
    value, grad, velocity = (array.reshape(-1) for array in (value, grad, velocity))  # value and velocity are views: contiguous

    def work(_: int, block: slice) -> None:
        v = velocity[block]
        v *= momentum
        v += grad[block]
        value[block] -= np.multiply(v, lr, out=empty(v.shape, v.dtype))

    parallel_blocks(work, value.size, 1)


def adam_step(
    value: np.ndarray, grad: np.ndarray, m: np.ndarray, v: np.ndarray, step: int, lr: float, beta1: float, beta2: float, epsilon: float
) -> None:
    """m <- β₁m + (1-β₁)∇,  v <- β₂v + (1-β₂)∇²,  θ <- θ - lr m̂ / (√v̂ + ε),  m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ). (Kingma and Ba 2014, alg. 1)"""
    correction = (1 - beta2**step) ** 0.5  # m̂ / (√v̂ + ε) = m / (√v + ε·correction) · correction / (1-β₁ᵗ)
    rate = lr * correction / (1 - beta1**step)
    value, grad, m, v = (array.reshape(-1) for array in (value, grad, m, v))  # value, m and v are views: contiguous

    def work(_: int, block: slice) -> None:
        g, mean, square = grad[block], m[block], v[block]
        change = np.multiply(g, 1 - beta1, out=empty(g.shape, g.dtype))
        mean *= beta1
        mean += change
        np.multiply(g, g, out=change)
        change *= 1 - beta2
        square *= beta2
        square += change
        root = np.sqrt(square, out=change)
        root += epsilon * correction
        np.divide(mean, root, out=root)
        root *= rate
        value[block] -= root

    parallel_blocks(work, value.size, 5)  # a block of all five arrays at once


def total_norm(arrays: Sequence[np.ndarray]) -> np.floating:
    """√(Σ a²) over the numbers of all arrays: a scalar, infinite where a square or the sum is more than the dtype holds.

    A product of each array with itself reads it once, at memory's pace; on one thread, so that the sum has one order.
    """
    flat = [array.reshape(-1) for array in arrays]
    with one_blas_thread():
        return np.sqrt(sum(row @ row for row in flat))
