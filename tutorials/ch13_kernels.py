# %% [markdown]
# # 13 From tiles to tensor cores
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 4, 8 and 12 | 35 min | 25 s | not measured | 0 |
#
# By the end you can read the library's kernels for convolution and the LSTM, say what each rung of their ladders
# saves, and explain a tensor core well enough to imitate one in NumPy.
#
# ## A ladder
#
# Every kernel family of the library is a ladder. The first rung is the equation; each later one has one idea more;
# all are kept and all can be called. With `prefer` you choose one. We climb with a convolution of one map of 16 × 16
# pixels, 32 channels in, 64 filters of 3 × 3, and let the emulator of chapter 12 count what each rung moves.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nn import SeededLSTM, gradcheck, ops, reference
from nn.emulator import cupy, mode, profile
from nn.gpu.rungs import LADDERS, prefer
from tutorials import exercise, show_kernel

rng = np.random.default_rng(0)
x = rng.normal(size=(1, 16, 16, 32)).astype(np.float32)
w = rng.normal(size=(64, 3, 3, 32)).astype(np.float32)
same = ((1, 1), (1, 1))
exact = reference.conv2d(x[:, :4], w, padding=((1, 0), (1, 1)))  # the first rows, by plain sums; one row of input is missing below
exact = exact[:, :3]  # these see all of theirs
print("rungs of a convolution:", ", ".join(LADDERS["conv"]))

counts, answers = {}, {}
for rung in ("direct", "tile", "igemm", "tf32x3", "tf32"):
    with mode(profile=True), prefer(conv=rung):
        answers[rung] = ops(cupy.asarray(x)).conv2d(cupy.asarray(x), cupy.asarray(w), None, (1, 1), same).get()
        kernels = [one for one in profile.profiles() if one.name.startswith("conv")]
    counts[rung] = {what: sum(one.total(what).moved for one in kernels) for what in ("read global", "read shared")}
    counts[rung]["name"] = kernels[0].name
    error = np.linalg.norm(answers[rung][:, :3] - exact) / np.linalg.norm(exact)
    print(f"{rung:7} {kernels[0].name:12} error below 1e-5: {error < 1e-5!s:5}  below 1e-3: {error < 1e-3}")

# %% [markdown]
# The last rung is less exact; why, we shall see. First the counts.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
for ax, (what, unit) in zip(axes, (("read global", "sectors of 32 bytes"), ("read shared", "passes over the banks")), strict=True):
    ax.bar(list(counts), [counts[rung][what] for rung in counts], color="#9dc3e6")
    ax.set(title=what, ylabel=unit, yscale="log" if what == "read global" else "linear")
plt.show()
print("global reads, direct over tile:", round(counts["direct"]["read global"] / counts["tile"]["read global"]), "times")

# %% [markdown]
# ## Rung 1: the sum
#
# One thread for each output number. It is chapter 3's loop over $r$, $s$, $c$:

# %%
show_kernel("conv_direct.cu", "conv_direct")

# %% [markdown]
# Neighbouring threads make neighbouring channels $o$ of one pixel. So a warp reads *one* number of $x$ (all its
# threads the same), but 32 numbers of $w$ that lie $R S C$ floats apart, 32 sectors for 128 bytes. And each
# multiplication needs two reads.
#
# ## Rung 2: patches in shared memory
#
# A block makes 8 × 8 pixels for 64 filters. It stages the patch of $x$ that those pixels see, a slice of channels at
# a time, and the slice of its filters, as chapter 12's matrix product did with tiles. Each number of the patch then
# serves 64 filters and up to 9 windows. A thread keeps 16 sums in registers. The bars above show what this does to
# global memory; the work moves to shared memory.
#
# ## Rung 3: a matrix product that is never written down
#
# Chapter 3 made a convolution a matrix product of all windows, and chapter 4 was glad to be rid of $X$, nine times
# the input. On the GPU we have both: take *one* place $(r, s)$ of the filter and 16 channels; then the rows of $X$
# are rows of $x$ itself, shifted. So the product is made in $9 \cdot C / 16$ steps, and $X$ exists one slice at a
# time, in shared memory. This is an *implicit* matrix product, `igemm`. A thread keeps 8 × 8 sums: 16 numbers read
# for 64 multiplications.
#
# While one slice is multiplied, the next is already on its way from far memory into the other of two buffers. Nobody
# waits for memory if there is enough to do meanwhile.
#
# ## Rung 4: the tensor core
#
# Since 2020 a warp can multiply two small matrices in *one* instruction: $D \mathrel{+}= A B$ with $A$ of 16 × 8, $B$
# of 8 × 8, 1,024 multiplications and additions at once. The matrices do not lie in memory; they are spread over the
# registers of the 32 threads, its *fragments*. Thread $l$, with $g = \lfloor l / 4 \rfloor$ and $t = l \bmod 4$,
# holds
#
# $$
# \begin{aligned}
# a &: A_{g,t},\; A_{g+8,t},\; A_{g,t+4},\; A_{g+8,t+4} \\
# b &: B_{t,g},\; B_{t+4,g} \\
# d &: D_{g,2t},\; D_{g,2t+1},\; D_{g+8,2t},\; D_{g+8,2t+1} .
# \end{aligned}
# $$
#
# The picture colours $A$ and $D$ by who holds what: the number in each field is the thread.

# %%
lane = np.arange(32)
g, t = lane // 4, lane % 4
A_PLACES = [(g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)]
B_PLACES = [(t, g), (t + 4, g)]
D_PLACES = [(g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1)]
fig, axes = plt.subplots(1, 3, figsize=(8, 4.6), layout="constrained")
for ax, name, shape, places in zip(axes, "ABD", ((16, 8), (8, 8), (16, 8)), (A_PLACES, B_PLACES, D_PLACES), strict=True):
    owner = np.zeros(shape, int)
    for rows, columns in places:
        owner[rows, columns] = lane
    ax.imshow(owner, cmap="Blues", vmin=-20, vmax=60)
    for (i, j), who in np.ndenumerate(owner):
        ax.text(j, i, str(who), ha="center", va="center", fontsize=7)
    ax.set_title(f"{name}, {shape[0]} × {shape[1]}")
    ax.axis("off")
plt.show()


def tensor_core(a, b, d):
    """What the instruction does: fragments a (32, 4), b (32, 2), d (32, 4) of 32 threads -> d + A B, as fragments."""
    A, B, D = np.zeros((16, 8)), np.zeros((8, 8)), np.zeros((16, 8))
    for k, place in enumerate(A_PLACES):
        A[place] = a[:, k]
    for k, place in enumerate(B_PLACES):
        B[place] = b[:, k]
    D = A @ B
    return d + np.stack([D[place] for place in D_PLACES], axis=1)


A, B = rng.normal(size=(16, 8)), rng.normal(size=(8, 8))
a, b = np.stack([A[p] for p in A_PLACES], axis=1), np.stack([B[p] for p in B_PLACES], axis=1)
d = tensor_core(a, b, np.zeros((32, 4)))
print("32 threads hold the product:", np.allclose(d, np.stack([(A @ B)[p] for p in D_PLACES], axis=1)))

# %% [markdown]
# The emulator knows the instruction too, so the kernel `conv_tensor` that uses it runs in this chapter's first cell.
#
# ## Feeding it
#
# The rest of that kernel is about bringing numbers to where the instruction wants them. Rows of 32 floats are staged
# in shared memory. Each fills all 32 banks, and a warp reads four neighbouring floats (a *chunk*) from each of eight
# rows at a time. **What breaks if chunk $k$ of each row lies at place $k$?** All eight chunks lie in the same four
# banks. So row $r$ keeps its chunk $k$ at place $k \oplus (r \bmod 8)$ instead, where $\oplus$ is exclusive or, bit
# by bit. Nothing is spent on padding, and the eight chunks meet 32 different banks:

# %%
fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.6), layout="constrained")
for ax, name, swizzled in zip(axes, ("chunk k at place k", "chunk k at place k ^ (r % 8)"), (False, True), strict=True):
    chunk = np.zeros((8, 8), int)
    for r in range(8):
        for k in range(8):
            chunk[r, k ^ r if swizzled else k] = k
    ax.imshow(chunk == 3, cmap="Oranges", vmin=0, vmax=1.5)
    for (r, place), k in np.ndenumerate(chunk):
        ax.text(place, r, str(k), ha="center", va="center", fontsize=8)
    ax.set(title=name, xlabel="place: 4 banks each", ylabel="row", xticks=range(8))
    banks = {int(np.flatnonzero(chunk[r] == 3)[0]) for r in range(8)}
    print(f"{name}: chunk 3 of eight rows lies in {4 * len(banks)} banks")
plt.show()

# %% [markdown]
# ## Ten bits, and how to have more
#
# The tensor core takes its factors in TF32: of the 23 bits behind the point of a float32 it looks at 10. The sums
# keep all. So a product is off by up to a thousandth. **What breaks if we accept that?** Not much in a forward pass,
# as the last line of the first cell showed, but gradients that nearly cancel suffer, and no test could tell a
# small mistake in the kernel from rounding.
#
# There is a way to have both. Cut each factor in two: $a = A + \alpha$, where $A$ is $a$ in ten bits, and $\alpha$
# what is missing. Then
#
# $$
# a\,b = A B + A \beta + \alpha B + \alpha \beta .
# $$
#
# Each of the first three products takes ten-bit factors; the last is $2^{-20}$ of the whole and is left out. Three
# instructions for one, and the accuracy of float32. In NumPy:


# %%
def ten_bits(a):
    """float32 with the last 13 of its 23 bits cut off."""
    return (a.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


left, right = rng.normal(size=(64, 512)).astype(np.float32), rng.normal(size=(512, 64)).astype(np.float32)
truth = left.astype(float) @ right
A, B = ten_bits(left), ten_bits(right)
alpha, beta = ten_bits(left - A), ten_bits(right - B)
tries = {"float32": left @ right, "tf32": A @ B, "tf32x3": A @ beta + alpha @ B + A @ B}
errors = {name: np.linalg.norm(product - truth) / np.linalg.norm(truth) for name, product in tries.items()}
fig, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
ax.barh(list(errors)[::-1], list(errors.values())[::-1], color="#f4b183")
ax.set(xscale="log", xlabel="relative error of a product of matrices")
plt.show()
print("tf32 is more than 100 times less exact than float32:", errors["tf32"] > 100 * errors["float32"])
print("three products bring it back, below 1e-5:", errors["tf32x3"] < 1e-5)

# %% [markdown]
# `tf32x3` is what the library takes by itself; `tf32` only if you ask for it.
#
# ## The gradient of the filters
#
# Chapter 3: $dw_{orsc}$ is a sum over all pixels of all pictures. The result is small and the sum is long, the
# reverse of the forward pass. If one thread made each weight, few threads would work. So the *pixels* are shared out
# among blocks, each block makes its own partial $dw$, and a second kernel adds them. Not as they come, which would
# round differently from run to run, but in a fixed order: the same bits each time.

# %%
dy = rng.normal(size=(1, 16, 16, 64)).astype(np.float32)
gpu = [cupy.asarray(array) for array in (dy, x, w)]
with mode(check=True):
    first = [array.get() for array in ops(gpu[0]).conv2d_backward(*gpu, (1, 1), same)]
with mode(order="shuffled"):
    second = [array.get() for array in ops(gpu[0]).conv2d_backward(*gpu, (1, 1), same)]
cpu = ops(dy).conv2d_backward(dy, x, w, (1, 1), same)
print("as on the CPU:", [bool(np.allclose(a, b, rtol=1e-3, atol=1e-3)) for a, b in zip(first, cpu, strict=True)])
print("same bits with threads in another order:", [np.array_equal(a, b) for a, b in zip(first, second, strict=True)])

# %% [markdown]
# ## The LSTM: when starting is what costs
#
# Convolutions are large. A step of an LSTM is small: for 48 steps one after another, a few products of a vector with
# a matrix each. Starting a kernel takes some millionths of a second, whatever it does, and that adds up. So the
# ladder of `lstm.cu` is about *launches*:
#
# - `gates`: a kernel for each gate and one for the state, at every step;
# - `cell`: the inputs of all steps in one product beforehand, then a product and a small kernel a step;
# - `sequence`: all steps in one launch. A block owns a few sequences of the batch from the first step to the last, keeps their
#   $h$ in shared memory, and waits for nobody.

# %%
layer = SeededLSTM(10, 32, 16, (13, 6, 8, 5, 16), rng=rng).to("emulated")
seeds, features = (cupy.asarray(rng.normal(size=shape).astype(np.float32)) for shape in ((2, 5, 10), (2, 16)))
launches, states = {}, {}
for rung in ("gates", "cell", "sequence"):
    with mode(profile=True), prefer(lstm=rung):
        states[rung] = layer.forward(seeds, features).get()
        launches[rung] = sum(one.launches for one in profile.profiles())
print("launches for the 48 steps of a face:", launches)
print("all rungs agree:", all(np.allclose(h, states["gates"], atol=1e-5) for h in states.values()))
fig, ax = plt.subplots(figsize=(5, 2.2), layout="constrained")
ax.barh(list(launches)[::-1], list(launches.values())[::-1], color="#9dc3e6")
ax.set(xscale="log", xlabel="launches, forward")
plt.show()

# %% [markdown]
# **What breaks if a block has to wait for another one?** On a GPU blocks run in any order, and not all at once. A
# block that waits for one that has not begun waits for ever. That is why `sequence` gives whole sequences to a block:
# a row of the batch never meets another row.
#
# ## Proved, not believed
#
# Each rung is held to the same judge as the NumPy code. The emulator compiles the text with `double` for `float`, so
# that central differences reach their nine digits:

# %%
judged = SeededLSTM(3, 4, 5, (2, 3), rng=rng).astype(np.float64).to("emulated")
inputs = [cupy.asarray(rng.normal(size=shape)) for shape in ((2, 2, 3), (2, 5))]
for rung in ("gates", "cell", "sequence"):
    with mode(check=True), prefer(lstm=rung):
        print(f"{rung}: all slopes right, no race, nothing out of bounds:", gradcheck.check(judged, *inputs, rng=rng).ok())

# %% [markdown]
# What has been measured on a real card stands in [GPU results](../docs/gpu-results.md), and nothing else is claimed.
# [On a GPU, and without one](../docs/gpu.md) says how to run all this on yours: `--device cuda` instead of
# `--device emulated`, and the same kernels.
#
# ## Exercises
#
# `python -m tutorials check 13` writes the tasks into your file and judges it.
#
# ### 13.1 Flops a byte
#
# Is it memory or arithmetic that bounds a layer?

# %%
exercise("13.1")

# %% [markdown]
# ### 13.2 The swizzle
#
# Where a number lies.

# %%
exercise("13.2")

# %% [markdown]
# ### 13.3 Cut in two
#
# Ten bits and ten bits.

# %%
exercise("13.3")

# %% [markdown]
# ### 13.4 Fragments
#
# Who holds what.

# %%
exercise("13.4")

# %% [markdown]
# ### 13.5 A convolution kernel
#
# With a patch in shared memory.

# %%
exercise("13.5")

# %% [markdown]
# ## What you can do now
#
# You have gone from one neuron to a network that draws faces, and from its equations to the threads that compute
# them. Every line on the way was one that you can read, derive and check. Take a photo: `faceseed predict PHOTO.jpg`.
# Then change something, and see what breaks.
