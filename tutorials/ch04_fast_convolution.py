# %% [markdown]
# # 4 Convolution, fast
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapter 3 | 35 min | 5 s | not used | 0 |
#
# By the end you can say how fast a convolution could be on your machine, cut it into blocks that stay in the cache,
# and compute it with a quarter of the multiplications. All in NumPy, and as fast as PyTorch or faster.
#
# ## How fast can it be?
#
# A convolution is multiplications and additions, and we can count them: with the letters of chapter 3, $NIJORSC$ of
# each. Our example is a batch of 4 maps of 28 × 28 pixels, 128 channels in and 128 out, with 3 × 3 filters. The
# fastest thing that NumPy does with numbers is a large matrix product, so that is our yardstick. One *flop* is one
# multiplication or one addition.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from nn import Conv2D, ops, reference
from nn.cpu.conv import RUNGS, best_rung
from nn.cpu.threads import one_blas_thread
from tutorials import exercise, show_source

rng = np.random.default_rng(0)


def best_of(run, times=5):
    """The shortest of a few runs, in seconds: what the machine can do when it is left alone."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


N, H, W, C, O = 4, 28, 28, 128, 128
x = rng.normal(size=(N, H, W, C)).astype(np.float32)
w = (rng.normal(size=(O, 3, 3, C)) / 34).astype(np.float32)
flops = 2 * N * H * W * O * 9 * C
print(f"the convolution: {flops / 1e9:.2f} Gflop")

square = rng.normal(size=(1024, 1024)).astype(np.float32)
with one_blas_thread():
    peak = 2 * 1024**3 / best_of(lambda: square @ square)
print(f"a product of 1024 x 1024 matrices on one core: {peak / 1e9:.0f} Gflop a second (varies)")
print(f"so the convolution could take {1e3 * flops / peak:.0f} ms on that core (varies)")

# %% [markdown]
# ## Rung 1: one product
#
# Chapter 3 made a convolution one matrix product, by writing each window as a row of a matrix $X$. Here it is again,
# and its time beside the yardstick's.


# %%
def windows(x):
    """All 3 × 3 windows of x (N, H, W, C), same padding, a row each: (N·H·W, 9 C)."""
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    cut = np.lib.stride_tricks.sliding_window_view(framed, (3, 3), axis=(1, 2))  # (N, H, W, C, 3, 3)
    return cut.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 9 * x.shape[3])


def one_product(x, w):
    """(N, H, W, C), (O, 3, 3, C) -> (N, H, W, O)."""
    return (windows(x) @ w.reshape(len(w), -1).T).reshape(*x.shape[:3], len(w))


with one_blas_thread():
    unrolling, all_of_it = best_of(lambda: windows(x)), best_of(lambda: one_product(x, w))
print(f"one product: {1e3 * all_of_it:.1f} ms, of which unrolling {1e3 * unrolling:.1f} ms (varies)")
print(f"X: {windows(x).nbytes / 2**20:.1f} MiB, nine times the input's {x.nbytes / 2**20:.1f} MiB")

# %% [markdown]
# Unrolling computes nothing. $X$ is written to memory and read back, and memory is slow: in the time in which one
# float arrives from it, a core does dozens of multiplications. Here everything still fits into a large cache; for the
# batch of 16 at the end of chapter 3 it would not.
#
# ## Rung 2: blocks that stay in the cache
#
# Between memory and core there are caches, a few megabytes that answer much faster. So unroll only so many windows at
# a time as fit there, multiply, and use the same piece of the cache for the next ones. The answer is the same; $X$ as
# a whole never exists.


# %%
def in_blocks(x, w, rows):
    """The same, `rows` rows of one picture at a time."""
    N, H, W, C = x.shape
    filters, y = w.reshape(len(w), -1).T, np.empty((N, H, W, len(w)), x.dtype)
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for n in range(N):
        for i in range(0, H, rows):
            part = framed[n : n + 1, i : i + rows + 2]
            cut = np.lib.stride_tricks.sliding_window_view(part, (3, 3), axis=(1, 2))
            X = cut.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 9 * C)
            y[n, i : i + rows] = (X @ filters).reshape(-1, W, len(w))
    return y


print("the same answer:", np.allclose(in_blocks(x, w, 7), one_product(x, w), atol=1e-4))
big = np.tile(x, (4, 2, 2, 1))  # (16, 56, 56, C): X would have 220 MiB
sizes, seconds = (1, 2, 4, 8, 14, 28, 56), []
with one_blas_thread():
    for rows in sizes:
        seconds.append(best_of(lambda rows=rows: in_blocks(big[:4], w, rows), 2))
fig, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
ax.semilogx([rows * 56 * 9 * C * 4 / 2**20 for rows in sizes], np.array(seconds) * 1e3, "o-")
ax.set(xlabel="unrolled at a time, MiB", ylabel="time, ms", ylim=(0, None))
plt.show()

# %% [markdown]
# How much blocks bring depends on the machine: its caches, and what else runs on it. On the machine of
# [docs/speed.md](../docs/speed.md), with both cores, they halve the time. The library's blocks have at most $2^{20}$
# numbers.
#
# **What breaks if blocks are too small?** Each block costs a few calls of Python. With several threads it costs more:
# after each call a thread has to take Python's lock again. That page has the figures. So the block is as large as the
# cache allows, and no smaller.
#
# Blocks bring a second gift. NumPy lets go of Python's lock while it computes, so two threads can each take the next
# block, and use both cores. The sums must not depend on who was first, or no run could be repeated:

# %%
numbers = rng.normal(size=100_000).astype(np.float32)
one_order, other_order = np.cumsum(numbers)[-1], np.cumsum(numbers[::-1])[-1]
print("sums in two orders are equal:", bool(one_order == other_order), " nearly:", bool(abs(one_order - other_order) < 0.05))

# %% [markdown]
# In float32, addition in another order rounds otherwise. So the library cuts blocks by the shape alone and adds
# partial sums in the blocks' order: the same bits on any number of cores.
#
# ## Rung 3: fewer multiplications
#
# Can the count itself be lowered? Take one row only: three weights $g_0, g_1, g_2$ slide over four numbers and give
# two,
#
# $$
# \begin{aligned}
# y_0 &= d_0 g_0 + d_1 g_1 + d_2 g_2 \\
# y_1 &= d_1 g_0 + d_2 g_1 + d_3 g_2 .
# \end{aligned}
# $$
#
# That is 6 multiplications. We will do it with 4, by way of polynomials.
#
# *Polynomials multiply cheaply by values.* Let $p$ have $m$ coefficients and $g$ have $r$. Their product $s$ has
# $a = m + r - 1$ coefficients, and by coefficients it takes $m\,r$ multiplications. But a polynomial with $a$
# coefficients is also given by its values at $a$ points, and $s(t) = p(t)\,g(t)$ takes one multiplication at each
# point. In matrices: let $V_n$ hold the powers $t^0, \dots, t^{n-1}$ of each point in a row, so that $V_n$ times the
# coefficients gives the values. Then
#
# $$
# s = V_a^{-1}\,\big[(V_r\,g) \odot (V_m\,p)\big] ,
# $$
#
# where $\odot$ multiplies number by number. *One point may be infinity*: there the value is the leading coefficient,
# a row $(0, \dots, 0, 1)$.
#
# *Sliding is the adjoint of multiplying.* With $g$ fixed, $s$ is linear in $p$: $s_{i+k}$ gets $p_i\,g_k$. The
# adjoint map, as in chapter 3, reads the same products the other way: from $d$ with $a$ numbers to
# $y_i = \sum_k g_k\, d_{i+k}$ with $m$. That is our sliding sum. The adjoint of a product of matrices is the product
# of the transposes in reverse order, so
#
# $$
# y = V_m^\top\,\big[(V_r\,g) \odot (V_a^{-\top}\,d)\big] .
# $$
#
# The names in use are $A^\top = V_m^\top$, $G = V_r$, $B^\top = V_a^{-\top}$:
#
# $$
# y = A^\top\,\big[(G\,g) \odot (B^\top d)\big] .
# $$
#
# This is Winograd's $F(m, r)$: $m$ outputs of $r$ weights with $m + r - 1$ multiplications.


# %%
def winograd(points, m, r=3):
    """Aᵀ (m, a), G (a, r), Bᵀ (a, a) for m outputs of r weights; a = m + r - 1 points, the last one is infinity."""
    a = m + r - 1
    powers = np.array(points, float)[:, None] ** np.arange(a)  # (a - 1, a)

    def values(n):
        return np.vstack([powers[:, :n], np.eye(n)[-1:]])  # (a, n), with the row for infinity

    return values(m).T, values(r), np.linalg.inv(values(a)).T


AT, G, BT = winograd([0, 1, -1], m=2)
print("Bᵀ =", *BT.round(2).tolist(), sep="\n  ")
d, g = rng.normal(size=4), rng.normal(size=3)
y = AT @ ((G @ g) * (BT @ d))
print("two outputs with four multiplications:", np.allclose(y, [d[:3] @ g, d[1:] @ g]))

# %% [markdown]
# $G\,g$ is computed once for a filter, and $A^\top$ and $B^\top$ hold zeros, ones and halves: those cost additions.
# In two dimensions do it along the rows and then along the columns. A tile $D$ of $a \times a$ pixels and a filter
# $g$ of $r \times r$ give $m \times m$ outputs:
#
# $$
# Y = A^\top\,\big[(G\,g\,G^\top) \odot (B^\top D\,B)\big]\,A .
# $$
#
# $F(2 \times 2, 3 \times 3)$ takes 16 multiplications for 4 outputs, 4 each instead of 9. $F(4 \times 4, 3 \times 3)$
# takes 36 for 16 outputs, 2.25 each. The picture draws one tile.

# %%
fig, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
for left, side, name, colour in (
    (0, 4, "D", "#cfe3f5"),
    (6, 4, "Bᵀ D B", "#cfe3f5"),
    (12, 4, "G g Gᵀ", "#f8cbad"),
    (18, 2, "Y", "#c6e0b4"),
):
    for i, j in np.ndindex(side, side):
        ax.add_patch(plt.Rectangle((left + j, -side / 2 + i), 1, 1, facecolor=colour, edgecolor="#555555"))
    ax.text(left + side / 2, side / 2 + 0.3, name, ha="center")
for place, sign in ((5, "→"), (11, "⊙"), (17, "→")):
    ax.text(place, 0, sign, ha="center", va="center", fontsize=15)
ax.text(13.9, -2.7, "16 multiplications", ha="center", va="center")
ax.set(xlim=(-0.3, 20.5), ylim=(-3.2, 3))
ax.set_aspect("equal")
ax.axis("off")
plt.show()

# %% [markdown]
# With channels, the products of one point are summed over $c$, for every tile and filter: at each of the $a^2$ points
# that is a matrix product $(tiles, C)(C, O)$. So the multiplications are again where NumPy is fastest. Here is the
# whole convolution:


# %%
def by_winograd(x, w, m, points):
    """Same convolution by F(m × m, 3 × 3); H and W are multiples of m."""
    AT, G, BT = (matrix.astype(x.dtype) for matrix in winograd(points, m))
    (N, H, W, C), a = x.shape, m + 2
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    tiles = np.lib.stride_tricks.sliding_window_view(framed, (a, a), axis=(1, 2))[:, ::m, ::m]  # (N, H/m, W/m, C, a, a)
    V = np.einsum("pi,nhwcij,qj->pqnhwc", BT, tiles, BT, optimize=True).reshape(a * a, -1, C)  # Bᵀ D B
    U = np.einsum("pr,orsc,qs->pqco", G, w, G, optimize=True).reshape(a * a, C, -1)  # G g Gᵀ
    M = (V @ U).reshape(a, a, N, H // m, W // m, -1)  # a² matrix products
    Y = np.einsum("ip,pqnhwo,jq->nhiwjo", AT, M, AT, optimize=True)  # Aᵀ [...] A
    return Y.reshape(N, H, W, -1)


POINTS = {2: [0, 1, -1], 4: [0, 1, -1, 2, -2], 6: [0, 1, -1, 2, -2, 0.5, -0.5]}
exact = one_product(x.astype(float), w.astype(float))
for m in (2, 4):
    print(f"F({m}x{m}): as the plain sum:", np.allclose(by_winograd(x.astype(float), w.astype(float), m, POINTS[m]), exact))

# %% [markdown]
# ## What it costs in digits
#
# **What breaks if tiles grow further?** The matrices hold powers of the points, and their inverses. Large and small
# numbers are added, and float32 has only seven digits. The picture shows the error against the sum in float64.
# $m = 6$ would save a little more, and loses more digits.

# %%
small, few = x[:, :24, :24, :32], w[:, :, :, :32]
truth = one_product(small.astype(float), few.astype(float))
errors = {"plain": np.linalg.norm(one_product(small, few) - truth) / np.linalg.norm(truth)}
for m, points in POINTS.items():
    errors[f"F({m}×{m})"] = np.linalg.norm(by_winograd(small, few, m, points) - truth) / np.linalg.norm(truth)
fig, (left, right) = plt.subplots(1, 2, figsize=(7.5, 2.8), layout="constrained")
left.bar(list(errors), [9] + [(m + 2) ** 2 / m**2 for m in POINTS], color="#9dc3e6")
left.set(ylabel="multiplications an output")
right.bar(list(errors), list(errors.values()), color="#f4b183")
right.set(ylabel="relative error, float32", yscale="log")
plt.show()
print("each larger tile is less exact:", all(np.diff(list(errors.values())[1:]) > 0), " F(4x4) below 1e-5:", errors["F(4×4)"] < 1e-5)

# %% [markdown]
# The library uses $m = 2$ and $m = 4$, with factors moved between $G$ and $B^\top$ so that fewer numbers are
# fractions. Its tests hold the float32 error below $2 \cdot 10^{-4}$.
#
# ## Backwards
#
# The gradient of the input is a convolution with turned filters, as chapter 3 showed, so the same code serves. For
# the filters, walk the formula backwards. Call $U = G g G^\top$, $V = B^\top D B$, $M = U \odot V$, $Y = A^\top M A$.
# For a matrix product $Y = P M Q$ the upstream $dY$ goes back as $dM = P^\top dY\, Q^\top$: that is the dense layer's
# rule from chapter 2, once from each side. So
#
# $$
# \begin{aligned}
# dM &= A\; dY\; A^\top \\
# dU &= dM \odot V \\
# dg &= G^\top\, dU\; G .
# \end{aligned}
# $$
#
# A filter is used by all tiles, so $dU$ is summed over the tiles, and that sum is, at each point, one matrix product
# $(O, tiles)(tiles, C)$. One tile suffices to see that it is right:

# %%
AT, G, BT = winograd(POINTS[2], 2)
D, g, dY = rng.normal(size=(4, 4)), rng.normal(size=(3, 3)), rng.normal(size=(2, 2))
dg = G.T @ ((AT.T @ dY @ AT) * (BT @ D @ BT.T)) @ G
plain = reference.conv2d_backward(dY[None, :, :, None], D[None, :, :, None], g[None, :, :, None])[1]
print("the filter's slope by Winograd is the plain one:", np.allclose(dg, plain[0, :, :, 0]))

# %% [markdown]
# ## The ladder
#
# The library keeps every rung, the slower beside the faster, behind one table of functions. We time them on our
# example:

# %%
same, answers = ((1, 1), (1, 1)), {}
for name, rung in RUNGS.items():
    answers[name] = best_of(lambda rung=rung: rung.forward(x, w, None, (1, 1), same, False)) * 1e3
fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.barh(list(answers)[::-1], list(answers.values())[::-1], color="#9dc3e6")
ax.axvline(1e3 * flops / peak, color="k", ls="--", label="the plain sum at one core's peak")
ax.set(xlabel="forward, ms")
ax.legend(fontsize=8, loc="lower right")
plt.show()
print("all rungs agree:", all(np.allclose(r.forward(x, w, None, (1, 1), same, False), exact, atol=1e-3) for r in RUNGS.values()))

# %% [markdown]
# On the machine of [docs/benchmarks.md](../docs/benchmarks.md), two cores with AVX2, measured on 2026-11-23 for 16
# maps of 56 × 56 pixels with 128 channels: `im2col` 246 ms, `blocked` 113, `winograd2` 98, `winograd4` 64, PyTorch
# 93. The page has all sizes, and what is slower than PyTorch too.
#
# No rung is best everywhere. The transforms cost a fixed time a channel, and a map of 6 × 6 pixels does not fill
# tiles of 4 × 4. The choice is a function of the shapes:

# %%
show_source(best_rung)

# %%
for shape, side in (((16, 3, 3, 1), 112), ((16, 3, 3, 16), 112), ((64, 3, 3, 64), 56), ((64, 3, 3, 64), 6), ((64, 5, 5, 64), 56)):
    print(f"filters {shape} on {side} x {side}: {best_rung('forward', shape, (1, 1), (side, side))}")

# %% [markdown]
# And `Conv2D`, the layer, knows nothing of all that: `ops(x).conv2d` decides.

# %%
layer = Conv2D(C, O, rng=rng)
through_ops = ops(x).conv2d(x, layer.weight.value, layer.bias.value, (1, 1), same)
print("layer", layer.forward(x).shape, " the same bits:", np.array_equal(layer.forward(x), through_ops))

# %% [markdown]
# ## Exercises
#
# `python -m tutorials check 04` writes the tasks into your file and judges it.
#
# ### 4.1 Count
#
# Before you optimise, count.

# %%
exercise("4.1")

# %% [markdown]
# ### 4.2 How much is lost at the rim?
#
# Tiles that stick out are computed for nothing.

# %%
exercise("4.2")

# %% [markdown]
# ### 4.3 A product in blocks
#
# The order of the sums is part of the task.

# %%
exercise("4.3")

# %% [markdown]
# ### 4.4 Winograd along one row
#
# Four multiplications, written out.

# %%
exercise("4.4")

# %% [markdown]
# ### 4.5 The slope of a filter by Winograd
#
# For all tiles and channels at once.

# %%
exercise("4.5")

# %% [markdown]
# ## What you can do now
#
# You can hold a computation against what the machine could do, keep its data in the cache, share it among cores
# without losing a bit, and trade multiplications for additions and digits. The rest of a network costs little beside
# its convolutions. What stands between them is next.
#
# Next: [5 Pooling, batch norm, dropout](ch05_pool_norm_dropout.py)
