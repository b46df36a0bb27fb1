# %% [markdown]
# # 3 Convolution: the sum and its two gradients
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 1 and 2 | 30 min | 4 s | not used | 0 |
#
# By the end you can write convolution as the sum that it is, derive the slopes of its input and of its filters,
# and turn all three into matrix products that are hundreds of times faster than the loops.
#
# ## Why not a dense layer?
#
# A small photo of a face, 112 × 112 pixels, has 12,544 numbers. A dense layer with 64 neurons would need 802,816
# weights for it, and a neuron that has learned what an eye looks like in one place would know nothing of the same eye
# one pixel to the right.
#
# So let each neuron look at a small window only, say 3 × 3 pixels, and let the *same* neuron look at every window.
# Its 9 weights are a *filter*, and its answers, one for each place, make a new picture: a *feature map*.
# Here is a face. No photo is needed: `models/faces/synthetic.py` draws it.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from models.faces.synthetic import draw_face
from nn import Conv2D, gradcheck, ops, reference
from nn.cpu import im2col
from nn.reference.conv import products
from tutorials import exercise, show_source

photo, _ = draw_face(np.random.default_rng(3))
face = photo[64:192:2, 64:192:2].astype(np.float64) / 255  # (H, W), H = W = 64
filters = {
    "a bright spot": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "top to bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
}


def slide(picture, w):
    """Each 3 × 3 window of a picture (H, W), weighed by w (3, 3): (H - 2, W - 2)."""
    H, W = picture.shape
    y = np.zeros((H - 2, W - 2))
    for i in range(H - 2):
        for j in range(W - 2):
            y[i, j] = (picture[i : i + 3, j : j + 3] * w).sum()
    return y


fig, axes = plt.subplots(1, 4, figsize=(8, 2.3), layout="constrained")
axes[0].imshow(face, cmap="gray")
axes[0].set_title("the face")
for ax, (name, w) in zip(axes[1:], filters.items(), strict=True):
    ax.imshow(slide(face, np.array(w)), cmap="RdBu_r", vmin=-2, vmax=2)
    ax.set_title(name)
for ax in axes:
    ax.axis("off")
plt.show()

# %% [markdown]
# Red is positive, blue negative. The second filter answers where the picture brightens from left to right, the third
# where it brightens downwards: lids, nostrils and lips light up. Nobody designs filters here; they are weights, and
# they are learned like all weights. We need their slopes.
#
# ## The sum, in full
#
# Three things are added to the sketch. A picture may have several numbers a pixel, its *channels*: colours, or the
# feature maps of the layer before. There are several filters. And the window may stick out over the rim, where we put
# zeros. The letters, for the rest of the library:
#
# | letter | counts | letter | counts |
# | --- | --- | --- | --- |
# | $N$ | pictures | $O$ | filters |
# | $H, W$ | rows and columns in | $R, S$ | rows and columns of a filter |
# | $C$ | channels in | $I, J$ | rows and columns out |
#
# The input $x$ has shape $(N, H, W, C)$, the filters $w$ $(O, R, S, C)$, the output $y$ $(N, I, J, O)$. With $p$ rows
# of zeros above and $q$ columns of zeros on the left,
#
# $$
# y_{nijo} = b_o + \sum_{r,s,c} x_{n,\,i+r-p,\,j+s-q,\,c}\; w_{orsc} ,
# $$
#
# where $x$ counts as 0 outside of its frame. With $p = q = 1$ and zeros all around, 3 × 3 filters give an output as
# large as the input: *same* padding. The library's reference writes it as it stands, a loop for each index:

# %%
show_source(reference.conv2d)
show_source(products)

# %% [markdown]
# `products` walks over every product of the sum and says where its three members live. The decorator's `in_float64`
# computes in 64 bits, because a reference should be exact.
#
# **What is the stride?** The windows may move by more than one pixel at a time; then $i$ becomes $i \cdot stride$ in
# the index of $x$. The paper's networks use 1, and so do we here.
#
# ## Its slopes: the same products, read the other way
#
# Given the upstream $dy$ of shape $(N, I, J, O)$. A weight $w_{orsc}$ occurs once in $y_{nijo}$ for every picture and
# every place, and is multiplied there by the pixel it lay on:
#
# $$
# dw_{orsc} = \sum_{n,i,j} dy_{nijo}\; x_{n,\,i+r-p,\,j+s-q,\,c} .
# $$
#
# The bias occurs once everywhere: $db_o = \sum_{nij} dy_{nijo}$.
#
# Now the input. The pixel $x_{nhkc}$ at row $h$ and column $k$ is seen by a window $(i, j)$ through the filter's
# place $(r, s)$ whenever $i + r - p = h$ and $j + s - q = k$. For each $(r, s)$ that is one window, $i = h + p - r$
# and $j = k + q - s$, if there is such a window. So
#
# $$
# dx_{nhkc} = \sum_{r,s,o} dy_{n,\,h+p-r,\,k+q-s,\,o}\; w_{orsc} .
# $$
#
# Compare it with the forward sum: $r$ and $s$ now have a minus sign, and the sum runs over $o$ instead of $c$. So the
# gradient of the input is itself a convolution, of $dy$, with the filters turned by 180° and the roles of $C$ and $O$
# exchanged. We check that sentence with numbers.

# %%
rng = np.random.default_rng(0)
x = rng.normal(size=(2, 5, 6, 3))  # (N, H, W, C)
w = rng.normal(size=(4, 3, 3, 3))  # (O, R, S, C)
dy = rng.normal(size=(2, 5, 6, 4))  # (N, I, J, O), as large as x: same padding
same = ((1, 1), (1, 1))  # zeros above and below, left and right
dx, dw, db = reference.conv2d_backward(dy, x, w, padding=same)
turned = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)  # (C, R, S, O)
print("dx", dx.shape, "dw", dw.shape, "db", db.shape)
print("dx is a convolution of dy:", np.allclose(dx, reference.conv2d(dy, turned, padding=same)))

# %% [markdown]
# The picture shows it for one filter. Left, what one output pixel reads; right, what one input pixel hands back to:
# the windows that saw it, each through another place of the filter.

# %%
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for ax, title in zip(axes, ("forward: y reads x", "backward: dx reads dy"), strict=True):
    ax.set(xlim=(-0.5, 11.5), ylim=(5.5, -1), title=title)
    ax.set_aspect("equal")
    ax.axis("off")
    for left, name in ((0, "x"), (6.5, "y")):
        ax.text(left + 2, -0.7, name if ax is axes[0] else "d" + name, ha="center")
        for i, j in np.ndindex(5, 5):
            ax.add_patch(plt.Rectangle((left + j - 0.45, i - 0.45), 0.9, 0.9, facecolor="#eeeeee", edgecolor="#999999"))
for r, s in np.ndindex(3, 3):
    place = f"{r}{s}"
    axes[0].add_patch(plt.Rectangle((1 + s - 0.45, 1 + r - 0.45), 0.9, 0.9, facecolor="#f4b183"))
    axes[0].text(1 + s, 1 + r, place, ha="center", va="center", fontsize=8)
    axes[1].add_patch(plt.Rectangle((6.5 + 3 - s - 0.45, 3 - r - 0.45), 0.9, 0.9, facecolor="#f4b183"))
    axes[1].text(6.5 + 3 - s, 3 - r, place, ha="center", va="center", fontsize=8)
axes[0].add_patch(plt.Rectangle((6.5 + 2 - 0.45, 2 - 0.45), 0.9, 0.9, facecolor="#9dc3e6"))
axes[1].add_patch(plt.Rectangle((2 - 0.45, 2 - 0.45), 0.9, 0.9, facecolor="#9dc3e6"))
plt.show()

# %% [markdown]
# The small numbers are the filter's places $r\,s$. On the right they run backwards: that is the turn by 180°.
#
# ## A test that needs no slopes
#
# Convolution without a bias is linear in $x$, and a linear map obeys one law with its backward pass: for any $x$ and
# any upstream $u$,
#
# $$
# \sum u \cdot \mathrm{conv}(x) = \sum \mathrm{backward}(u) \cdot x .
# $$
#
# Both sides are the same products, summed in another order. Two such maps are called *adjoint*. One random $x$ and
# $u$ test every weight at once.

# %%
u = rng.normal(size=(2, 5, 6, 4))
forward = (u * reference.conv2d(x, w, padding=same)).sum()
backward = (reference.conv2d_backward(u, x, w, padding=same)[0] * x).sum()
print(f"adjoint: {forward:.9f} and {backward:.9f}")

# %% [markdown]
# **What breaks if the filters are not turned?** The shapes still fit, and with symmetric filters even the numbers do.
# The adjoint test and the gradient check see it at once:

# %%
upright = reference.conv2d(u, w.transpose(3, 1, 2, 0), padding=same)
print(f"not turned: {forward:.6f} and {(upright * x).sum():.6f}")


class Upright(Conv2D):
    """A convolution whose input gradient forgets to turn the filters."""

    def backward(self, dy):
        super().backward(dy)
        w = np.ascontiguousarray(self.weight.value.transpose(3, 1, 2, 0))
        return ops(dy).conv2d(dy, w, None, (1, 1), ((1, 1), (1, 1)))


for layer in (Conv2D(2, 3, rng=rng), Upright(2, 3, rng=rng)):
    report = gradcheck.check(layer, rng.normal(size=(2, 5, 4, 2)), rng=rng)
    wrong = sorted({row.tensor for row in report.rows if row.error > 1e-7})
    print(f"{type(layer).__name__}: all slopes right: {report.ok()}, wrong: {wrong or 'none'}")

# %% [markdown]
# ## From seven loops to one product
#
# The loops take a line of Python for each product. How many are there?
# $N \cdot I \cdot J \cdot O \cdot R \cdot S \cdot C$. For the second layer of the paper's networks, 64 filters over
# 64 channels on a map of 112 × 112, that is 462 million for one picture. A matrix product in NumPy does some 20
# products a nanosecond on one core. So: turn the sum into a matrix product.
#
# Write the numbers of each window, $R \cdot S \cdot C$ of them, side by side as one row. All windows together give a
# matrix $X$ with a row for each output pixel. Do the same with each filter. Then
#
# $$
# \begin{aligned}
# y &= X\,w^\top & (NIJ,\,RSC)(RSC,\,O) \\
# dw &= dy^\top X & (O,\,NIJ)(NIJ,\,RSC) \\
# dX &= dy\;w & (NIJ,\,O)(O,\,RSC)
# \end{aligned}
# $$
#
# which is the dense layer of chapter 2 on rows that are windows. This is called *im2col*. One thing is new: a pixel
# stands in several rows of $X$, so its slope is the sum of what its copies in $dX$ hold. NumPy can lay out the
# windows without a loop:


# %%
def windows(x, size=3):
    """Every window of x (N, H, W, C) with same padding, a row each: (N·H·W, size·size·C)."""
    N, H, W, C = x.shape
    rim = size // 2
    framed = np.pad(x, ((0, 0), (rim, rim), (rim, rim), (0, 0)))
    cut = np.lib.stride_tricks.sliding_window_view(framed, (size, size), axis=(1, 2))  # (N, H, W, C, R, S)
    return cut.transpose(0, 1, 2, 4, 5, 3).reshape(N * H * W, size * size * C)


def conv_by_product(x, w):
    """Same convolution as a matrix product: (N, H, W, C), (O, R, S, C) -> (N, H, W, O)."""
    return (windows(x, w.shape[1]) @ w.reshape(len(w), -1).T).reshape(*x.shape[:3], len(w))


def conv_by_product_backward(dy, x, w):
    """dx and dw. Each of the R·S copies of a pixel hands back its part."""
    N, H, W, C = x.shape
    O, R, S, _ = w.shape
    rows = dy.reshape(-1, O)  # (N·H·W, O)
    dw = (rows.T @ windows(x, R)).reshape(w.shape)
    dX = (rows @ w.reshape(O, -1)).reshape(N, H, W, R, S, C)
    framed = np.zeros((N, H + R - 1, W + S - 1, C))
    for r in range(R):
        for s in range(S):
            framed[:, r : r + H, s : s + W] += dX[:, :, :, r, s]
    return framed[:, R // 2 : R // 2 + H, S // 2 : S // 2 + W], dw


print("forward as the reference:", np.allclose(conv_by_product(x, w), reference.conv2d(x, w, padding=same)))
mine = conv_by_product_backward(dy, x, w)
print("backward as the reference:", np.allclose(mine[0], dx), np.allclose(mine[1], dw))

# %% [markdown]
# Two short loops are left, over the nine places of a filter. The library's own lines are these, with blocks, threads
# and strides added for the next chapter:

# %%
show_source(im2col.weight_gradient)

# %% [markdown]
# How much did it bring? The same convolution by both, on pictures of growing size:

# %%
sides, times = (4, 8, 16, 32, 64), {"loops": [], "one product": []}
w8 = rng.normal(size=(8, 3, 3, 8))
for side in sides:
    x8 = rng.normal(size=(1, side, side, 8))
    for name, run in (("loops", lambda x: reference.conv2d(x, w8, padding=same)), ("one product", lambda x: conv_by_product(x, w8))):
        if name == "loops" and side > 16:
            continue
        start = time.perf_counter()
        run(x8)
        times[name].append(time.perf_counter() - start)

fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name, seconds in times.items():
    ax.loglog(sides[: len(seconds)], np.array(seconds) * 1e3, "o-", label=name, base=2)
ax.set_yscale("log", base=10)
ax.set(xlabel="side of the picture, pixels", ylabel="time, ms")
ax.legend()
plt.show()
print(f"at 16 x 16, 8 channels: the product is {times['loops'][2] / times['one product'][2]:.0f} times as fast (varies)")

# %% [markdown]
# **What breaks if $X$ grows?** It holds $R \cdot S = 9$ copies of the input. For a batch of 16 of that second layer:

# %%
rows, columns = 16 * 112 * 112, 9 * 64
print(
    f"X has {rows:,} rows of {columns} numbers: {4 * rows * columns / 2**20:.0f} MiB in float32; the input {4 * rows * 64 / 2**20:.0f} MiB"
)

# %% [markdown]
# It goes out to memory and comes back, which costs more time than many of the products. Chapter 4 mends that.
#
# ## A filter that is learned
#
# To see the slopes at work: show the layer a face and the answer of an unknown filter, and let it find the filter by
# descent.

# %%
unknown = np.array(filters["left to right"])[None, :, :, None].astype(float)  # (1, 3, 3, 1)
picture = face[None, :, :, None] - face.mean()
target = conv_by_product(picture, unknown)
guess, seen = np.zeros_like(unknown), {}
for step in range(2001):
    error = conv_by_product(picture, guess) - target
    if step in (0, 10, 100, 2000):
        seen[step] = guess[0, :, :, 0].copy()
    guess -= 0.8 * conv_by_product_backward(2 * error / error.size, picture, guess)[1]
fig, axes = plt.subplots(1, 5, figsize=(8, 2), layout="constrained")
for ax, (name, values) in zip(axes, [*((f"step {k}", v) for k, v in seen.items()), ("unknown", unknown[0, :, :, 0])], strict=True):
    ax.imshow(values, cmap="RdBu_r", vmin=-2, vmax=2)
    ax.set_title(name)
    ax.axis("off")
plt.show()
print(f"largest error of a weight: {np.abs(seen[10] - unknown[0, :, :, 0]).max():.2f} after 10 steps,", end=" ")
print(f"{np.abs(seen[2000] - unknown[0, :, :, 0]).max():.2f} after 2000 (± 2 %)")

# %% [markdown]
# ## Exercises
#
# `python -m tutorials check 03` writes the tasks into your file and judges it.
#
# ### 3.1 How large is the output?
#
# Every shape error begins here.

# %%
exercise("3.1")

# %% [markdown]
# ### 3.2 The sum
#
# Same padding, any odd filter. As slow as you like.

# %%
exercise("3.2")

# %% [markdown]
# ### 3.3 The gradient of the filters
#
# Which pixel did each weight lie on?

# %%
exercise("3.3")

# %% [markdown]
# ### 3.4 The gradient of the input
#
# The turn by 180°.

# %%
exercise("3.4")

# %% [markdown]
# ### 3.5 Convolution as one product
#
# With a stride, this time.

# %%
exercise("3.5")

# %% [markdown]
# ## What you can do now
#
# You can read a convolution as one sum, derive both of its gradients by asking where each number occurs, test them
# without a single slope, and compute all three passes as matrix products. Now to make them fast.
#
# Next: [4 Convolution, fast](ch04_fast_convolution.py)
