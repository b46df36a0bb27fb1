# %% [markdown]
# # 9 A sine wave from a seed
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapter 8 | 25 min | 20 s | not used | 0 |
#
# By the end you can make a network draw a curve of its own, steer it by how it is begun, see where that steering
# wears off, and build a cell that is reminded at every step. That cell is the heart of the next chapter.
#
# ## Guess the next value
#
# Chapter 8's network read a sequence and answered at its end. The paper's second system answers at *every* step:
# given a wave up to now, what comes next? So the targets are the inputs, moved on by one. A window of $l$ values goes
# in, and the same window one step later is asked for:
#
# $$
# \begin{aligned}
# \text{input} &: \; x_t,\, x_{t+1},\, \dots,\, x_{t+l-1} \\
# \text{target} &: \; x_{t+1},\, x_{t+2},\, \dots,\, x_{t+l} .
# \end{aligned}
# $$
#
# The waves are sines $a \sin(2 \pi t / p + \varphi)$ with an amplitude $a$ from 0.5 to 1, a period $p$ of 20 to 40
# steps, and any phase $\varphi$. The network is an LSTM of 32 units and a dense layer that reads its hidden state at
# each step.

# %%
import matplotlib.pyplot as plt
import numpy as np

from models.sine import Sine, draw, waves
from nn import Adam, Dense, Layer, MeanSquaredError, SeededLSTM, gradcheck
from tutorials import exercise, show_source

show_source(Sine)
WINDOW = 25  # l
some = waves(4, WINDOW + 1, np.random.default_rng(0))  # (4, 26, 1)
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for k, wave in enumerate(some[..., 0]):
    ax.plot(wave[:-1], "o-", ms=3, color=f"C{k}")
    ax.plot([WINDOW - 1, WINDOW], wave[-2:], "x--", color=f"C{k}")
ax.set(xlabel="step", ylabel="x")
plt.show()
print("input", some[:, :-1].shape, " target", some[:, 1:].shape)

# %% [markdown]
# The crosses are what the last step is asked for. One value does not tell whether the wave goes up or down, two do
# not tell how high it will go. The hidden state has to gather it.
#
# Is the backward pass right? The whole model, by the judge:

# %%
rng = np.random.default_rng(0)
print("slopes right:", gradcheck.check(Sine(4, rng=rng), rng.normal(size=(2, 5, 1)), rng=rng).ok())


def train(model, batch, count, seed=0):
    """Adam on fresh batches, the rate a tenth in the last third; the loss at each step."""
    rng, loss, optimizer = np.random.default_rng(seed), MeanSquaredError(), Adam(model.parameters(), lr=0.01)
    losses = []
    for step in range(count):
        optimizer.lr = 0.01 if step < 2 * count / 3 else 0.001
        x, target = batch(64, rng)
        losses.append(loss.forward(model.forward(x), target))
        model.zero_grad()
        model.backward(loss.backward())
        optimizer.clip(optimizer.gradient_norm(), 1)  # as in chapter 8
        optimizer.step()
    return losses


def windows(count, rng):
    """Inputs and targets (count, l, 1)."""
    wave = waves(count, WINDOW + 1, rng)
    return wave[:, :-1], wave[:, 1:]


model = Sine(32, rng=np.random.default_rng(0))
losses = train(model, windows, 1500)
x, target = windows(200, np.random.default_rng(5))
answer = model.evaluate().forward(x)
by_step = ((answer - target) ** 2).mean((0, 2))  # (l,)
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
left.semilogy(losses)
left.set(xlabel="step of training", ylabel="mean squared error")
right.semilogy(range(1, WINDOW + 1), by_step)
right.set(xlabel="values seen", ylabel="mean squared error")
plt.show()
print("learned, error below 0.01:", np.mean(losses[-50:]) < 0.01)
print("after 25 values it guesses at least 20 times better than after one:", by_step[0] > 20 * by_step[-1])

# %% [markdown]
# On the right: the more it has seen of a wave, the better it guesses what comes next.
#
# ## Closing the loop: seeding
#
# Now let it draw. Begin with any window, the *seed*. Ask for the next value; append it as if it had come from
# outside; move the window on by one; ask again. From then on the network lives on its own answers. The paper calls
# this *seeding*.

# %%
show_source(draw)

# %%
rng = np.random.default_rng(5)
seeds = {"zeros": np.zeros(WINDOW, np.float32)}
for a, p in ((0.6, 24), (0.9, 36)):
    seeds[f"a = {a}, p = {p}"] = (a * np.sin(2 * np.pi * np.arange(WINDOW) / p)).astype(np.float32)
fig, axes = plt.subplots(3, 1, figsize=(8, 5), layout="constrained", sharex=True)
drawn = {}
for ax, (name, seed) in zip(axes, seeds.items(), strict=True):
    drawn[name] = draw(model, seed, 150)
    ax.plot(range(WINDOW), seed, "o-", ms=3, color="C1", label="seed")
    ax.plot(range(WINDOW - 1, WINDOW + 150), drawn[name][WINDOW - 1 :], color="C0", label="drawn")
    ax.set(title=name, ylim=(-1.2, 1.2))
axes[0].legend(loc="upper right", ncols=2, fontsize=8)
axes[-1].set_xlabel("step")
plt.show()

# %% [markdown]
# This is the paper's Fig. 5, seeding with zeros and with a piece of a wave. What is drawn goes on where the seed
# ended: the same phase, and at first nearly the same height and speed. One trained network, and how it is begun
# decides what it draws. That is the idea on which the paper builds its landmarks.
#
# ## Where the seed wears off
#
# Look at the right ends. The waves become alike. Each value is a little wrong, the next one is guessed from it, and
# nothing from outside ever corrects the drift. In the end the network draws the wave that it likes best, whatever it
# was begun with. Let us measure the height over time:

# %%
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
heights = {}
for amplitude in (0.5, 0.75, 1.0):
    seed = (amplitude * np.sin(2 * np.pi * np.arange(WINDOW) / 30)).astype(np.float32)
    wave = draw(model, seed, 600)
    heights[amplitude] = [np.abs(wave[t : t + 40]).max() for t in range(0, 560, 20)]
    ax.plot(range(0, 560, 20), heights[amplitude], label=f"seeded with amplitude {amplitude}")
ax.set(xlabel="step", ylabel="height of the wave", ylim=(0, None))
ax.legend()
plt.show()
begin, end = (np.ptp([h[k] for h in heights.values()]) for k in (0, -1))
print("the three heights lie nearer together at the end:", end < begin / 2)

# %% [markdown]
# **What breaks if the loop is closed?** In training each step saw true values: the loop was *open*. In drawing it is
# *closed*, and small errors feed themselves. A network that is good at the one may drift at the other. The error at
# one step does not tell:

# %%
open_error = float(((model.forward(x)[:, -1] - target[:, -1]) ** 2).mean())
closed = []
for wave in waves(20, WINDOW + 100, np.random.default_rng(6))[..., 0]:
    closed.append((draw(model, wave[:WINDOW], 100)[WINDOW:] - wave[WINDOW:]) ** 2)
closed = np.mean(closed, 0)
print("open loop, one step ahead: below 0.01:", open_error < 0.01)
print("closed loop, 100 steps ahead: at least 10 times worse:", closed[80:].mean() > 10 * open_error)

# %% [markdown]
# ## A cell that is reminded
#
# A seed that is given once is forgotten. So give it *at every step*. Suppose a few numbers $f$ say which wave is
# wanted. Where should they enter? The paper adds them inside the last $\tanh$ of the cell, through weights of their
# own. With chapter 8's names, only the last line changes:
#
# $$
# h_t = o_t \odot \tanh(C_t + W_{ih}\, f + b_{ih}) .
# $$
#
# The cell state itself, $C_t$, is left alone, so the gradient's road along the cell stays as clean as it was. In the
# library this is `SeededLSTM`; its backward pass is derived in the next chapter, where it belongs. Here we let it
# draw: no window goes in, only three numbers, $f = (a \cos\varphi,\; a \sin\varphi,\; 20/p)$.


# %%
class Reminded(Layer):
    """f (N, 3) -> a wave (N, T, 1): a seeded LSTM with nothing to read but f, and a dense layer."""

    def __init__(self, steps, units=32, *, rng):
        self.lstm = SeededLSTM(1, units, 3, (steps,), rng=rng)
        self.readout = Dense(units, 1, rng=rng)

    def forward(self, f):
        h = self.lstm.forward(np.zeros((len(f), 1, 1), f.dtype), f)  # (N, T, U)
        y = self.readout.forward(h.reshape(-1, self.lstm.units)).reshape(len(f), -1, 1)
        self.keep(y, h.shape)
        return y

    def backward(self, dy):
        shape = self.take_saved(dy)
        return self.lstm.backward(self.readout.backward(dy.reshape(-1, 1)).reshape(shape))[1]


def numbers(a, p, phase):
    """The three numbers that say which wave is wanted."""
    return np.stack(np.broadcast_arrays(a * np.cos(phase), a * np.sin(phase), 20 / p), axis=-1).astype(np.float32)


def wanted(count, rng, steps=60):
    """Random waves by their numbers: f (count, 3), waves (count, steps, 1)."""
    a, p, phase = rng.uniform(0.5, 1, count), rng.uniform(20, 40, count), rng.uniform(0, 2 * np.pi, count)
    wave = a[:, None] * np.sin(2 * np.pi * np.arange(steps) / p[:, None] + phase[:, None])
    return numbers(a, p, phase), wave.astype(np.float32)[..., None]


rng = np.random.default_rng(0)
check = Reminded(5, 4, rng=rng)
print("slopes right:", gradcheck.check(check, rng.normal(size=(2, 3)), rng=rng).ok())
reminded = Reminded(60, rng=np.random.default_rng(0))
losses = train(reminded, wanted, 1000)
print("learned, error below 0.02:", np.mean(losses[-50:]) < 0.02)

# %% [markdown]
# ## Moving one number
#
# Now turn the knobs, one at a time, and leave the others where they are.

# %%
reminded.evaluate()
fig, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout="constrained", sharey=True)
knobs = {
    "amplitude a": [numbers(a, 28, 0.0) for a in (0.5, 0.75, 1.0)],
    "period p": [numbers(0.8, p, 0.0) for p in (22, 28, 38)],
    "phase φ": [numbers(0.8, 28, phase) for phase in (0.0, 1.0, 2.0)],
}
for ax, (name, settings) in zip(axes, knobs.items(), strict=True):
    for f in settings:
        ax.plot(reminded.forward(f[None])[0, :, 0])
    ax.set(title=name, xlabel="step")
plt.show()
heights = [float(np.abs(reminded.forward(f[None])).max()) for f in knobs["amplitude a"]]
late = [float(np.abs(reminded.forward(f[None])[0, 30:]).max()) for f in knobs["amplitude a"]]
print("asked for 0.5, 0.75, 1.0 it draws", [round(h, 1) for h in heights], "(± 15 %) high")
print("and keeps them to the end:", all(abs(a - b) < 0.2 for a, b in zip(heights, late, strict=True)))

# %% [markdown]
# Three numbers say what shall be drawn, and the LSTM knows how. **What breaks if the numbers are given at the first
# step only?** Then the cell has to carry them. `SeededLSTM` has that as an option, `injection="first"`; the paper's
# text can be read either way. We train it as long:

# %%
once = Reminded(60, rng=np.random.default_rng(0))
once.lstm.injection = "first"
losses_once = train(once, wanted, 1000)
fig, ax = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
for name, values in (("at every step", losses), ("at the first step only", losses_once)):
    ax.semilogy(np.convolve(values, np.ones(20) / 20, "valid"), label=name)
ax.set(xlabel="step of training", ylabel="mean squared error")
ax.legend()
plt.show()
print("reminded at every step it learns better:", np.mean(losses[-50:]) < np.mean(losses_once[-50:]))

# %% [markdown]
# ## Exercises
#
# `python -m tutorials check 09` writes the tasks into your file and judges it.
#
# ### 9.1 Inputs and targets
#
# Moved on by one.

# %%
exercise("9.1")

# %% [markdown]
# ### 9.2 The loss of the next value
#
# And its slope, at every step.

# %%
exercise("9.2")

# %% [markdown]
# ### 9.3 Close the loop
#
# Append, slide, repeat.

# %%
exercise("9.3")

# %% [markdown]
# ### 9.4 Which wave was drawn?
#
# Read amplitude and period off a curve.

# %%
exercise("9.4")

# %% [markdown]
# ### 9.5 A reminded cell
#
# Over all its steps.

# %%
exercise("9.5")

# %% [markdown]
# ## What you can do now
#
# You can let a network draw, say why it drifts, and hold it to its task by numbers that it hears at every step. Where
# shall those numbers come from? From a network that has looked at a face.
#
# Next: [10 COREFAN: a CNN seeds an LSTM](ch10_corefan.py)
