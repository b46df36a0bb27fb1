"""Exercises of chapter 3: convolution."""

import numpy as np

from nn import Conv2D, reference
from tutorials.exercise import exercise

SAME = ((1, 1), (1, 1))


@exercise(
    "3.1",
    "How large is the output?",
    grade="one line",
    hints=["How many steps of `stride` fit between the first window and the last?", "(H + zeros - R) // stride + 1"],
    gives="I",
)
def output_rows(H, R, stride, zeros):
    """The rows of the output: H rows in, R rows a filter, `zeros` rows of zeros above and below together.

    All are whole numbers.
    """
    return (H + zeros - R) // stride + 1


for _case in ((112, 3, 1, 2), (7, 3, 2, 0), (10, 5, 3, 1)):
    output_rows.case(lambda rng, case=_case: case)


@output_rows.truth
def _(H, R, stride, zeros):
    layer = Conv2D(1, 1, (R, 1), stride=(stride, 1), padding=((zeros, 0), (0, 0)), rng=np.random.default_rng(0))
    return layer.forward(np.zeros((1, H, 2, 1), np.float32)).shape[1]


@output_rows.wrong("one row is missing: the first window counts too")
def _(H, R, stride, zeros):
    return (H + zeros - R) // stride


@output_rows.wrong("the zeros stand above and below already: `zeros` counts both")
def _(H, R, stride, zeros):
    return (H + 2 * zeros - R) // stride + 1


@exercise(
    "3.2",
    "The sum",
    grade="a few lines",
    hints=["Frame x with zeros first, then nothing sticks out.", "np.einsum('rsc,orsc->o', window, w) for each n, i, j"],
    gives="y",
)
def conv2d(x, w, b):
    """Convolution with same padding, stride 1, odd filters.

    x (N, H, W, C), w (O, R, S, C), b (O,) -> y (N, H, W, O)
    """
    N, H, W, _ = x.shape
    O, R, S, _ = w.shape
    framed = np.pad(x, ((0, 0), (R // 2, R // 2), (S // 2, S // 2), (0, 0)))
    y = np.zeros((N, H, W, O))
    for i in range(H):
        for j in range(W):
            y[:, i, j] = np.einsum("nrsc,orsc->no", framed[:, i : i + R, j : j + S], w) + b
    return y


@conv2d.case
def _(rng):
    return rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(2, 3, 3, 3)), rng.normal(size=2)


@conv2d.case
def _(rng):
    return rng.normal(size=(1, 1, 4, 2)), rng.normal(size=(3, 5, 3, 2)), rng.normal(size=3)


@conv2d.truth
def _(x, w, b):
    return reference.conv2d(x, w, b, padding=((w.shape[1] // 2,) * 2, (w.shape[2] // 2,) * 2))


@conv2d.wrong("the filters are turned by 180°: that belongs to the backward pass")
def _(x, w, b):
    return conv2d.solution(x, w[:, ::-1, ::-1], b)


@conv2d.wrong("the bias is added for every product instead of once")
def _(x, w, b):
    return conv2d.solution(x, w, b * w[0].size)


@conv2d.wrong("the bias is left out")
def _(x, w, b):
    return conv2d.solution(x, w, 0 * b)


@exercise(
    "3.3",
    "The gradient of the filters",
    grade="a few lines",
    hints=["For each (r, s), shift the framed x by it and multiply with dy.", "np.einsum('nijo,nijc->oc', dy, framed[:, r:r+H, s:s+W])"],
    gives="dw",
)
def conv2d_dw(dy, x):
    """The slopes of 3 × 3 filters, same padding.

    dy (N, H, W, O), x (N, H, W, C) -> dw (O, 3, 3, C)
    """
    _, H, W, C = x.shape
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    dw = np.zeros((dy.shape[3], 3, 3, C))
    for r in range(3):
        for s in range(3):
            dw[:, r, s] = np.einsum("nijo,nijc->oc", dy, framed[:, r : r + H, s : s + W])
    return dw


@conv2d_dw.case
def _(rng):
    return rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(2, 4, 5, 2))


@conv2d_dw.truth
def _(dy, x):
    return reference.conv2d_backward(dy, x, np.zeros((dy.shape[3], 3, 3, x.shape[3])), padding=SAME)[1]


@conv2d_dw.wrong("rows and columns of the filter are exchanged")
def _(dy, x):
    return conv2d_dw.solution(dy, x).transpose(0, 2, 1, 3)


@conv2d_dw.wrong("the filters are turned by 180°: that belongs to the gradient of the input")
def _(dy, x):
    return conv2d_dw.solution(dy, x)[:, ::-1, ::-1]


@conv2d_dw.wrong("it is the mean over the batch: every picture pulls at the filter, so it is the sum")
def _(dy, x):
    return conv2d_dw.solution(dy, x) / len(x)


@exercise(
    "3.4",
    "The gradient of the input",
    grade="a few lines",
    hints=["Each window hands dy · w back to the pixels that it saw.", "framed[:, r:r+H, s:s+W] += dy @ w[:, r, s], then cut off the rim."],
    gives="dx",
)
def conv2d_dx(dy, w):
    """The slopes of the input of a convolution with 3 × 3 filters, same padding.

    dy (N, H, W, O), w (O, 3, 3, C) -> dx (N, H, W, C)
    """
    N, H, W, _ = dy.shape
    framed = np.zeros((N, H + 2, W + 2, w.shape[3]))
    for r in range(3):
        for s in range(3):
            framed[:, r : r + H, s : s + W] += dy @ w[:, r, s]
    return framed[:, 1:-1, 1:-1]


@conv2d_dx.case
def _(rng):
    return rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(3, 3, 3, 2))


@conv2d_dx.truth
def _(dy, w):
    return reference.conv2d_backward(dy, np.zeros((*dy.shape[:3], w.shape[3])), w, padding=SAME)[0]


@conv2d_dx.wrong("the filters are not turned: a pixel at (r, s) of a window is at (2 - r, 2 - s) seen from the pixel")
def _(dy, w):
    return conv2d_dx.solution(dy, w[:, ::-1, ::-1])


@conv2d_dx.wrong("the windows overlap, and what they hand back is added, not overwritten")
def _(dy, w):
    N, H, W, _ = dy.shape
    framed = np.zeros((N, H + 2, W + 2, w.shape[3]))
    for r in range(3):
        for s in range(3):
            framed[:, r : r + H, s : s + W] = dy @ w[:, r, s]
    return framed[:, 1:-1, 1:-1]


@exercise(
    "3.5",
    "Convolution as one product",
    grade="real",
    hints=[
        "sliding_window_view over axes (1, 2), then [:, ::stride, ::stride].",
        "Bring the window's axes into the order r, s, c before the reshape.",
    ],
    gives="y",
)
def conv2d_product(x, w, stride):
    """Convolution without padding, with a stride, as one matrix product (no loop over pixels).

    x (N, H, W, C), w (O, R, S, C), stride a whole number -> y (N, (H - R) // stride + 1, (W - S) // stride + 1, O)
    """
    O, R, S, C = w.shape
    cut = np.lib.stride_tricks.sliding_window_view(x, (R, S), axis=(1, 2))[:, ::stride, ::stride]  # (N, I, J, C, R, S)
    N, I, J = cut.shape[:3]
    rows = cut.transpose(0, 1, 2, 4, 5, 3).reshape(N * I * J, R * S * C)
    return (rows @ w.reshape(O, -1).T).reshape(N, I, J, O)


@conv2d_product.case
def _(rng):
    return rng.normal(size=(2, 7, 6, 3)), rng.normal(size=(4, 3, 2, 3)), 2


@conv2d_product.case
def _(rng):
    return rng.normal(size=(1, 3, 3, 2)), rng.normal(size=(1, 3, 3, 2)), 1


@conv2d_product.truth
def _(x, w, stride):
    return reference.conv2d(x, w, stride=(stride, stride))


@conv2d_product.wrong("the windows are unrolled in the order c, r, s, but the filters in r, s, c")
def _(x, w, stride):
    O, R, S, C = w.shape
    return conv2d_product.solution(x, w.reshape(O, C, R, S).transpose(0, 2, 3, 1), stride)


@conv2d_product.wrong("the stride is left out")
def _(x, w, stride):
    return conv2d_product.solution(x, w, 1)
