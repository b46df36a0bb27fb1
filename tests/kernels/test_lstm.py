"""The LSTM's kernels agree with the equations on every rung and in every mode, whatever divides what; planted bugs are found."""

from importlib import import_module
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.harness import Device, Mutant, close, hunt

from nn import cpu, reference
from nn.gpu.rungs import prefer

gpu = import_module("nn.gpu.lstm")  # `nn.gpu.lstm` itself is the function of that name
RUNGS = ["gates", "cell", "sequence"]
SHAPES = [  # N, T, D, U
    (5, 3, 2, 7),  # a block of four rows and one that is not full
    (3, 2, 5, 33),  # one unit more than a warp
    (4, 2, 1, 32),
    (1, 5, 3, 6),  # a block of one row
    (1, 1, 1, 1),
    (2, 1, 4, 1),
    (0, 3, 2, 4),
    (2, 0, 2, 4),
]


def arrays(N, T, D, U, dtype=np.float32):
    """x, h0, c0, w, b, u, and the gradients dh, dc. W as a fresh layer's: far larger weights are chaotic, they multiply any rounding."""
    rng = np.random.default_rng([N, T, D, U])
    shapes = (N, T, D), (N, U), (N, U), (4 * U, U + D), (4 * U,), (N, T, U), (N, T, U), (N, U)
    x, h0, c0, w, b, u, dh, dc = (rng.normal(size=shape) for shape in shapes)
    return [array.astype(dtype) for array in (x, h0, c0, w / np.sqrt(U + D), b, u, dh, dc)]


def run(device, rung, shape, *, injected=True, dtype=np.float32):
    """h, c, dx, dh0, dc0, dw, db, du of a rung."""
    x, h0, c0, w, b, u, dh, dc = arrays(*shape, dtype)
    with prefer(lstm=rung):
        h, c, saved = device(gpu.lstm, x, h0, c0, w, b, u if injected else None)
        return h, c, *device(gpu.lstm_backward, dh, dc, saved, w)


def expected(room, shape, *, injected=True, dtype=np.float32):
    """The same of a room of nn, in float64 from the numbers of `dtype`."""
    x, h0, c0, w, b, u, dh, dc = (array.astype(np.float64) for array in arrays(*shape, dtype))
    h, c, saved = room.lstm(x, h0, c0, w, b, u if injected else None)
    return h, c, *room.lstm_backward(dh, dc, saved, w)


def agree(actual, right, **bar):
    for ours, theirs in zip(actual, right, strict=True):
        close(ours, theirs, **bar)


def same(actual, right):
    for ours, theirs in zip(actual, right, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(params=RUNGS)
def rung(request):
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_equations(device, rung, shape):
    agree(run(device, rung, shape), expected(reference, shape))


def test_the_plain_lstm_has_no_u(device, rung):
    agree(run(device, rung, SHAPES[0], injected=False), expected(reference, SHAPES[0], injected=False))


@given(N=st.integers(0, 9), T=st.integers(0, 4), D=st.integers(1, 6), U=st.integers(1, 40), injected=st.booleans())
@settings(max_examples=15)
def test_any_shape(N, T, D, U, injected):
    """In double precision and all results as one vector: a small array may be one number whose terms cancel, too little to judge by."""
    shape = N, T, D, U
    right = expected(reference, shape, injected=injected, dtype=np.float64)
    for rung in RUNGS:
        results = run(Device("forward"), rung, shape, injected=injected, dtype=np.float64)
        assert [ours.shape for ours in results] == [theirs.shape for theirs in right]
        close(np.concatenate([*map(np.ravel, results)]), np.concatenate([*map(np.ravel, right)]), bar=1e-12)


def test_a_longer_sequence(rung):
    shape = 6, 12, 10, 130
    agree(run(Device("forward"), rung, shape), expected(cpu, shape))


@pytest.mark.parametrize("shape", [*SHAPES[:2], *SHAPES[-2:]], ids=str)
def test_in_double_precision(rung, shape):
    results = run(Device("forward"), rung, shape, dtype=np.float64)
    assert all(result.dtype == np.float64 for result in results)
    agree(results, expected(reference, shape, dtype=np.float64), bar=1e-12)


def test_the_same_bits_in_any_order_and_again(rung):
    first = run(Device("forward"), rung, SHAPES[0])
    for mode in ("forward", "reverse", "shuffled", "checked"):
        same(run(Device(mode), rung, SHAPES[0]), first)


@pytest.mark.parametrize("forward", RUNGS)
@pytest.mark.parametrize("backward", RUNGS)
def test_what_one_rung_saved_another_reads(forward, backward):
    x, h0, c0, w, b, u, dh, dc = arrays(*SHAPES[0])
    device = Device("forward")
    with prefer(lstm=forward):
        h, c, saved = device(gpu.lstm, x, h0, c0, w, b, u)
    with prefer(lstm=backward):
        gradients = device(gpu.lstm_backward, dh, dc, saved, w)
    agree((h, c, *gradients), expected(reference, SHAPES[0]))


def more_units_than_threads(device):
    """U = 33 in a block of 32 threads: a thread has units in two rounds."""
    with patch.object(gpu, "WIDEST", 32):
        agree(run(device, "sequence", SHAPES[1]), expected(reference, SHAPES[1]))


def test_more_units_than_threads(device):
    more_units_than_threads(device)


def test_a_row_does_not_feel_its_neighbours():
    """Blocks of one row give the bits that blocks of four give."""
    four = run(Device("forward"), "sequence", SHAPES[0])
    with patch.object(gpu, "rows_of_a_block", lambda x, N, U: 1):
        same(run(Device("checked"), "sequence", SHAPES[0]), four)


@pytest.mark.parametrize(
    "card, N, U, dtype, rows",
    [
        (90, 64, 512, "float32", 4),
        (90, 1, 512, "float32", 1),
        (80, 64, 1536, "float32", 4),
        (80, 64, 1537, "float32", 1),
        (80, 64, 769, "float64", 1),
        (75, 64, 1025, "float32", 1),
        (61, 64, 769, "float32", 1),
        (61, 1, 3073, "float32", 0),
        (90, 1, 6144, "float32", 1),
        (90, 1, 6145, "float32", 0),
    ],
)
def test_a_block_owns_as_many_rows_as_shared_memory_holds(card, N, U, dtype, rows, monkeypatch):
    monkeypatch.setattr(gpu, "capability", lambda library: card)
    x = Device("forward").sent(np.zeros(1, dtype))
    assert gpu.rows_of_a_block(x, N, U) == rows
    assert gpu.able(x, N, U)[-1] == ("sequence" if rows else "cell")


def test_views_serve_as_well(rung):
    """Every argument a transposed view: the same bits."""
    x, h0, c0, w, b, u, dh, dc = map(Device("forward").sent, arrays(*SHAPES[0]))

    def turned(array):
        view = np.swapaxes(np.swapaxes(array, 0, 1).copy(), 0, 1)
        assert not view.flags.c_contiguous
        return view

    def whole(x, h0, c0, w, u, dh, dc):
        h, c, saved = gpu.lstm(x, h0, c0, w, b, u)
        return h, c, *gpu.lstm_backward(dh, dc, saved, w)

    with prefer(lstm=rung):
        same(whole(*map(turned, (x, h0, c0, w, u, dh, dc))), whole(x, h0, c0, w, u, dh, dc))


def test_nothing_given_is_written_and_backward_may_run_twice(rung):
    given = [Device("forward").sent(array) for array in arrays(*SHAPES[0])]
    x, h0, c0, w, b, u, dh, dc = given
    with prefer(lstm=rung):
        _, _, saved = gpu.lstm(x, h0, c0, w, b, u)
        first = gpu.lstm_backward(dh, dc, saved, w)
        same(gpu.lstm_backward(dh, dc, saved, w), first)
    same([array.get() for array in given], arrays(*SHAPES[0]))
    results = [*first, *saved[3:]]
    assert all(result.flags.c_contiguous for result in results)
    assert not any(np.shares_memory(result, array) for result in results for array in given)


def is_right(rung):
    def subject(device):
        test_agrees_with_the_equations(device, rung, SHAPES[0])

    return subject


gates, cell, sequence = map(is_right, RUNGS)
FILE = "lstm.cu"
JOINED = "joined[at] = k < U ? earlier(h, h0, n, t,"
WHOLE = "__syncthreads();                           // h_{t-1} is whole"
DA_WHOLE = "__syncthreads();                           // da is whole"
DA_READ = "__syncthreads();                           // all have read da"
MUTANTS = [
    Mutant("o squashed for g", FILE, "gate == 2 ? tanhf(a)", "gate == 3 ? tanhf(a)", gates, "forward"),
    Mutant("h of the wrong step", FILE, "return t ? states[(n * T + t - 1)", "return t ? states[(n * T + t)", gates, "forward"),
    Mutant("rows of W not as long as they are", FILE, "w + row * (U + D);", "w + row * (U + D) + D;", gates, "out-of-bounds"),
    Mutant("du kept from δc", FILE, "now = *dc + *du;", "now = *dc;", cell, "forward"),
    Mutant("δc not weighed by f", FILE, "*dc = now * f;", "*dc = now;", cell, "forward"),
    Mutant("gates exchanged", FILE, "tanhf(gate[2 * U] + product[2 * U])", "tanhf(gate[2 * U] + product[3 * U])", cell, "forward"),
    Mutant("dW from h of its own step", FILE, JOINED, JOINED.replace("n, t,", "n, t + 1,"), cell, "forward"),
    Mutant("weights transposed", FILE, "[j * step_j + k * step_k]", "[k * step_j + j * step_k]", sequence, "forward"),
    Mutant("weights one number off", FILE, "((float4*)packed)[", "((float4*)(packed + 1))[", sequence, "misaligned"),
    Mutant("h read before it is whole", FILE, WHOLE, "// h_{t-1} is whole", sequence, "race"),
    Mutant("a barrier for some", FILE, DA_WHOLE, f"if (threadIdx.x < U) {DA_WHOLE}", sequence, "divergent"),
    Mutant("da overwritten while it is read", FILE, DA_READ, "// all have read da", sequence, "shuffled"),
    Mutant("one row too many", FILE, "if (n >= N) {", "if (n > N) {", sequence, "out-of-bounds"),
    Mutant("rows beyond N left as they are", FILE, "after[k * ROWS + r] = 0;", "", sequence, "uninitialised"),
    Mutant("units beyond the block forgotten", FILE, "k += blockDim.x)", "k += U)", more_units_than_threads, "forward"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_planted_bugs_are_found(mutant, monkeypatch):
    hunt(mutant, monkeypatch)
