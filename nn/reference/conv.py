"""Convolution as one long sum of products.

    y[n,i,j,o] = b[o] + Σ_rsc x[n, i·stride + r - top, j·stride + s - left, c] · w[o,r,s,c]          x is 0 outside its frame

Each product holds one x and one w, so its derivative by x is w, and by w is x. Backward walks the same products as forward.
"""

from collections.abc import Iterator

import numpy as np

from nn.reference.precision import in_float64

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))
Index = tuple[int, int, int, int]


@in_float64
def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    *,
    relu: bool = False,
) -> np.ndarray:
    """x (N, H, W, C), w (O, R, S, C), b (O,) -> y (N, I, J, O), I = (H + top + bottom - R) // stride + 1, J alike; relu: y = max(y, 0)."""
    I, J = ((x.shape[k] + sum(padding[k - 1]) - w.shape[k]) // stride[k - 1] + 1 for k in (1, 2))
    y = np.zeros((len(x), I, J, len(w)))
    for at_y, at_x, at_w in products(y.shape, x.shape, w.shape, stride, padding):
        y[at_y] += x[at_x] * w[at_w]
    y = y if b is None else y + b
    return np.maximum(y, 0) if relu else y


@in_float64
def conv2d_backward(
    dy: np.ndarray, x: np.ndarray, w: np.ndarray, stride: Pair = (1, 1), padding: Padding = ((0, 0), (0, 0)), *, bias: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """From dy (N, I, J, O): dx (N, H, W, C), dw (O, R, S, C), db (O,), which is None where bias=False."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for at_y, at_x, at_w in products(dy.shape, x.shape, w.shape, stride, padding):
        dx[at_x] += dy[at_y] * w[at_w]
        dw[at_w] += dy[at_y] * x[at_x]
    return dx, dw, np.einsum("nijo->o", dy) if bias else None


def products(y_shape: Index, x_shape: Index, w_shape: Index, stride: Pair, padding: Padding) -> Iterator[tuple[Index, Index, Index]]:
    """Yield (index of y, index of x, index of w) for each product of the sum that lies inside the frame."""
    N, I, J, O = y_shape
    _, H, W, C = x_shape
    _, R, S, _ = w_shape
    (top, _), (left, _) = padding
    for n in range(N):
        for i in range(I):
            for j in range(J):
                for r in range(R):
                    for s in range(S):
                        row, column = i * stride[0] + r - top, j * stride[1] + s - left
                        if 0 <= row < H and 0 <= column < W:
                            for o in range(O):
                                for c in range(C):
                                    yield (n, i, j, o), (n, row, column, c), (o, r, s, c)
