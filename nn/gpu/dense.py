"""Fully connected on the GPU: y = x Wᵀ + b;   dx = dy W,   dW = dyᵀ x,   db = Σ_n dy: three matrix products (gemm.py) and a sum."""

from typing import Any

from nn.gpu.gemm import gemm
from nn.gpu.reduce import sum_rows


def dense(x: Any, w: Any, b: Any) -> Any:
    """x (N, D), w (O, D), b (O,) -> y (N, O)."""
    return gemm(x, w, transpose_b=True, bias=b)


def dense_backward(dy: Any, x: Any, w: Any) -> tuple[Any, Any, Any]:
    """From dy (N, O): dx (N, D), dw (O, D), db (O,)."""
    return gemm(dy, w), gemm(dy, x, transpose_a=True), sum_rows(dy)
