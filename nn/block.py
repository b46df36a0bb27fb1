"""The convolution block: convolution -> batch norm -> ReLU, as most networks since 2015 repeat it.

    y = max(γ (w * x - μ) / √(σ² + ε) + β, 0)

Batch norm subtracts the mean, so the convolution has no bias: β does its work. In evaluation μ and σ² are fixed numbers, and batch norm
is a line; with s = γ / √(σ² + ε) it goes into the filters, and the whole block costs one convolution:

    y = max((s w) * x + (β - s μ), 0)
"""

from typing import Any

import numpy as np
from numpy.random import Generator

from nn.backend import device_of
from nn.conv import Conv2D
from nn.layer import Layer
from nn.norm import BatchNorm


class ConvBlock(Layer):
    """x (N, H, W, C) -> y (N, I, J, O); `size` and the options after it are Conv2D's."""

    def __init__(self, inputs: int, outputs: int, size: int | tuple[int, int] = 3, *, rng: Generator, **options: Any):
        self.conv = Conv2D(inputs, outputs, size, bias=False, rng=rng, **options)
        self.norm = BatchNorm(outputs, relu=True)
        self._folded: tuple[tuple[np.ndarray, ...], np.ndarray] | None = None  # what the filters were made of, and the filters

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, H, W, C) -> (N, I, J, O)."""
        if self.keeping:
            y = self.norm.forward(self.conv.forward(x))
        else:
            slope, offset = self.norm.line()
            y = self.conv.apply(x, self.folded(slope), offset, relu=True)
        self.keep(y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(N, I, J, O) -> (N, H, W, C)."""
        self.take_saved(dy)
        return self.conv.backward(self.norm.backward(dy))

    def folded(self, slope: np.ndarray) -> np.ndarray:
        """s w, made anew only where s or w changed since the last time; read-only on the CPU, which may so keep what it makes of them."""
        made_of = self.conv.weight.value, slope
        if self._folded is None or not all(map(same, made_of, self._folded[0])):
            w = self.conv.weight.value * slope[:, None, None, None]
            if device_of(w) == "cpu":
                w.flags.writeable = False
            self._folded = tuple(array.copy() for array in made_of), w
        return self._folded[1]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers in the same dtype."""
    return a.dtype == b.dtype and np.array_equal(a, b)
