"""Fully connected layer, and the reshape that comes before it.

    y = x Wᵀ + b                  x (N, D)   W (O, D)   b (O,)   y (N, O)

From dy (N, O):   dx = dy W       dW = dyᵀ x            db = Σₙ dy
"""

import numpy as np
from numpy.random import Generator

from nn.backend import ops
from nn.initializers import he_normal, zeros
from nn.layer import Layer, Parameter, expect


class Dense(Layer):
    """y = x Wᵀ + b."""

    def __init__(self, inputs: int, outputs: int, *, rng: Generator):
        self.weight = Parameter(he_normal((outputs, inputs), rng))
        self.bias = Parameter(zeros(outputs))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, O)."""
        w = self.weight.value
        expect(self, x, "N", w.shape[1], dtype=w.dtype)
        y = ops(x, w).dense(x, w, self.bias.value)
        self.keep(y, x)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(N, O) -> (N, D)."""
        dx, dw, db = ops(dy).dense_backward(dy, self.take_saved(dy), self.weight.value)
        self.weight.add_grad(dw)
        self.bias.add_grad(db)
        return dx


class Flatten(Layer):
    """(N, ...) -> (N, D): the same numbers in one row an image, in the order h, w, c."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, ...) -> (N, D)."""
        y = x.reshape(len(x), int(np.prod(x.shape[1:])))
        self.keep(y, x.shape)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, ...)."""
        return dy.reshape(self.take_saved(dy))
