# %% [markdown]
# # 5 Pooling, batch norm, dropout
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 1 to 3 | 30 min | 6 s | not used | 0 |
#
# By the end you can write the three layers that stand between convolutions, derive the longest backward pass of the
# library, and say what goes wrong when each of them is left out or used at the wrong time.
#
# ## Pooling: look less closely
#
# A 3 × 3 filter sees 3 × 3 pixels. To see an eye, let alone a face, a network has to look from farther away. *Max
# pooling* makes a map half as wide and half as high: of each window of 2 × 2 numbers only the largest stays. The
# windows do not overlap. With size $S$,
#
# $$
# y_{nijc} = \max_{r, s < S}\; x_{n,\,iS+r,\,jS+s,\,c} .
# $$
#
# "There is a lid edge somewhere in this window" is kept, where exactly is dropped. After three poolings, a 3 × 3
# filter covers 24 × 24 pixels of the face.

# %%
import matplotlib.pyplot as plt
import numpy as np

from models.faces.synthetic import draw_face
from nn import Adam, BatchNorm, ConvBlock, Dense, Dropout, MaxPool2D, MeanSquaredError, ReLU, Sequential, gradcheck, reference
from tutorials import exercise, show_source


def max_pool(x, S=2):
    """(N, H, W, C) -> the maxima (N, H // S, W // S, C) and which number of its window won, r·S + s."""
    N, H, W, C = x.shape
    I, J = H // S, W // S
    windows = x[:, : I * S, : J * S].reshape(N, I, S, J, S, C).transpose(0, 1, 3, 2, 4, 5).reshape(N, I, J, S * S, C)
    return windows.max(3), windows.argmax(3)


face = draw_face(np.random.default_rng(3))[0][64:192, 64:192].astype(float)[None, :, :, None]
maps = [face]
for _ in range(3):
    maps.append(max_pool(maps[-1])[0])
fig, axes = plt.subplots(1, 4, figsize=(8, 2.3), layout="constrained")
for ax, one in zip(axes, maps, strict=True):
    ax.imshow(one[0, :, :, 0], cmap="gray", vmin=0, vmax=255)
    ax.set_title(f"{one.shape[1]} × {one.shape[2]}")
    ax.axis("off")
plt.show()

# %% [markdown]
# A pixel that did not win has no influence: move it a little, and the maximum stays. The winner passes its change on
# unchanged. So
#
# $$
# dx_{\text{winner}} = dy, \qquad dx_{\text{others}} = 0 .
# $$
#
# Each upstream slope goes to one place, and forward has to remember which. If two numbers are equally large, neither
# slope is wrong; the rule here is that the first in reading order wins, so that every run and every machine agree.


# %%
def max_pool_backward(dy, winner, S, shape):
    """dy (N, I, J, C) to where it came from: dx of the given shape."""
    dx = np.zeros(shape)
    for n, i, j, c in np.ndindex(dy.shape):
        r, s = divmod(winner[n, i, j, c], S)
        dx[n, i * S + r, j * S + s, c] = dy[n, i, j, c]
    return dx


rng = np.random.default_rng(0)
x = rng.permutation(2 * 5 * 6 * 3).reshape(2, 5, 6, 3) / 10.0  # no two alike; five rows: the last belongs to no window
y, winner = max_pool(x)
dy = rng.normal(size=y.shape)
true_y, true_winner = reference.maxpool2d(x, 2)
print("forward:", np.array_equal(y, true_y), " winners:", np.array_equal(winner, true_winner))
print("backward:", np.array_equal(max_pool_backward(dy, winner, 2, x.shape), reference.maxpool2d_backward(dy, true_winner, 2, x.shape)))
print("the layer, all slopes right:", gradcheck.check(MaxPool2D(2), x, rng=rng).ok())

# %% [markdown]
# The input of that check is chosen so that no two numbers lie close together. Central differences step to both sides;
# across a tie they would see two different winners, and call a right slope wrong.
#
# ## Batch norm: keep the numbers in reach
#
# Chapter 2 chose the first weights so that signals neither fade nor swell. Training moves the weights, and then
# nothing keeps the signals in place. *Batch norm* (Ioffe and Szegedy, 2015) puts every channel back to mean 0 and
# variance 1, each time, and lets two learned numbers a channel choose another mean and spread:
#
# $$
# \begin{aligned}
# \mu &= \frac{1}{M} \sum_m x_m, \qquad
# \sigma^2 = \frac{1}{M} \sum_m (x_m - \mu)^2 \\
# \hat x_m &= \frac{x_m - \mu}{\sqrt{\sigma^2 + \varepsilon}}, \qquad
# y_m = \gamma\,\hat x_m + \beta .
# \end{aligned}
# $$
#
# The sums run over all $M$ numbers of one channel: over the batch, and over all pixels of a map, $M = N H W$. The
# small $\varepsilon$, $10^{-5}$, keeps a channel that is constant from dividing by zero.
#
# The picture shows what it does for learning. Twelve layers, badly started (half of He's spread), shall learn to tell
# how far a point is from the origin.


# %%
def deep(norm, seed=0):
    """Twelve layers of 32 neurons with weights that are too small, with batch norm or without."""
    rng = np.random.default_rng(seed)
    layers, width = [], 2
    for _ in range(12):
        dense = Dense(width, 32, rng=rng)
        dense.weight.value *= 0.5
        layers += [dense, *([BatchNorm(32)] if norm else []), ReLU()]
        width = 32
    return Sequential(*layers, Dense(32, 1, rng=rng))


def learn(model, x, target, steps, lr=0.003):
    """The loss before each step of Adam on the whole batch."""
    loss, optimizer, losses = MeanSquaredError(), Adam(model.parameters(), lr=lr), []
    for _ in range(steps):
        losses.append(loss.forward(model.forward(x), target))
        model.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return losses


points = rng.normal(size=(256, 2)).astype(np.float32)
distance = np.linalg.norm(points, axis=1, keepdims=True)
curves = {name: learn(deep(norm), points, distance, 200) for name, norm in (("plain", False), ("with batch norm", True))}
fig, ax = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
for name, losses in curves.items():
    ax.semilogy(losses, label=name)
ax.set(xlabel="step", ylabel="loss")
ax.legend()
plt.show()
print("with batch norm the loss is less than a tenth:", curves["with batch norm"][-1] < 0.1 * curves["plain"][-1])

# %% [markdown]
# ## Its backward pass
#
# Now the derivation, one channel at a time. Write $\rho = 1 / \sqrt{\sigma^2 + \varepsilon}$, so
# $\hat x_m = \rho\,(x_m - \mu)$. The last step is easy:
#
# $$
# d\beta = \sum_m dy_m, \qquad
# d\gamma = \sum_m dy_m\,\hat x_m, \qquad
# d\hat x_m = \gamma\, dy_m .
# $$
#
# The input $x_m$ reaches $\hat x$ along three paths: directly, through $\mu$, and through $\sigma^2$, and the last
# two lead to *every* $\hat x_k$ of the channel. Multiply along each, add them up.
#
# *Directly*, with $\mu$ and $\sigma^2$ held: $\rho\, d\hat x_m$.
#
# *Through the variance.* From $\rho = (\sigma^2 + \varepsilon)^{-1/2}$ we have
# $\partial \rho / \partial \sigma^2 = -\frac{1}{2} \rho^3$, so
#
# $$
# d\sigma^2 = -\tfrac{1}{2}\,\rho^3 \sum_k d\hat x_k\,(x_k - \mu)
# = -\tfrac{1}{2}\,\rho^2 \sum_k d\hat x_k\,\hat x_k ,
# $$
#
# and $\partial \sigma^2 / \partial x_m = \frac{2}{M} (x_m - \mu) = \frac{2}{M\rho}\,\hat x_m$. (The change of $\mu$
# inside $\sigma^2$ adds $\frac{2}{M} \sum_k (x_k - \mu) \cdot (-1) = 0$.) This path gives
#
# $$
# d\sigma^2 \cdot \frac{2}{M\rho}\,\hat x_m
# = -\frac{\rho}{M}\,\hat x_m \sum_k d\hat x_k\,\hat x_k .
# $$
#
# *Through the mean.* $\partial \hat x_k / \partial \mu = -\rho$ for every $k$, and
# $\partial \mu / \partial x_m = \frac{1}{M}$:
#
# $$
# -\frac{\rho}{M} \sum_k d\hat x_k .
# $$
#
# The sum of the three:
#
# $$
# dx_m = \rho\,\Big(d\hat x_m - \overline{d\hat x} - \hat x_m\,\overline{d\hat x\,\hat x}\Big) ,
# $$
#
# where the bar is the mean over the channel. Read it: batch norm cannot hear a common shift of its inputs, nor a
# common scale. So whatever in the upstream points in those two directions is taken out.


# %%
def batch_norm(x, gamma, beta, epsilon=1e-5):
    """x (M, C), gamma and beta (C,) -> y (M, C), and what backward needs."""
    rho = 1 / np.sqrt(x.var(0) + epsilon)
    normal = rho * (x - x.mean(0))
    return gamma * normal + beta, (normal, rho)


def batch_norm_backward(dy, gamma, saved):
    """dx (M, C), dgamma (C,), dbeta (C,)."""
    normal, rho = saved
    dnormal = gamma * dy
    dx = rho * (dnormal - dnormal.mean(0) - normal * (dnormal * normal).mean(0))
    return dx, (dy * normal).sum(0), dy.sum(0)


x, dy, gamma, beta = rng.normal(3, 2, size=(7, 4)), rng.normal(size=(7, 4)), rng.normal(size=4), rng.normal(size=4)
y, saved = batch_norm(x, gamma, beta)
mean, variance = reference.batch_statistics(x)
true = reference.batch_norm_backward(dy, x, gamma, mean, variance, 1e-5, True)
print("as the reference:", all(np.allclose(a, b) for a, b in zip(batch_norm_backward(dy, gamma, saved), true, strict=True)))
dx = batch_norm_backward(dy, gamma, saved)[0]
print("no common shift is left:", np.allclose(dx.sum(0), 0), " no common scale:", np.allclose((dx * x).sum(0), 0, atol=1e-4))

# %% [markdown]
# That is also why chapter 1 wanted a *random* upstream. With $dy = 1$ everywhere the true $dx$ is 0, and a backward
# pass that returns zeros would pass:

# %%
print("dx for an upstream of ones:", np.abs(batch_norm_backward(np.ones_like(dy), gamma, saved)[0]).max() < 1e-12)

# %% [markdown]
# ## When there is no batch
#
# A user shows the network one photo. There is no batch to take a mean of, and the answer must not depend on who else
# is in it. So training keeps *running averages* of $\mu$ and $\sigma^2$,
#
# $$
# \bar\mu \leftarrow \bar\mu + 0.1\,(\mu - \bar\mu), \qquad
# \bar\sigma^2 \leftarrow \bar\sigma^2 + 0.1\,\big(\tfrac{M}{M-1}\,\sigma^2 - \bar\sigma^2\big) ,
# $$
#
# and evaluation uses those. ($M / (M-1)$ because the variance of a sample is a little too small on average.) In
# evaluation $\bar\mu$ and $\bar\sigma^2$ are constants, batch norm is a line, and $dx = \gamma\,\rho\,dy$.
#
# **What breaks if evaluation takes the batch's own statistics?** With one input, $x - \mu = 0$. Every input gets the
# same answer:

# %%
model = deep(norm=True)
learn(model, points, distance, 200)
for _ in range(60):
    model.forward(points)  # no step is taken: the running averages settle on the final weights
near, far = points[distance[:, 0].argmin()][None], points[distance[:, 0].argmax()][None]
model.evaluate()
answers = [round(float(model.forward(p)[0, 0]), 1) for p in (near, far)]
print("in evaluation:", answers, "for distances", [round(float(np.linalg.norm(p)), 1) for p in (near, far)], "(± 10 %)")
model.train()
asked_alone = [round(float(model.forward(p)[0, 0]), 3) for p in (near, far)]
print("alone, in training mode, near and far get the same:", asked_alone[0] == asked_alone[1])
model.evaluate()
print("and the running averages are spoilt:", abs(float(model.forward(far)[0, 0]) - answers[1]) > 1)

# %% [markdown]
# Two forward passes in the wrong mode pulled twelve layers' averages towards a variance of 0, and the right mode is
# wrong from then on. `model.evaluate()` switches a whole model, `model.train()` switches back. To forget it is one of
# the commonest mistakes there are.
#
# In evaluation a line after a convolution can be melted into it: scale the filters by $s = \gamma \rho$ and add
# $\beta - s \bar\mu$ as a bias. The paper's networks repeat convolution, batch norm, ReLU; the library has them as
# one layer, which does that:

# %%
show_source(ConvBlock.forward)

# %% [markdown]
# ## A unit that falls asleep
#
# The order matters. In one place the authors put the ReLU *before* batch norm. Then a unit can die: if its ReLU gives
# 0 for every training input, no slope comes through, and its weights never move again. Meanwhile its running variance
# shrinks by a tenth at every step.
#
# **What breaks if such a unit wakes up?** In evaluation its slope is $\gamma / \sqrt{\bar\sigma^2 + \varepsilon}$,
# and with $\bar\sigma^2 \to 0$ that is 316 times $\gamma$:

# %%
norm, slopes = BatchNorm(1), []
for _ in range(150):
    norm.forward(np.zeros((64, 1), np.float32))  # what a dead ReLU sends
    slopes.append(float(norm.line()[0][0]))
fig, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
ax.semilogy(slopes)
ax.set(xlabel="training steps asleep", ylabel="slope in evaluation")
plt.show()
print(f"an input that gives the unit 0.5 once makes it say {float(norm.evaluate().forward(np.full((1, 1), 0.5, np.float32))[0, 0]):.0f}")

# %% [markdown]
# In the networks that come with this library about half of the units of that layer are asleep; [their
# card](../models/weights/README.md) tells what that did to two trainings. Batch norm before the ReLU, as in
# `ConvBlock`, sees what the ReLU cuts off, and its $\beta$ can bring a unit back.
#
# ## Dropout: trust no single number
#
# A network with many weights and few examples learns the examples by heart. *Dropout* (Srivastava and others, 2014)
# silences each number with probability $p$ at every training step, so no neuron can rely on one other:
#
# $$
# y_k = \frac{x_k\, z_k}{1 - p}, \qquad z_k = 1 \text{ with probability } 1 - p, \text{ else } 0 .
# $$
#
# The division keeps the mean: the average of $y_k$ over all draws is $x_k \cdot (1 - p) / (1 - p) = x_k$. So
# evaluation just passes $x$ on. Backward is the same mask and the same division, $dx_k = dy_k\, z_k / (1 - p)$.

# %%
layer = Dropout(0.5, rng=np.random.default_rng(0))
x = np.ones((1, 8), np.float32)
print("three draws:", *(layer.forward(x)[0].astype(int).tolist() for _ in range(3)))
print(f"mean of 10,000 draws: {np.mean([layer.forward(x) for _ in range(10_000)]):.2f} (± 2 %)")

# %% [markdown]
# **What breaks if the division is left out?** In evaluation every number is then $1 / (1 - p)$ times as large as the
# next layer has ever seen it. And what dropout is for: 24 noisy points of a curve, learned by a wide network with and
# without it.

# %%
rng = np.random.default_rng(1)
few = np.sort(rng.uniform(-1, 1, (24, 1)), axis=0).astype(np.float32)
noisy = (np.cos(3 * few) + 0.25 * rng.normal(size=few.shape)).astype(np.float32)
many = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", sharey=True)
errors = {}
for ax, rate in zip(axes, (0.0, 0.3), strict=True):
    rng = np.random.default_rng(0)
    first = Dense(1, 200, rng=rng)
    first.weight.value *= 4
    first.bias.value[:] = rng.uniform(-4, 4, 200)
    inner, last = Dense(200, 200, rng=rng), Dense(200, 1, rng=rng)
    model = Sequential(first, ReLU(), Dropout(rate, rng=rng), inner, ReLU(), Dropout(rate, rng=rng), last)
    learn(model, few, noisy, 800, lr=0.002)
    drawn = model.evaluate().forward(many)
    errors[rate] = float(((drawn - np.cos(3 * many)) ** 2).mean())
    ax.plot(many, np.cos(3 * many), "k--", lw=1, label="the curve")
    ax.plot(few, noisy, "k.", label="24 noisy points")
    ax.plot(many, drawn, label=f"dropout {rate}")
    ax.set(xlabel="x", ylim=(-2, 2))
    ax.legend(fontsize=8)
plt.show()
print("nearer to the curve with dropout:", errors[0.3] < errors[0.0])

# %% [markdown]
# Without dropout the network bends to reach every point, noise and all. With it the answer is the mean of many
# thinned networks, and smoother.
#
# ## Exercises
#
# `python -m tutorials check 05` writes the tasks into your file and judges it.
#
# ### 5.1 Dropout
#
# With the mask given.

# %%
exercise("5.1")

# %% [markdown]
# ### 5.2 Max pooling
#
# And who won.

# %%
exercise("5.2")

# %% [markdown]
# ### 5.3 Max pooling, backwards
#
# Rows that no window saw get nothing.

# %%
exercise("5.3")

# %% [markdown]
# ### 5.4 Running averages, and the line
#
# What evaluation computes.

# %%
exercise("5.4")

# %% [markdown]
# ### 5.5 Batch norm, backwards
#
# Three paths. On maps, this time.

# %%
exercise("5.5")

# %% [markdown]
# ## What you can do now
#
# You have every layer of a convolutional network, each with a backward pass that you can derive. You know which of
# them behave differently in training and in evaluation, and what happens if that is forgotten. Time for faces.
#
# Next: [6 Faces in 68 points](ch06_faces.py)
