"""Convolution layer; the equations stand in nn/cpu/conv.py, and as plain loops in nn/reference.

y[n,i,j,o] = b[o] + Σ_rsc x[n, i·stride + r - top, j·stride + s - left, c] · w[o,r,s,c]
"""

import numpy as np
from numpy.random import Generator

from nn.backend import ops
from nn.initializers import he_normal, zeros
from nn.layer import Layer, Parameter, expect


class Conv2D(Layer):
    """x (N, H, W, C) -> y (N, I, J, O), I = (H + top + bottom - R) // stride + 1 and J alike.

    size: R = S or (R, S).   stride: one number or (rows, columns).
    padding: "same" (I = ⌈H / stride⌉; the odd zero goes to the bottom and right), one number for all four sides, or
    ((top, bottom), (left, right)).   bias=False where a batch norm follows: its β does the same work.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int] = 3,
        *,
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[tuple[int, int], tuple[int, int]] = "same",
        bias: bool = True,
        rng: Generator,
    ):
        R, S = (size, size) if isinstance(size, int) else size
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.padding = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
        if min(R, S, *self.stride) < 1:
            raise ValueError(f"Conv2D expects filter sides and strides of 1 or more, got size {(R, S)} and stride {self.stride}")
        if isinstance(padding, str) and padding != "same":
            raise ValueError(f'Conv2D expects padding "same", a number or ((top, bottom), (left, right)), got {padding!r}')
        self.weight = Parameter(he_normal((outputs, R, S, inputs), rng))
        self.bias = Parameter(zeros(outputs)) if bias else None

    def zeros_around(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """((top, bottom), (left, right)) for an input of this height and width."""
        if not isinstance(self.padding, str):
            return self.padding
        totals = [
            max(0, (-(-size // step) - 1) * step + side - size)
            for size, step, side in zip((height, width), self.stride, self.weight.value.shape[1:3], strict=True)
        ]
        return (totals[0] // 2, totals[0] - totals[0] // 2), (totals[1] // 2, totals[1] - totals[1] // 2)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(N, H, W, C) -> (N, I, J, O)."""
        y = self.apply(x, self.weight.value, self.bias.value if self.bias else None)
        self.keep(y, x)
        return y

    def apply(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, *, relu: bool = False) -> np.ndarray:
        """This layer's convolution of x with filters and a bias that may be others than its own; nothing is kept."""
        expect(self, x, "N", "H", "W", w.shape[3], dtype=w.dtype)
        padding = self.zeros_around(*x.shape[1:3])
        if any(x.shape[1 + k] + sum(padding[k]) < w.shape[1 + k] for k in (0, 1)):
            raise ValueError(f"Conv2D expects a map of at least its filter's {w.shape[1:3]} with the padding {padding}, got {x.shape}")
        return ops(x, w).conv2d(x, w, b, self.stride, padding, relu=relu)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """(N, I, J, O) -> (N, H, W, C)."""
        x, w = self.take_saved(dy), self.weight.value
        padding = self.zeros_around(*x.shape[1:3])
        dx, dw, db = ops(dy, x).conv2d_backward(dy, x, w, self.stride, padding, bias=self.bias is not None)
        self.weight.add_grad(dw)
        if self.bias:
            self.bias.add_grad(db)
        return dx
