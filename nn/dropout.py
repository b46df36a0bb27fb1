"""Dropout. (Srivastava et al. 2014)

    training:    y = x · kept / (1 - rate), kept drawn anew at each forward      dx = dy · kept / (1 - rate)
    evaluation:  y = x                                                            dx = dy

The division keeps the mean of y equal to x, so evaluation needs no scale.
"""

import numpy as np
from numpy.random import Generator

from nn.backend import ops
from nn.layer import Layer, expect


class Dropout(Layer):
    """Silences each number with probability `rate`; the generator that draws is passed in and belongs to the layer from then on."""

    def __init__(self, rate: float, *, rng: Generator):
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout expects a rate in [0, 1), got {rate}")
        self.rate, self.rng = rate, rng

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(...) -> (...)."""
        expect(self, x, *x.shape)
        kept = self.rng.random(x.shape, np.float32) >= self.rate if self.training and self.rate else None
        y = x if kept is None else ops(x).dropout(x, kept, self.rate)
        self.keep(y, kept)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """The same mask and scale."""
        kept = self.take_saved(dy)
        return dy if kept is None else ops(dy).dropout(dy, kept, self.rate)
