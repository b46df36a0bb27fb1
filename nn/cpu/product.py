"""A matrix product on every core."""

import numpy as np

from nn.cpu.memory import empty
from nn.cpu.threads import PIECE, one_blas_thread, parallel

READ = 1 << 20  # numbers of one matrix worth it, where few rows of the other make each be used once or twice


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (M, K) @ b (K, N), cut along the longer side of the result. The cut depends on the shapes alone."""
    (M, K), N = a.shape, b.shape[1]
    out = empty((M, N), a.dtype)
    longer = max(M, N)
    pieces = max(1, min(max(M * K * N // PIECE, K * longer // READ), 16))
    step = -(-longer // pieces // 16) * 16 or 16  # whole tiles of BLAS's inner loop
    pieces = -(-longer // step)

    def work(k: int) -> None:
        own = slice(k * step, (k + 1) * step)
        if M > N:
            np.matmul(a[own], b, out=out[own])
        else:
            np.matmul(a, b[:, own], out=out[:, own])

    if pieces <= 1:
        with one_blas_thread():
            np.matmul(a, b, out=out)
    else:
        parallel(work, pieces)
    return out
