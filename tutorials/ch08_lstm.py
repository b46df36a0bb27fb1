# %% [markdown]
# # 8 The LSTM, back through time
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 1 to 3 | 35 min | 12 s | not used | 0 |
#
# By the end you can write a network that reads a sequence step by step, derive the backward pass of every gate of an
# LSTM, run it backwards through time, prove it right with a gradient check, and say why an LSTM remembers what a
# plain recurrent network forgets.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nn import LSTM, Adam, Dense, Layer, MeanSquaredError, Parameter, cpu, ops, reference
from nn.gradcheck import check as gradcheck
from nn.initializers import glorot_uniform
from tutorials import exercise, show_source

rng = np.random.default_rng(0)

# %% [markdown]
# ## Why recurrence
#
# A photo comes all at once. A sentence, a melody, the outline of a chin traced point by point: these come one piece
# after another, and what comes next depends on what came before. Such a sequence is an array $x$ of shape (N, T, D):
# N sequences, T steps, D numbers at each step. We write $x_t$ for step $t$, of shape (N, D); $t$ counts from 1 to T.
#
# Here is the smallest task that needs memory. At each step two numbers arrive: a random value, and a mark. The mark
# is 1 at the first step and 0 afterwards. After the last step the network must say what the value beside the mark
# was. All the other values are noise.

# %%


def recall_batch(count, steps, rng):
    """x (N, T, 2): values and marks; the answer (N, 1): the value beside the mark."""
    x = np.zeros((count, steps, 2), np.float32)
    x[:, :, 0] = rng.uniform(-1, 1, (count, steps))
    x[:, 0, 1] = 1
    return x, x[:, 0, :1].copy()


x, answer = recall_batch(3, 40, rng)
print("x", x.shape, " answer", answer.shape, " the first three answers:", answer[:, 0].round(3))

# %% [markdown]
# The picture shows the first of these sequences. The orange value must survive 39 steps of noise.

# %%
fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.stem(np.arange(1, 41), x[0, :, 0], basefmt=" ", linefmt="0.7", markerfmt="o")
ax.plot(1, x[0, 0, 0], "o", color="tab:orange", markersize=10, label="marked: remember this one")
ax.set(xlabel="step t", ylabel="value", ylim=(-1.15, 1.6))
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# A dense layer could read all 40 steps at once, flattened into one row of 80 numbers. It would need a weight of its
# own for each step, it would have to learn the same thing again at each place, and it could not read a sequence of 41
# steps at all. Chapter 3 met the same trouble with pictures and had a cure: use the same weights at every place. A
# convolution does that, but each of its outputs sees only a few neighbours. A memory must reach from the first step
# to the last.
#
# So let the network keep a **hidden state** $h_t$, of U numbers (its units) for each sequence. At each step it makes
# a new state from the old one and from what has just arrived, always with the same weights:
#
# $$
# h_t = \tanh\bigl(W\,[h_{t-1}, x_t] + b\bigr)
# $$
#
# $[h_{t-1}, x_t]$ is the old state and the new input side by side, $U + D$ numbers; $W$ has shape (U, U+D) and $b$
# has shape (U,). The first step starts from $h_0 = 0$. This is the **plain recurrent cell**. One set of weights
# serves any number of steps.
#
# ## The plain cell, forwards and backwards
#
# The hyperbolic tangent squeezes any number into the range from -1 to 1, so the state cannot grow without end:
#
# $$
# \tanh a = \frac{e^{a} - e^{-a}}{e^{a} + e^{-a}}
# $$
#
# We need its slope. Call the numerator $p$ and the denominator $q$. Then $p' = q$ and $q' = p$, and the quotient rule
# gives
#
# $$
# \tanh' a = \frac{p'q - p\,q'}{q^2} = \frac{q^2 - p^2}{q^2} = 1 - \tanh^2 a
# $$
#
# As with ReLU, the slope can be had from the output alone. The backward pass can now be read off. Let $dh_t$ stand
# for $\partial L/\partial h_t$ and $a_t$ for what goes into the tanh. Chapter 2 gave the gradients of a dense layer,
# and this cell is one:
#
# $$
# \begin{aligned}
# da_t &= dh_t \odot (1 - h_t^2) \\
# [\delta h_{t-1}, dx_t] &= da_t\, W \\
# dW &= \textstyle\sum_t da_t^{\top}\,[h_{t-1}, x_t] \\
# db &= \textstyle\sum_t \sum_n da_t
# \end{aligned}
# $$
#
# $\odot$ multiplies two arrays number by number. Two things are new. First, $h_t$ goes to two places: out of the
# layer, and into step $t+1$. The chain rule adds what comes back from both, so $dh_t$ is the gradient from outside
# plus the $\delta h_t$ that step $t+1$ hands back. That is why we must begin at the last step. Second, one $W$ has
# been used T times, so its gradient is a sum over T uses. This is **back-propagation through time**, and there is no
# more to it than that.

# %%


class Plain(Layer):
    """h_t = tanh(W [h_{t-1}, x_t] + b): x (N, T, D) -> h (N, T, U)."""

    def __init__(self, inputs, units, *, rng):
        self.units = units
        self.weight = Parameter(glorot_uniform((units, units + inputs), rng))
        self.bias = Parameter(np.zeros(units, np.float32))

    def forward(self, x):
        h = [np.zeros_like(x, shape=(len(x), self.units))]
        for t in range(x.shape[1]):
            hx = np.concatenate([h[t], x[:, t]], axis=1)  # (N, U+D)
            h.append(np.tanh(hx @ self.weight.value.T + self.bias.value))  # (N, U)
        y = np.stack(h[1:], axis=1)
        self.keep(y, x, h)
        return y


# %%


def plain_backward(self, dy):
    """dy (N, T, U) -> dx (N, T, D); adds dW and db into the parameters."""
    x, h = self.take_saved(dy)
    dx, from_next = np.zeros_like(x), 0
    for t in reversed(range(x.shape[1])):
        dh = dy[:, t] + from_next  # h_t went out, and into the next step
        da = dh * (1 - h[t + 1] ** 2)  # h[0] is the state before the first step
        self.weight.add_grad(da.T @ np.concatenate([h[t], x[:, t]], axis=1))
        self.bias.add_grad(da.sum(0))
        dhx = da @ self.weight.value  # (N, U+D)
        from_next, dx[:, t] = dhx[:, : self.units], dhx[:, self.units :]
    return dx


Plain.backward = plain_backward
report = gradcheck(Plain(2, 4, rng=rng), rng.normal(size=(3, 5, 2)), rng=rng)
print("plain cell, gradient check passes:", report.ok())

# %% [markdown]
# ## The gradient that fades
#
# The derivation is right, and yet the plain cell will fail. Follow the gradient on its way from the last step to the
# first. Each step back multiplies it by the slopes $1 - h_t^2$, none of them above 1, and by $W_h$, the U columns of
# $W$ that meet the state. After 39 steps it has met $W_h$ 39 times. Let us watch. We take a rotation $Q$ for $W_h$, a
# matrix that keeps all lengths, and scale it by 0.5, by 1 and by 2. Then we send a gradient of length 1 into the last
# step.

# %%


def lengths_on_the_way_back(scale, U=32, T=40, N=8):
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(U, U)))
    cell = Plain(1, U, rng=rng).astype(np.float64)
    cell.weight.value[:, :U] = scale * q
    h = cell.forward(rng.uniform(-1, 1, (N, T, 1)))
    d = np.ones((N, U)) / np.sqrt(N * U)  # length 1
    lengths = [np.linalg.norm(d)]
    for t in reversed(range(1, T)):
        d = (d * (1 - h[:, t] ** 2)) @ cell.weight.value[:, :U]
        lengths.append(np.linalg.norm(d))
    return np.array(lengths[::-1])  # steps 1 to T


fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for scale in (0.5, 1, 2):
    lengths = lengths_on_the_way_back(scale)
    ax.semilogy(np.arange(1, 41), lengths, label=f"$W_h$ = {scale} × rotation")
    print(f"scale {scale}: of a gradient of 1 at step 40, step 1 gets {lengths[0]:.3g}")
ax.set(xlabel="step t", ylabel="length of the gradient")
ax.legend()
plt.show()

# %% [markdown]
# Read the picture from right to left. With 0.5 the gradient loses more than half of its length at each step; what
# arrives at step 1 is nothing. This is the **vanishing gradient**. With 2 it grows instead, and a step of the
# optimiser would throw the weights away. Even the rotation itself, which keeps lengths, loses most of the gradient to
# the slopes of the tanh. A product of many factors has to fade or to grow unless each factor is 1. The growth has an
# easy cure: where the gradient's length exceeds 1, scale it down to 1, and its direction stays (the optimiser's
# `clip` does it). The fading has no such cure: what is lost is lost. The cell itself must change.
#
# ## A cell that keeps
#
# What would keep a gradient alive? A state that is passed on by adding, not by multiplying. If
# $C_t = C_{t-1} + \dots$, then $\partial C_t / \partial C_{t-1} = 1$, and a product of ones stays 1 however many
# there are. The long short-term memory, LSTM, of Hochreiter and Schmidhuber (1997) gives each unit such a **cell
# state** $C_t$ beside its hidden state $h_t$.
#
# Adding something at each step and keeping all of it would fill the cell with noise. Three **gates** decide, each a
# number between 0 (shut) and 1 (open) for every unit, at every step, made from $[h_{t-1}, x_t]$:
#
# - the **input gate** $i$: how much of the new goes in;
# - the **forget gate** $f$: how much of the old stays (1 keeps it; Gers, 2000, added it);
# - the **output gate** $o$: how much of the cell is shown outside.
#
# The new itself is the **candidate** $g$, a tanh as in the plain cell. A gate is a sigmoid:
#
# $$
# \sigma(a) = \frac{1}{1 + e^{-a}}, \qquad \sigma'(a) = \sigma(a)\,(1 - \sigma(a))
# $$
#
# The slope follows in two lines. The derivative of $(1 + e^{-a})^{-1}$ is $e^{-a}(1 + e^{-a})^{-2}$. That is $\sigma$
# times $e^{-a}/(1 + e^{-a})$, and this second factor is $1 - \sigma$. The picture shows both functions, and their
# slopes dashed.

# %%
a = np.linspace(-6, 6, 200)
sigma = 1 / (1 + np.exp(-a))
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for name, y, slope, colour in (("σ", sigma, sigma * (1 - sigma), "tab:blue"), ("tanh", np.tanh(a), 1 - np.tanh(a) ** 2, "tab:orange")):
    ax.plot(a, y, color=colour, label=name)
    ax.plot(a, slope, "--", color=colour, label=f"slope of {name}")
ax.set(xlabel="a", ylabel="value")
ax.grid(alpha=0.3)
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Now the whole cell. All four take the same input $[h_{t-1}, x_t]$, so their weights are stacked in one $W$ of shape
# (4U, U+D), always in the order **i, f, g, o**, and their biases in one $b$ of shape (4U,):
#
# $$
# \begin{aligned}
# [a_i, a_f, a_g, a_o] &= W\,[h_{t-1}, x_t] + b \\
# i, f, o &= \sigma(a_i), \sigma(a_f), \sigma(a_o) \\
# g &= \tanh(a_g) \\
# C_t &= f \odot C_{t-1} + i \odot g \\
# e_t &= \tanh(C_t) \\
# h_t &= o \odot e_t
# \end{aligned}
# $$
#
# Papers, the one we follow among them, write $\tilde C_t$ for the candidate $g$. The next picture shows the stack,
# with U = 4 and D = 2.

# %%
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for k, (gate, colour) in enumerate(zip("ifgo", ("tab:green", "tab:red", "tab:orange", "tab:blue"), strict=True)):
    ax.add_patch(plt.Rectangle((0, 12 - 4 * k), 4, 4, color=colour, alpha=0.45))
    ax.add_patch(plt.Rectangle((4, 12 - 4 * k), 2, 4, color=colour, alpha=0.25))
    ax.add_patch(plt.Rectangle((8.5, 12 - 4 * k), 0.8, 4, color=colour, alpha=0.45))
    ax.text(-0.3, 14 - 4 * k, f"${gate}$: U rows", ha="right", va="center")
for x0, text in ((2, "meet $h_{t-1}$\nU columns"), (5, "meet $x_t$\nD columns"), (8.9, "$b$")):
    ax.text(x0, 16.3, text, ha="center", va="bottom")
ax.text(3, -0.4, "$W$ (4U, U+D)", ha="center", va="top")
ax.set(xlim=(-4, 11), ylim=(-2.5, 20))
ax.axis("off")
plt.show()

# %% [markdown]
# Here is the same in the library's reference, which keeps to the equations line by line and computes in float64. Its
# $u$ is a term that some variants add inside the last tanh; it is `None` here, and chapter 9 has a use for it.

# %%
show_source(reference.lstm)

# %% [markdown]
# The fast version does the same arithmetic with three savings. It multiplies all T inputs with their part of $W$ at
# once, before the loop, since they do not depend on the state. It computes all four gates in one array. And it makes
# the sigmoid from a tanh, so that one call serves all four gates and nothing overflows. Divide numerator and
# denominator of $\sigma$ so that they are symmetric:
#
# $$
# \sigma(a) = \frac{e^{a/2}}{e^{a/2} + e^{-a/2}} = \frac{1 + \tanh(a/2)}{2}
# $$
#
# (To see the second step, add $1$ to $\tanh(a/2)$ over their common denominator: $2e^{a/2}$ stands above.)

# %%
show_source(cpu.lstm)

# %%
N, T, D, U = 3, 5, 2, 4
x, h0, C0 = rng.normal(size=(N, T, D)), np.zeros((N, U)), np.zeros((N, U))
w, b = rng.normal(size=(4 * U, U + D)), rng.normal(size=4 * U)
h_slow, C_slow, _ = reference.lstm(x, h0, C0, w, b)
h_fast, C_fast, _ = cpu.lstm(x, h0, C0, w, b)
print("h", h_fast.shape, " C", C_fast.shape, " W", w.shape, " b", b.shape)
print("fast agrees with the reference:", np.allclose(h_fast, h_slow, atol=1e-12) and np.allclose(C_fast, C_slow, atol=1e-12))

# %% [markdown]
# ## One step backwards: every gate
#
# Now the derivation. Stand at step $t$. Two gradients come in: $dh$, all that reaches $h_t$, and $\delta C$, what
# step $t+1$ hands back to $C_t$. We walk the forward lines from the last to the first.
#
# **The output**, $h_t = o \odot e_t$. A product hands each factor the other:
#
# $$
# do = dh \odot e_t, \qquad de = dh \odot o
# $$
#
# **The tanh**, $e_t = \tanh(C_t)$. Its slope is $1 - e_t^2$. The cell also went on to step $t+1$, so the two paths
# add:
#
# $$
# dC = \delta C + dh \odot o \odot (1 - e_t^2)
# $$
#
# **The cell**, $C_t = f \odot C_{t-1} + i \odot g$. Two products, and again each factor gets the other:
#
# $$
# \begin{aligned}
# df &= dC \odot C_{t-1} \\
# di &= dC \odot g \\
# dg &= dC \odot i \\
# \delta C_{t-1} &= dC \odot f
# \end{aligned}
# $$
#
# **The four squashing functions.** Each gradient goes through the slope of its own, written with the output:
#
# $$
# \begin{aligned}
# da_i &= di \odot i \odot (1 - i) \\
# da_f &= df \odot f \odot (1 - f) \\
# da_g &= dg \odot (1 - g^2) \\
# da_o &= do \odot o \odot (1 - o)
# \end{aligned}
# $$
#
# **The dense layer**, $a = W[h_{t-1}, x_t] + b$, with $da = [da_i, da_f, da_g, da_o]$ of shape (N, 4U):
#
# $$
# \begin{aligned}
# [\delta h_{t-1}, dx_t] &= da\, W \\
# dW &= da^{\top}\,[h_{t-1}, x_t] \\
# db &= \textstyle\sum_n da
# \end{aligned}
# $$
#
# That is all of it. Look once more at $\delta C_{t-1} = dC \odot f$. It is the line for which the LSTM was invented:
# between two steps the cell's gradient meets no matrix and no slope of a tanh, only the forget gate. Where $f$ is
# near 1, the gradient passes whole.
#
# ## Time, unrolled backwards
#
# Now chain the steps. Drawn side by side, T copies of the cell share one $W$. Forwards (black) everything runs to the
# right; backwards (red) everything runs to the left. Two roads lead back: the upper one along $C$, with its single
# factor $f$, and the lower one along $h$, through $W$.

# %%


def arrow(ax, start, end, colour, shift=0.0):
    ends = dict(xy=np.add(end, (0, shift)), xytext=np.add(start, (0, shift)))
    ax.annotate("", arrowprops=dict(arrowstyle="->", color=colour, lw=1.6), **ends)


fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for k, t in enumerate(("t-1", "t", "t+1")):
    ax.add_patch(plt.Rectangle((4 * k, 0), 2.2, 2.4, facecolor="0.92", edgecolor="0.4"))
    ax.text(4 * k + 1.1, 1.2, f"cell\n$W$, $b$\nstep ${t}$", ha="center", va="center")
    arrow(ax, (4 * k + 0.9, -1), (4 * k + 0.9, 0), "black")
    arrow(ax, (4 * k + 1.3, 0), (4 * k + 1.3, -1), "tab:red")
    ax.text(4 * k + 1.1, -1.1, f"$x_{{{t}}}$", ha="center", va="top")
    arrow(ax, (4 * k + 0.9, 2.4), (4 * k + 0.9, 3.4), "black")
    arrow(ax, (4 * k + 1.3, 3.4), (4 * k + 1.3, 2.4), "tab:red")
    ax.text(4 * k + 1.1, 3.5, f"$h_{{{t}}}$", ha="center", va="bottom")
for k in range(2):
    for y, name, back in ((2.0, "C", r"dC\odot f"), (0.6, "h", "da\\,W_h")):
        arrow(ax, (4 * k + 2.2, y), (4 * k + 4, y), "black")
        arrow(ax, (4 * k + 4, y - 0.22), (4 * k + 2.2, y - 0.22), "tab:red")
        ax.text(4 * k + 3.1, y + 0.05, f"${name}$", ha="center", va="bottom")
        ax.text(4 * k + 3.1, y - 0.28, f"${back}$", ha="center", va="top", color="tab:red")
ax.set(xlim=(-0.3, 10.5), ylim=(-1.9, 4.3))
ax.axis("off")
plt.show()

# %% [markdown]
# Every rule for time follows from this drawing:
#
# 1. Begin at step T, where no next step hands anything back: $\delta h_T = 0$. The last cell's $\delta C_T$ is 0 too, unless somebody
#    outside uses that cell.
# 2. At each step $dh$ is the gradient from outside plus $\delta h_t$; then one step backwards, as above.
# 3. $W$ and $b$ were used at each step, so the $dW$ and the $db$ of all steps are added up.
#
# The library's pass is those lines in a loop. It collects $da$ of all steps and forms $dW$ and $dx$ afterwards, each
# in one large product. `du` is the gradient of the term $u$ in the last tanh: it equals the second part of $dC$.

# %%
show_source(cpu.lstm_backward)

# %% [markdown]
# ## Is it right?
#
# The gradient check of the earlier chapters decides: central differences in float64 on every element of every tensor,
# for a random upstream gradient, and along random directions. The layer `nn.LSTM` holds $W$ and $b$ and calls the two
# functions you have read.

# %%
lstm = LSTM(D, U, rng=rng)
inputs = rng.normal(size=(N, T, D)), rng.normal(size=(N, U)), rng.normal(size=(N, U))  # x, h_0, C_0
report = gradcheck(lstm, *inputs, rng=rng)
print(f"tensors checked: {sorted({row.tensor for row in report.rows})}")
print("gradient check passes:", report.ok())

# %% [markdown]
# ## What breaks if the forget gate's path is left out
#
# To see what each road is worth we take the backward pass apart: one step of it at a time, from the last to the
# first. `keep` scales what is handed back along the cell. With 1 it is the derivation above. With 0 the line
# $\delta C_{t-1} = dC \odot f$ is missing, which is easily forgotten: the shapes are right and nothing crashes.

# %%


class Stepwise(LSTM):
    keep_path = 1.0  # 0: the gradient along the cell is left out

    def backward(self, dh, dc=None):
        x, h, c, e, gates = self.take_saved(dh)
        back_h = np.zeros_like(h[0])
        back_c = back_h if dc is None else dc
        dx, self.lengths = np.zeros_like(x), []
        for t in reversed(range(x.shape[1])):
            dh_t = dh[:, t : t + 1] + back_h[:, None]  # (N, 1, U)
            saved = x[:, t : t + 1], h[t : t + 2], c[t : t + 2], e[t : t + 1], gates[t : t + 1]
            one = ops(dh).lstm_backward(dh_t, back_c, saved, self.weight.value)
            dx[:, t : t + 1], back_h, back_c, dw, db, _ = one
            back_c = self.keep_path * back_c
            self.weight.add_grad(dw)
            self.bias.add_grad(db)
            self.lengths.append(np.sqrt((back_h**2).sum() + (back_c**2).sum()))
        return dx, back_h, back_c


for Stepwise.keep_path, name in ((1.0, "whole"), (0.0, "without the forget gate's path")):
    report = gradcheck(Stepwise(D, U, rng=np.random.default_rng(0)), inputs[0], rng=rng)
    print(f"{name}: right to 1e-7: {report.ok()}, wrong by more than 10 %: {report.worst > 0.1}")

# %% [markdown]
# The check catches it. Without the check you would see only that training stalls, as we shall see now.
#
# ## A task with memory
#
# Back to the marked value. The model is a recurrent cell of 16 units and one dense layer that reads the last hidden
# state. Each batch is drawn anew, so there is nothing to learn by heart.

# %%


class Recall(Layer):
    """(N, T, 2) -> (N, 1): a recurrent cell, and a dense layer on its last state."""

    def __init__(self, cell, *, rng):
        self.cell, self.readout = cell, Dense(cell.units, 1, rng=rng)

    def forward(self, x):
        h = self.cell.forward(x)
        h = h[0] if isinstance(h, tuple) else h  # an LSTM returns its last cell too
        self.shape = h.shape
        return self.readout.forward(h[:, -1])

    def backward(self, dy):
        dh = np.zeros(self.shape, dy.dtype)
        dh[:, -1] = self.readout.backward(dy)  # only the last state was read
        return self.cell.backward(dh)


# %%


def train(cell, steps=400, length=40):
    rng = np.random.default_rng(1)
    model, loss, errors = Recall(cell, rng=rng), MeanSquaredError(), []
    optimizer = Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        x, answer = recall_batch(64, length, rng)
        errors.append(loss.forward(model.forward(x), answer))
        model.zero_grad()
        model.backward(loss.backward())
        optimizer.clip(optimizer.gradient_norm(), 1)  # a gradient longer than 1 becomes 1 long
        optimizer.step()
    return model, np.array(errors)


# %% [markdown]
# Whoever answers 0 every time has the mean square of a uniform value from -1 to 1 as error,
# $\int_{-1}^{1} v^2\,dv/2 = 1/3$. That is the level of having learned nothing. Five cells run against each other: the
# plain cell; the LSTM without the forget gate's path; and the LSTM, whole, with the forget gate's bias starting at 0,
# at 1 and at 3.

# %%


def forgetting(bias, keep_path=1.0):
    """An LSTM whose forget gates start at σ(bias): rows U to 2U of b are theirs."""
    cell = Stepwise(2, 16, rng=np.random.default_rng(0))
    cell.bias.value[16:32] = bias
    cell.keep_path = keep_path
    return cell


cells = {
    "plain cell": Plain(2, 16, rng=np.random.default_rng(0)),
    "no forget path": forgetting(1, keep_path=0.0),
    "forget bias 0": forgetting(0),
    "forget bias 1": forgetting(1),
    "forget bias 3": forgetting(3),
}
trained = {name: train(cell) for name, cell in cells.items()}
for name, (_, errors) in trained.items():
    print(f"{name:15} learned: {errors[-40:].mean() < 0.03!s:5} error {errors[-40:].mean():.4f} (varies)")

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for name, (_, errors) in trained.items():
    left.semilogy(np.convolve(errors, np.ones(10) / 10, "valid"), label=name)
left.axhline(1 / 3, color="k", ls="--", lw=1)
left.set(xlabel="step of training", ylabel="error", ylim=(1e-4, 1))
left.legend(fontsize=7)
for name in list(cells)[1:]:
    fresh = Recall(forgetting(3 if name.endswith("3") else name.endswith("1") or name == "no forget path"), rng=np.random.default_rng(1))
    fresh.cell.keep_path = cells[name].keep_path
    fresh.forward(recall_batch(64, 40, np.random.default_rng(2))[0])
    fresh.backward(np.ones((64, 1), np.float32))
    right.semilogy(np.arange(1, 41), fresh.cell.lengths[::-1], color=f"C{list(cells).index(name)}")
right.set(xlabel="step t", ylabel="gradient handed back")
plt.show()

# %% [markdown]
# On the left the training; the dashed line is the error of whoever learned nothing. On the right, for fresh LSTMs,
# the length of what each step hands back, from step 40 on the right end to step 1 on the left.
#
# **What breaks if the forget gate's bias starts at 0?** Then $f$ starts near $\sigma(0) = 0.5$, and each step back
# halves what runs along the cell: next to nothing arrives, and the network learns nothing. With a bias of 1, $f$ is
# near $\sigma(1) = 0.73$; something arrives, and the training begins and does not get hold. With 3,
# $\sigma(3) = 0.95$: the gradient arrives whole, and the task is learned at once. The library starts at 1, which
# suits the tasks of the next chapters; forty steps of noise want more.
#
# And without the forget gate's path the LSTM is no better than the plain cell, though three quarters of its gradients
# are right.
#
# ## Exercises
#
# `python -m tutorials check 08` writes the tasks into your file and judges it.
#
# ### 8.1 How much is left?
#
# A product of equal factors.

# %%
exercise("8.1")

# %% [markdown]
# ### 8.2 The plain cell, one step back
#
# The slope of the tanh, and two products.

# %%
exercise("8.2")

# %% [markdown]
# ### 8.3 One step of the LSTM
#
# Mind the order of the gates.

# %%
exercise("8.3")

# %% [markdown]
# ### 8.4 The gates, backwards
#
# From $dh$ and $\delta C$ to $da$.

# %%
exercise("8.4")

# %% [markdown]
# ### 8.5 Back through time
#
# The whole plain cell, over all steps.

# %%
exercise("8.5")

# %% [markdown]
# ## What you can do now
#
# You can follow a gradient back through as many steps as a sequence has, derive each gate's share of it, and say
# where it is lost and what keeps it. With that, a network can do more than remember: it can go on by itself.
#
# Next: [9 A sine wave from a seed](ch09_sine.py)
