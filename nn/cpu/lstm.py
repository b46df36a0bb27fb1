"""The LSTM over a whole sequence, with room for a term inside the last tanh. Gates are stacked in the order i, f, g, o.

    [a_i, a_f, a_g, a_o] = W · [h_{t-1}, x_t] + b
    i, f, o = σ(a_i), σ(a_f), σ(a_o)      g = tanh(a_g)
    c_t = f c_{t-1} + i g                 h_t = o tanh(c_t + u_t)            u_t = 0 in the plain LSTM; Eq. (4): W_ih f_ih + b_ih

Backwards in time, with e = tanh(c_t + u_t) and the two gradients that step t+1 hands back, δh and δc:

    dh = dh_t + δh       du_t = dh o (1 - e²)       dc = δc + du_t
    da_i = dc g i(1-i)   da_f = dc c_{t-1} f(1-f)   da_g = dc i (1-g²)   da_o = dh e o(1-o)
    δh = da W_h          δc = dc f                  dx_t = da W_x        dW = Σ_t daᵀ [h_{t-1}, x_t]     db = Σ_t da
"""

import numpy as np

from nn.cpu.product import product
from nn.cpu.threads import one_blas_thread

Saved = tuple[np.ndarray, ...]


def lstm(
    x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w: np.ndarray, b: np.ndarray, u: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, Saved]:
    """x (N, T, D), h0 c0 (N, U), w (4U, U+D), b (4U,), u (N, T, U) -> h (N, T, U), the last c (N, U), and what backward needs.

    σ(a) = (1 + tanh(a/2)) / 2 never overflows, and so one tanh serves all four gates: i, f and o go in halved and come out as
    (1 + ·) / 2.
    """
    N, T, D = x.shape
    U = h0.shape[1]
    half = np.repeat(np.array([0.5, 0.5, 1, 0.5], x.dtype), U)  # (4U,)
    recurrent = w[:, :U].T
    inputs = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(T * N, D)
    gates = product(inputs, w[:, U:].T).reshape(T, N, 4 * U)  # every step's input product at once
    gates += b
    h = np.empty((T + 1, N, U), x.dtype)
    c = np.empty((T + 1, N, U), x.dtype)
    e = np.empty((T, N, U), x.dtype)
    h[0], c[0] = h0, c0
    with one_blas_thread():
        for t in range(T):
            a = gates[t]
            a += h[t] @ recurrent
            a *= half
            np.tanh(a, out=a)
            a *= half
            a += 1 - half  # 0 for g
            i, f, g, o = fourths(a)
            np.multiply(f, c[t], out=c[t + 1])
            c[t + 1] += i * g
            np.tanh(c[t + 1] if u is None else c[t + 1] + u[:, t], out=e[t])
            np.multiply(o, e[t], out=h[t + 1])
    return np.ascontiguousarray(h[1:].transpose(1, 0, 2)), c[T].copy(), (x, h, c, e, gates)


def fourths(gates: np.ndarray) -> np.ndarray:
    """The gates i, f, g, o of (N, 4U): views, (4, N, U). np.split would take as long as the step's arithmetic for one sequence."""
    return gates.reshape(len(gates), 4, gates.shape[1] // 4).swapaxes(0, 1)


def lstm_backward(
    dh: np.ndarray, dc: np.ndarray, saved: Saved, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From dh (N, T, U) and the last cell's dc (N, U): dx (N, T, D), dh0, dc0 (N, U), dw (4U, U+D), db (4U,), du (N, T, U)."""
    x, h, c, e, gates = saved
    T, N, U = e.shape
    da = np.empty_like(gates)
    du = np.empty((N, T, U), dh.dtype)
    from_next = np.zeros((N, U), dh.dtype)
    with one_blas_thread():
        for t in reversed(range(T)):
            i, f, g, o = fourths(gates[t])
            dh_t = dh[:, t] + from_next
            du[:, t] = dh_t * o * (1 - e[t] * e[t])
            dc = dc + du[:, t]
            di, df, dg, do = fourths(da[t])
            di[...] = dc * g * i * (1 - i)
            df[...] = dc * c[t] * f * (1 - f)
            dg[...] = dc * i * (1 - g * g)
            do[...] = dh_t * e[t] * o * (1 - o)
            from_next = da[t] @ w[:, :U]
            dc = dc * f
    flat = da.reshape(T * N, 4 * U)
    inputs = np.concatenate([h[:-1].reshape(T * N, U), x.transpose(1, 0, 2).reshape(T * N, x.shape[2])], axis=1)  # (T·N, U+D)
    dx = product(flat, w[:, U:]).reshape(T, N, x.shape[2]).transpose(1, 0, 2)
    return dx, from_next, dc, product(flat.T, inputs), flat.sum(0), du
