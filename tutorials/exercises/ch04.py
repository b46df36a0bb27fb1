"""Exercises of chapter 4: convolution, fast."""

import numpy as np

from nn.cpu.winograd import A_T, B_T
from nn.cpu.winograd import G as G_OF
from tutorials.exercise import exercise


@exercise(
    "4.1",
    "Count",
    grade="one line",
    hints=["One multiplication and one addition for each product of the sum.", "2 · N·H·W·O·R·S·C"],
    gives="flops",
)
def flops(N, H, W, C, O, R, S):
    """Multiplications and additions together of a convolution with same padding, stride 1, without bias.

    All are whole numbers.
    """
    return 2 * N * H * W * O * R * S * C


@flops.case
def _(rng):
    return 16, 56, 56, 128, 128, 3, 3


@flops.case
def _(rng):
    return 1, 7, 5, 1, 3, 5, 3


@flops.truth
def _(N, H, W, C, O, R, S):
    """Every output number is a dot product of R·S·C numbers."""
    return sum(2 * R * S * C for _ in range(H * W * O)) * N


@flops.wrong("only the multiplications are counted; each product is also added")
def _(N, H, W, C, O, R, S):
    return N * H * W * O * R * S * C


@flops.wrong("each filter has R·S·C weights: the channels are left out")
def _(N, H, W, C, O, R, S):
    return 2 * N * H * W * O * R * S


@exercise(
    "4.2",
    "How much is lost at the rim?",
    grade="one line",
    hints=["The number of tiles along a side is rounded up.", "ceil(H / m) · ceil(W / m) · (m + 2)²"],
    gives="count",
)
def winograd_products(H, W, m):
    """Multiplications of F(m × m, 3 × 3) for one channel and one filter on an output of H × W; tiles may stick out.

    All are whole numbers.
    """
    return -(-H // m) * -(-W // m) * (m + 2) ** 2


for _case in ((56, 56, 4), (6, 6, 4), (7, 5, 2)):
    winograd_products.case(lambda rng, case=_case: case)


@winograd_products.truth
def _(H, W, m):
    return sum((m + 2) ** 2 for _i in range(0, H, m) for _j in range(0, W, m))


@winograd_products.wrong("tiles that stick out are needed too: round up")
def _(H, W, m):
    return (H // m) * (W // m) * (m + 2) ** 2


@winograd_products.wrong("a tile of m × m outputs needs (m + 2) × (m + 2) products")
def _(H, W, m):
    return -(-H // m) * -(-W // m) * m**2


@exercise(
    "4.3",
    "A product in blocks",
    grade="a few lines",
    hints=["Cut the rows of dy and x alike, and add the partial products.", "range(0, len(x), rows) gives the first row of each block."],
    gives="dw",
)
def blocked_product(dy, x, rows):
    """dw = dyᵀ x, with at most `rows` rows of both at a time; partial sums are added in order, in the dtype of x.

    dy (K, O), x (K, D), rows a whole number -> dw (O, D); zeros where K = 0
    """
    dw = np.zeros((dy.shape[1], x.shape[1]), x.dtype)
    for first in range(0, len(x), rows):
        dw += dy[first : first + rows].T @ x[first : first + rows]
    return dw


@blocked_product.case
def _(rng):
    return rng.normal(size=(10, 3)).astype(np.float32), rng.normal(size=(10, 4)).astype(np.float32), 4


@blocked_product.case
def _(rng):
    return np.zeros((0, 3)), np.zeros((0, 2)), 4


@blocked_product.truth
def _(dy, x, rows):
    return np.einsum("ko,kd->od", dy, x)


@blocked_product.wrong("the last block, which may be shorter, is left out")
def _(dy, x, rows):
    full = len(x) // rows * rows
    return dy[:full].T @ x[:full]


@blocked_product.wrong("each block overwrites the sum of those before it")
def _(dy, x, rows):
    last = max(0, (len(x) - 1) // rows * rows)
    return dy[last:].T @ x[last:]


@exercise(
    "4.4",
    "Winograd along one row",
    grade="a few lines",
    hints=["The four products stand in the task; call them m1 to m4.", "y0 = m1 + m2 + m3, y1 = m2 - m3 - m4"],
    gives=("y", "products"),
)
def winograd_row(d, g):
    """Two outputs y_i = Σ_k d_{i+k} g_k of three weights, with four multiplications of data and weights.

    d (4,), g (3,) -> y (2,), and the four products themselves (4,), in the order
    (d0 - d2) g0, (d1 + d2)(g0 + g1 + g2)/2, (d2 - d1)(g0 - g1 + g2)/2, (d1 - d3) g2
    """
    products = np.array(
        [(d[0] - d[2]) * g[0], (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2, (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2, (d[1] - d[3]) * g[2]]
    )
    return np.array([products[0] + products[1] + products[2], products[1] - products[2] - products[3]]), products


@winograd_row.case
def _(rng):
    return rng.normal(size=4), rng.normal(size=3)


@winograd_row.truth
def _(d, g):
    s, t = (g[0] + g[2]) / 2, g[1] / 2
    return np.correlate(d, g, "valid"), np.array([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]) * [g[0], s + t, s - t, g[2]]


@winograd_row.wrong("y1 subtracts the third product: at the point -1 the odd power changes its sign")
def _(d, g):
    y, m = winograd_row.solution(d, g)
    return np.array([y[0], m[1] + m[2] - m[3]]), m


@winograd_row.wrong("the weights are turned round: this is the product of polynomials, not the sliding sum")
def _(d, g):
    return winograd_row.solution(d, g[::-1])


@exercise(
    "4.5",
    "The slope of a filter by Winograd",
    grade="real",
    hints=["For every tile V = Bᵀ D B and dM = A dY Aᵀ.", "dU = np.einsum('tpqo,tpqc->opqc', dM, V), then Gᵀ dU G along its middle axes."],
    gives="dw",
)
def winograd_dw(dY, D, AT, G, BT):
    """Slopes of the filters from tiles: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ D B)] A, the products summed over the channels.

    dY (T, m, m, O), D (T, a, a, C), AT (m, a), G (a, 3), BT (a, a) -> dw (O, 3, 3, C)
    """
    V = np.einsum("pi,tijc,qj->tpqc", BT, D, BT)
    dM = np.einsum("ip,tijo,jq->tpqo", AT, dY, AT)
    dU = np.einsum("tpqo,tpqc->opqc", dM, V)
    return np.einsum("pr,opqc,qs->orsc", G, dU, G)


@winograd_dw.case
def _(rng):
    AT, G, BT = (np.array(matrix[2], float) for matrix in (A_T, G_OF, B_T))
    return rng.normal(size=(3, 2, 2, 2)), rng.normal(size=(3, 4, 4, 5)), AT, G, BT


@winograd_dw.truth
def _(dY, D, AT, G, BT):
    """Central differences of Σ dY · Y, which is linear in g."""
    V = np.einsum("pi,tijc,qj->tpqc", BT, D, BT)
    dw = np.zeros((dY.shape[3], 3, 3, D.shape[3]))
    for index in np.ndindex(dw.shape):
        g = np.zeros_like(dw)
        g[index] = 1
        U = np.einsum("pr,orsc,qs->opqc", G, g, G)
        Y = np.einsum("ip,opqc,tpqc,jq->tijo", AT, U, V, AT)
        dw[index] = (dY * Y).sum()
    return dw


@winograd_dw.wrong("G is left out on the way back: this is the slope of the transformed filter, cut to 3 × 3")
def _(dY, D, AT, G, BT):
    V = np.einsum("pi,tijc,qj->tpqc", BT, D, BT)
    dM = np.einsum("ip,tijo,jq->tpqo", AT, dY, AT)
    return np.einsum("tpqo,tpqc->opqc", dM, V)[:, :3, :3]


@winograd_dw.wrong("the tiles are not summed but averaged; each tile uses the filter")
def _(dY, D, AT, G, BT):
    return winograd_dw.solution(dY, D, AT, G, BT) / len(D)


@winograd_dw.wrong("rows and columns are exchanged")
def _(dY, D, AT, G, BT):
    return winograd_dw.solution(dY, D, AT, G, BT).transpose(0, 2, 1, 3)
