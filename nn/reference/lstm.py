"""The LSTM, a step at a time and a gate at a time. (Hochreiter and Schmidhuber 1997, Gers 2000; the paper's section 3)

i_t = σ(W_i · [h_{t-1}, x_t] + b_i)         input gate                  W stacks W_i, W_f, W_C, W_o, each (U, U+D)
f_t = σ(W_f · [h_{t-1}, x_t] + b_f)         forget gate
C̃_t = tanh(W_C · [h_{t-1}, x_t] + b_C)      candidate
o_t = σ(W_o · [h_{t-1}, x_t] + b_o)         output gate
C_t = f_t C_{t-1} + i_t C̃_t
h_t = o_t tanh(C_t + u_t)                   u_t = 0 in the plain LSTM; Eq. (4): W_ih f_ih + b_ih
"""

import numpy as np

from nn.reference.activation import sigmoid
from nn.reference.precision import in_float64

Saved = list[tuple[np.ndarray, ...]]  # what each step computed


@in_float64
def lstm(
    x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w: np.ndarray, b: np.ndarray, u: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, Saved]:
    """x (N, T, D), h0 c0 (N, U), w (4U, U+D), b (4U,), u (N, T, U) -> h (N, T, U), the last c (N, U), and what backward needs."""
    N, T, _ = x.shape
    U = h0.shape[1]
    W_i, W_f, W_C, W_o = w.reshape(4, U, -1)
    b_i, b_f, b_C, b_o = b.reshape(4, U)
    h, C = h0, c0
    hidden = np.zeros((N, T, U))
    saved: Saved = []
    for t in range(T):
        hx = np.concatenate([h, x[:, t]], axis=1)  # [h_{t-1}, x_t]: (N, U+D)
        i = sigmoid(hx @ W_i.T + b_i)  # Eq. (4)
        f = sigmoid(hx @ W_f.T + b_f)  # Eq. (4)
        candidate = np.tanh(hx @ W_C.T + b_C)  # Eq. (4)
        o = sigmoid(hx @ W_o.T + b_o)  # Eq. (4)
        before, C = C, f * C + i * candidate  # Eq. (4)
        squashed = np.tanh(C if u is None else C + u[:, t])
        h = o * squashed  # Eq. (4)
        hidden[:, t] = h
        saved.append((hx, i, f, candidate, o, before, squashed))
    return hidden, C, saved


@in_float64
def lstm_backward(
    dh: np.ndarray, dc: np.ndarray, saved: Saved, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From dh (N, T, U) and the last cell's dc (N, U): dx (N, T, D), dh0, dc0 (N, U), dw (4U, U+D), db (4U,), du (N, T, U).

    Each line is the derivative of one line of the forward pass, the last line first.
    """
    N, T, U = dh.shape
    W_i, W_f, W_C, W_o = w.reshape(4, U, -1)
    dW_i, dW_f, dW_C, dW_o = dw = np.zeros((4, *W_i.shape))
    db_i, db_f, db_C, db_o = db = np.zeros((4, U))
    dx, du = np.zeros((N, T, w.shape[1] - U)), np.zeros_like(dh)
    dh_next, dC = np.zeros((N, U)), dc
    for t in reversed(range(T)):
        hx, i, f, candidate, o, before, squashed = saved[t]
        dh_t = dh[:, t] + dh_next  # h_t is an output and is read by step t + 1
        do = dh_t * squashed  # h_t = o_t tanh(C_t + u_t)
        du[:, t] = dh_t * o * (1 - squashed**2)
        dC = dC + du[:, t]
        di, df, dcandidate = dC * candidate, dC * before, dC * i  # C_t = f_t C_{t-1} + i_t C̃_t
        dC = dC * f

        dhx = np.zeros_like(hx)
        for da, W, dW, db_gate in (
            (di * i * (1 - i), W_i, dW_i, db_i),
            (df * f * (1 - f), W_f, dW_f, db_f),
            (dcandidate * (1 - candidate**2), W_C, dW_C, db_C),
            (do * o * (1 - o), W_o, dW_o, db_o),
        ):
            for n in range(N):  # a_n = W [h_{t-1}, x_t]_n + b
                dW += np.outer(da[n], hx[n])
                db_gate += da[n]
                dhx[n] += da[n] @ W
        dh_next, dx[:, t] = dhx[:, :U], dhx[:, U:]
    return dx, dh_next, dC, dw.reshape(w.shape), db.reshape(4 * U), du
