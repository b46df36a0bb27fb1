"""Max pooling.

y[n,i,j,c] = max_rs x[n, i·S + r, j·S + s, c]          backward: each dy goes to the element that won its window
"""

import numpy as np

from nn.backend import ops
from nn.layer import Layer, expect


class MaxPool2D(Layer):
    """S x S windows, stride S: x (N, H, W, C) -> y (N, H // S, W // S, C).

    Of equal elements the first in row-major order wins. Rows and columns beyond (H // S)·S belong to no window: dx is 0 there.
    """

    def __init__(self, size: int = 2):
        if size < 1:
            raise ValueError(f"MaxPool2D expects a window of 1 or more, got {size}")
        self.size = size

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, H, W, C) -> (N, H // S, W // S, C)."""
        expect(self, x, "N", "H", "W", "C")
        y, winner = ops(x).maxpool2d(x, self.size, winners=self.keeping)
        self.keep(y, winner, x.shape)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(N, H // S, W // S, C) -> (N, H, W, C)."""
        winner, shape = self.take_saved(dy)
        return ops(dy).maxpool2d_backward(dy, winner, self.size, shape)
