"""Batch norm, a mean and a variance a channel. (Ioffe and Szegedy 2015)

    x̂ = (x - μ) / √(σ² + ε)     y = γ x̂ + β

Training takes μ and σ² from the batch, over all but the last side, and keeps running averages; evaluation takes those.
A ReLU that follows can ride along, y = max(γ x̂ + β, 0): the map is in the cache anyway.
"""

import numpy as np

from nn.backend import ops
from nn.initializers import ones, zeros
from nn.layer import Buffer, Layer, Parameter, expect


class BatchNorm(Layer):
    """x (N, C) or (N, H, W, C) -> the same shape.

    running <- running + momentum (batch - running) at each training forward, the variance with M / (M - 1), so that it is unbiased.
    relu: apply y = max(y, 0) in the same pass.
    """

    def __init__(self, channels: int, *, momentum: float = 0.1, epsilon: float = 1e-5, relu: bool = False):
        self.gamma, self.beta = Parameter(ones(channels)), Parameter(zeros(channels))
        self.mean, self.variance = Buffer(zeros(channels)), Buffer(ones(channels))
        self.momentum, self.epsilon, self.relu = momentum, epsilon, relu

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(..., C) -> (..., C)."""
        gamma, C = self.gamma.value, self.gamma.value.size
        if x.ndim not in (2, 4) or x.shape[-1] != C:
            raise ValueError(f"BatchNorm expects (N, {C}) or (N, H, W, {C}), got {x.shape}")
        expect(self, x, *x.shape, dtype=gamma.dtype)
        mean, variance, of_batch = self.mean.value, self.variance.value, self.training and x.size > 0
        if of_batch:
            mean, variance = ops(x).batch_statistics(x)
            M = x.size // C
            self.mean.value += self.momentum * (mean - self.mean.value)
            self.variance.value += self.momentum * (variance * (M / max(1, M - 1)) - self.variance.value)
        y = ops(x, gamma).batch_norm(x, gamma, self.beta.value, mean, variance, self.epsilon, relu=self.relu)
        self.keep(y, x, mean, variance, of_batch)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(..., C) -> (..., C)."""
        x, mean, variance, of_batch = self.take_saved(dy)
        beta = self.beta.value if self.relu else None
        dx, dgamma, dbeta = ops(dy, x).batch_norm_backward(dy, x, self.gamma.value, mean, variance, self.epsilon, of_batch, beta=beta)
        self.gamma.add_grad(dgamma)
        self.beta.add_grad(dbeta)
        return dx

    def line(self) -> tuple[np.ndarray, np.ndarray]:
        """Slope and offset (C,) of evaluation, where batch norm is y = slope · x + offset."""
        slope = self.gamma.value / np.sqrt(self.variance.value + self.epsilon)
        return slope, self.beta.value - slope * self.mean.value
