"""Dropout. (Srivastava et al. 2014)

    training:    y = x · kept / (1 - rate), kept drawn anew at each forward      dx = dy · kept / (1 - rate)
    evaluation:  y = x                                                            dx = dy

The division keeps the mean of y equal to x, so evaluation needs no scale. Each forward draws one 64-bit seed; a hash of the seed and an
element's place says whether it is kept. So CPU and GPU silence the same ones, and backward keeps the seed instead of a mask.
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
        seed = int(self.rng.integers(2**64, dtype=np.uint64)) if self.training and self.rate else None
        y = x if seed is None else ops(x).dropout(x, seed, self.rate)
        self.keep(y, seed)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """The same mask and scale."""
        seed = self.take_saved(dy)
        return dy if seed is None else ops(dy).dropout(dy, seed, self.rate)
