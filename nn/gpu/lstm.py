"""The LSTM over a whole sequence, with room for a term inside the last tanh. Gates are stacked in the order i, f, g, o.

    [a_i, a_f, a_g, a_o] = W · [h_{t-1}, x_t] + b
    i, f, o = σ(a_i), σ(a_f), σ(a_o)      g = tanh(a_g)
    c_t = f c_{t-1} + i g                 h_t = o tanh(c_t + u_t)            u_t = 0 in the plain LSTM; Eq. (4): W_ih f_ih + b_ih

The kernels, what each rung of the ladder "lstm" changes (gates, cell, sequence) and the way backwards stand in lstm.cu.
"""

from typing import Any

from nn.gpu.gemm import gemm
from nn.gpu.launch import THREADS, Build, blocks, capability, contiguous, empty, launch, library
from nn.gpu.reduce import sum_rows
from nn.gpu.rungs import choose

BUILDS = [Build("lstm.cu", {}), Build("lstm.cu", {"ROWS": 1})]
ROWS = 4  # of the batch, that a block of the rung "sequence" owns
WIDEST = 512  # threads of such a block: its __launch_bounds__
KIB = 1024

Saved = tuple[Any, ...]


def lstm(x: Any, h0: Any, c0: Any, w: Any, b: Any, u: Any = None) -> tuple[Any, Any, Saved]:
    """x (N, T, D), h0 c0 (N, U), w (4U, U+D), b (4U,), u (N, T, U) -> h (N, T, U), the last c (N, U), and what backward needs."""
    N, T, D = x.shape
    U = h0.shape[1]
    x, h0, c0, w, b, u = map(contiguous, (x, h0, c0, w, b, u))
    h, c, e = (empty(x, (N, T, U)) for _ in range(3))
    if not T:
        return h, c0.copy(), (x, h0, c0, h, c, e, empty(x, (N, 0, 4 * U)))
    rung = choose("lstm", able(x, N, U))
    if rung == "gates":
        gates = empty(x, (N, T, 4 * U))
        forward_by_gates(x, h0, c0, w, b, u, gates, h, c, e)
    else:
        inputs = gemm(x.reshape(N * T, D), contiguous(w[:, U:]), transpose_b=True, bias=b)  # every step's input product at once
        gates = inputs.reshape(N, T, 4 * U)
        (forward_by_cells if rung == "cell" else forward_by_sequence)(h0, c0, w, u, gates, h, c, e)
    return h, c[:, -1].copy(), (x, h0, c0, h, c, e, gates)


def lstm_backward(dh: Any, dc: Any, saved: Saved, w: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """From dh (N, T, U) and the last cell's dc (N, U): dx (N, T, D), dh0, dc0 (N, U), dw (4U, U+D), db (4U,), du (N, T, U).

    What stands saved is the same for every rung, so a forward pass of one may be followed by a backward pass of another.
    """
    x, h0, _, h, _, _, gates = saved
    N, T, D = x.shape
    U = h0.shape[1]
    dh, w = contiguous(dh), contiguous(w)
    dh0, dc0 = library(dh).zeros((N, U), dh.dtype), dc.copy()  # δh and δc, from step to step
    du, da = empty(dh, dh.shape), empty(dh, gates.shape)
    rung = choose("lstm", able(dh, N, U))
    if rung == "gates":
        dx, dw, db = empty(x, x.shape), empty(w, w.shape), empty(w, (4 * U,))
        backward_by_gates(dh, saved, w, dh0, dc0, du, da, dx)
        launch("lstm.cu", "lstm_weights_backward", blocks(4 * U * (U + D + 1)), (THREADS,), da, x, h0, h, dw, db, N, T, D, U)
        return dx, dh0, dc0, dw, db, du

    if rung == "cell":
        dh0 = backward_by_cells(dh, saved, contiguous(w[:, :U]), dh0, dc0, du, da)
    else:
        backward_by_sequence(dh, saved, w, dh0, dc0, du, da)
    flat = da.reshape(N * T, 4 * U)
    joined = empty(x, (N * T, U + D))
    launch("lstm.cu", "lstm_join", blocks(joined.size), (THREADS,), x, h0, h, joined, N, T, D, U)
    dx = gemm(flat, contiguous(w[:, U:])).reshape(N, T, D)
    return dx, dh0, dc0, gemm(flat, joined, transpose_a=True), sum_rows(flat), du


def able(x: Any, N: int, U: int) -> list[str]:
    """The rungs that can do it: `sequence` while the da of one row of the batch fits into shared memory."""
    return ["gates", "cell", "sequence"] if rows_of_a_block(x, N, U) else ["gates", "cell"]


def rows_of_a_block(x: Any, N: int, U: int) -> int:
    """How many rows of the batch a block of `sequence` owns: 4, or 1 where there are no more or shared memory holds no more, or 0.

    The sums of a row are the same whatever its neighbours, so this number changes no bit of the result.
    """
    card = capability(library(x))
    room = (48 if card < 70 else 64 if card == 75 else 96) * KIB
    row = 4 * U * x.dtype.itemsize  # backward's da; forward keeps half as much: h twice
    return ROWS if N > 1 and ROWS * row <= room else int(row <= room)


def forward_by_gates(x: Any, h0: Any, c0: Any, w: Any, b: Any, u: Any, gates: Any, h: Any, c: Any, e: Any) -> None:
    """Five launches a step: i, f, g, o, and then c and h."""
    N, T, D = x.shape
    U = h0.shape[1]
    for t in range(T):
        for gate in range(4):
            launch("lstm.cu", "lstm_gate", blocks(N * U), (THREADS,), x, h0, h, w, b, gates, gate, t, N, T, D, U)
        launch("lstm.cu", "lstm_state", blocks(N * U), (THREADS,), gates, c0, u, h, c, e, t, N, T, U)


def backward_by_gates(dh: Any, saved: Saved, w: Any, dh0: Any, dc0: Any, du: Any, da: Any, dx: Any) -> None:
    """Two launches a step: the gates' da, and its products with W."""
    _, _, c0, _, c, e, gates = saved
    N, T, D = dx.shape
    U = dh.shape[2]
    da_t = empty(da, (N, 4 * U))
    for t in reversed(range(T)):
        launch("lstm.cu", "lstm_cell_backward", blocks(N * U), (THREADS,), dh, dh0, gates, c0, c, e, dc0, du, da, da_t, t, N, T, U)
        launch("lstm.cu", "lstm_gates_backward", blocks(N * (U + D)), (THREADS,), da_t, w, dh0, dx, t, N, T, D, U)


def forward_by_cells(h0: Any, c0: Any, w: Any, u: Any, gates: Any, h: Any, c: Any, e: Any) -> None:
    """A step is a GEMM, and one kernel for all that follows."""
    N, T, U = h.shape
    recurrent = contiguous(w[:, :U])
    before, h_t = h0, empty(h0, h0.shape)
    for t in range(T):
        product = gemm(before, recurrent, transpose_b=True)
        launch("lstm.cu", "lstm_cell", blocks(N * U), (THREADS,), product, c0, u, gates, h, c, e, h_t, t, N, T, U)
        before = h_t


def backward_by_cells(dh: Any, saved: Saved, recurrent: Any, dh0: Any, dc0: Any, du: Any, da: Any) -> Any:
    """The same backwards; δh of the first step is handed back."""
    _, _, c0, _, c, e, gates = saved
    N, T, U = dh.shape
    da_t = empty(da, (N, 4 * U))
    for t in reversed(range(T)):
        launch("lstm.cu", "lstm_cell_backward", blocks(N * U), (THREADS,), dh, dh0, gates, c0, c, e, dc0, du, da, da_t, t, N, T, U)
        dh0 = gemm(da_t, recurrent)
    return dh0


def forward_by_sequence(h0: Any, c0: Any, w: Any, u: Any, gates: Any, h: Any, c: Any, e: Any) -> None:
    """All steps in one launch."""
    N, T, U = h.shape
    packed = interleaved(w, U, step_j=U, step_k=1)
    launch_sequence("lstm_sequence", 2 * U, packed, h0, c0, u, gates, h, c, e, N, T, U)


def backward_by_sequence(dh: Any, saved: Saved, w: Any, dh0: Any, dc0: Any, du: Any, da: Any) -> None:
    """The same backwards: dh0 and dc0 carry δh and δc."""
    _, _, c0, _, c, e, gates = saved
    N, T, U = dh.shape
    packed = interleaved(w, U, step_j=1, step_k=U)
    launch_sequence("lstm_sequence_backward", 4 * U, packed, dh, gates, c0, c, e, dh0, dc0, du, da, N, T, U)


def interleaved(w: Any, U: int, *, step_j: int, step_k: int) -> Any:
    """(U, U, 4): the four gates' weights from h[j] to unit k lie side by side at place j·step_j + k·step_k."""
    packed = empty(w, (U, U, 4))
    launch("lstm.cu", "lstm_interleave", blocks(U * U), (THREADS,), w, packed, step_j, step_k, w.shape[1] - U, U)
    return packed


def launch_sequence(name: str, shared: int, packed: Any, *arguments: Any) -> None:
    """A thread a unit, as far as a block goes, and a block for each few rows; it shares `shared` numbers a row."""
    N, _, U = arguments[-3:]
    rows = rows_of_a_block(packed, N, U)
    block = (min(WIDEST, -(-U // 32) * 32),)
    size = shared * rows * packed.dtype.itemsize
    launch("lstm.cu", name, blocks(N, rows), block, packed, *arguments, shared=size, **({} if rows == ROWS else {"ROWS": rows}))
