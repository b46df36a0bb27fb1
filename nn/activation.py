"""Activations. Each layer keeps its output y: every one of the three derivatives can be written with y alone.

ReLU     y = max(x, 0)            dx = dy where y > 0, else 0
Sigmoid  y = 1 / (1 + e^-x)       dx = dy y (1 - y)
Tanh     y = tanh x               dx = dy (1 - y²)
"""

import numpy as np

from nn.backend import ops
from nn.layer import Layer, expect


class ReLU(Layer):
    """y = max(x, 0), any shape; the slope at 0 is taken as 0."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(...) -> (...)."""
        expect(self, x, *x.shape)
        y = ops(x).relu(x)
        self.keep(y, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy where y > 0."""
        return ops(dy).relu_backward(dy, self.take_saved(dy))


class Sigmoid(Layer):
    """y = σ(x) = 1 / (1 + e^-x), any shape."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(...) -> (...)."""
        expect(self, x, *x.shape)
        y = ops(x).sigmoid(x)
        self.keep(y, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy y (1 - y)."""
        return ops(dy).sigmoid_backward(dy, self.take_saved(dy))


class Tanh(Layer):
    """y = tanh x, any shape."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(...) -> (...)."""
        expect(self, x, *x.shape)
        y = ops(x).tanh(x)
        self.keep(y, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dx = dy (1 - y²)."""
        return ops(dy).tanh_backward(dy, self.take_saved(dy))
