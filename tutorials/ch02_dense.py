# %% [markdown]
# # 2 Dense layers, a loss, Adam
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapter 1 | 30 min | 3 s | not used | 0 |
#
# By the end you can write a layer of many neurons with its backward pass, measure how wrong a network is,
# and train it with three rules for a step, each of which repairs a fault of the one before.
#
# ## From one neuron to a layer
#
# A neuron weighs its inputs, adds its bias, and gives one number. A face needs more than one: the layer of this
# chapter holds $O$ neurons that all read the same $D$ inputs. Their weights are the rows of a matrix $W$, so one
# input $x$ gives
#
# $$
# y_o = \sum_{d=1}^{D} W_{od}\, x_d + b_o .
# $$
#
# And we show it not one input but a *batch* of $N$, the rows of a matrix $x$. Then
# $y_{no} = \sum_d x_{nd} W_{od} + b_o$, which is one matrix product:
#
# $$
# y = x\,W^\top + b .
# $$
#
# Throughout the library the letters mean the same: $N$ inputs in a batch, $D$ numbers in each, $O$ numbers out. A
# comment at the end of a line gives the shape that the line makes.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nn import SGD, Adam, Dense, MeanSquaredError, ReLU, Sequential, gradcheck
from nn.initializers import he_normal
from tutorials import exercise, show_source

rng = np.random.default_rng(0)
N, D, O = 5, 3, 4
x = rng.normal(size=(N, D))  # (N, D)
W = rng.normal(size=(O, D))  # (O, D)
b = rng.normal(size=O)  # (O,)
y = x @ W.T + b  # (N, O)
print("y", y.shape, " y[2, 1] by the sum:", np.isclose(y[2, 1], sum(x[2, d] * W[1, d] for d in range(D)) + b[1]))

# %% [markdown]
# The picture draws the four matrices to scale. The side that two neighbours share is the one that is summed away.


# %%
def boxes(ax, parts):
    """Draw (name, rows, columns, x position, its sides) as rectangles of that many cells."""
    for name, rows, columns, left, sides in parts:
        ax.add_patch(plt.Rectangle((left, -rows / 2), columns, rows, facecolor="#cfe3f5", edgecolor="#1f4e79"))
        ax.text(left + columns / 2, 0, name, ha="center", va="center", fontsize=13)
        ax.text(left + columns / 2, -rows / 2 - 0.4, sides, ha="center", va="top", fontsize=10)
    ax.set(xlim=(-0.5, 22), ylim=(-4, 3))
    ax.set_aspect("equal")
    ax.axis("off")


fig, ax = plt.subplots(figsize=(7, 2.2), layout="constrained")
boxes(ax, [("x", 5, 3, 0, "(N, D)"), ("Wᵀ", 3, 4, 5, "(D, O)"), ("b", 1, 4, 11, "(O,)"), ("y", 5, 4, 17, "(N, O)")])
for place, sign in ((4, "×"), (10, "+"), (16, "=")):
    ax.text(place, 0, sign, ha="center", va="center", fontsize=16)
plt.show()

# %% [markdown]
# ## Its backward pass
#
# As in chapter 1, something behind the layer tells us the slope of the loss with respect to each output,
# $dy_{no} = \partial L / \partial y_{no}$. We write $dy$, $dx$, $dW$, $db$ for the slopes of the loss; each has the
# shape of what it belongs to.
#
# Take one weight, $W_{od}$. It occurs in $y_{no}$ for every input $n$ of the batch, and there it multiplies $x_{nd}$.
# The chain rule adds up all the ways by which it reaches the loss:
#
# $$
# dW_{od} = \sum_n dy_{no}\,\frac{\partial y_{no}}{\partial W_{od}} = \sum_n dy_{no}\, x_{nd} .
# $$
#
# Take one input, $x_{nd}$. It occurs in $y_{no}$ for every neuron $o$, multiplied by $W_{od}$:
#
# $$
# dx_{nd} = \sum_o dy_{no}\, W_{od} .
# $$
#
# And $b_o$ occurs once in each $y_{no}$, with slope 1, so $db_o = \sum_n dy_{no}$. A sum over the middle index is a
# matrix product again. Read off which index is summed, and put that one in the middle:
#
# $$
# \begin{aligned}
# dx &= dy\;W & (N, O)(O, D) \\
# dW &= dy^\top x & (O, N)(N, D) \\
# db &= \textstyle\sum_n dy_n & (O,)
# \end{aligned}
# $$
#
# The shapes alone nearly force these formulas, which is a good way to remember them. The library's lines:

# %%
show_source(Dense.backward)

# %% [markdown]
# `ops(dy)` picks the NumPy functions for NumPy arrays; they are the three lines above. `add_grad` adds rather than
# sets, because a parameter that is used twice gets a slope from each use. Chapter 1 gave us the judge of a backward
# pass, central differences against the analytic slope, with a random upstream. Here it is on a whole layer:

# %%
layer = Dense(3, 4, rng=rng)
report = gradcheck.check(layer, rng.normal(size=(5, 3)), rng=rng)
print("dense layer, all slopes right:", report.ok())


# %%
class Forgetful(Dense):
    """A dense layer whose bias hears only the first input of the batch."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.bias.grad += dy[0] - dy.sum(0)
        return dx


report = gradcheck.check(Forgetful(3, 4, rng=rng), rng.normal(size=(5, 3)), rng=rng)
worst = max(report.rows, key=lambda row: row.error)
print("forgetful layer, all slopes right:", report.ok(), " the worst is in:", worst.tensor)

# %% [markdown]
# ## A loss: how wrong is the answer?
#
# A network's answer $y$ is compared with the truth $\hat y$. The paper that this library follows (Yüksel and
# Skarbek, 2019) trains CFPD, its finder of face parts, with
# the mean of the squared differences over the 16 numbers that describe four boxes, its equation 3:
#
# $$
# mse = \frac{1}{16} \sum_{i=1}^{16} (y_i - \hat y_i)^2 \tag{3}
# $$
#
# Over a batch, the mean of the batch is taken as well. With $K$ numbers in all, each $y_i$ occurs in one term, so
#
# $$
# \frac{\partial\, mse}{\partial y_i} = \frac{2}{K}\,(y_i - \hat y_i) .
# $$
#
# The error pulls each answer back in proportion to its distance. The library's line for equation 3 and the class
# around it:

# %%
show_source(MeanSquaredError)

# %%
loss = MeanSquaredError()
answer, truth = rng.normal(size=(2, 4, 16))
print("by the library:", round(loss.forward(answer, truth), 6), " by the sum:", round(float(((answer - truth) ** 2).mean()), 6))

# %% [markdown]
# The loss begins the backward pass: it has no upstream, since nothing comes after it. Its `backward()` takes nothing
# and hands out the first $dy$.
#
# ## Why layers need a bend between them
#
# Two dense layers in a row, $(x W_1^\top) W_2^\top = x (W_2 W_1)^\top$, are one dense layer. Depth gains nothing
# until something bends between them. The bend used most is ReLU: $\mathrm{relu}(a) = \max(a, 0)$. Its slope is 1
# where $a > 0$ and 0 elsewhere, so backward passes $dy$ on or stops it:
#
# $$
# da = dy \cdot [a > 0] .
# $$
#
# A layer of ReLU neurons draws a line with as many kinks as it has neurons. We ask a network with one such layer to
# follow the upper edge of a mouth: the height of a curve, given the place along it.

# %%
place = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]  # (N, 1)
height = (np.sqrt(1.05 - place**2) - 0.5 + 0.1 * np.cos(9 * place)).astype(np.float32)  # (N, 1)


def network(seed, units=24):
    """1 number -> units ReLU neurons -> 1 number. The biases are spread, so that the kinks lie along the curve."""
    rng = np.random.default_rng(seed)
    first = Dense(1, units, rng=rng)
    first.bias.value[:] = rng.uniform(-1, 1, units)
    return Sequential(first, ReLU(), Dense(units, 1, rng=rng))


def train(model, optimizer, steps):
    """Full-batch training: forward, loss, backward, step. Returns the loss at each step."""
    loss, losses = MeanSquaredError(), []
    for _ in range(steps):
        losses.append(loss.forward(model.forward(place), height))
        model.zero_grad()
        model.backward(loss.backward())
        optimizer.step()
    return losses


# %% [markdown]
# Those five lines of `train` are every training in this library; what is added in later chapters is data and care.
#
# ## Where weights start
#
# If all weights start at one value, all neurons of a layer compute the same and get the same slope: they stay twins
# for ever. So weights start at random. How large? Suppose the inputs of a neuron have mean square 1 and are
# independent of its weights, which have mean 0 and variance $s^2$. The sum of $D$ products then has variance $D s^2$.
# ReLU drops the negative half, which leaves a mean square of $D s^2 / 2$. It stays 1 from layer to layer if
#
# $$
# s^2 = \frac{2}{D} .
# $$
#
# That is He's rule, `nn.initializers.he_normal`. The picture sends a batch through 30 layers of 100 neurons, with $s$
# by that rule, half of it, and twice.

# %%
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for factor in (0.5, 1, 2):
    rng = np.random.default_rng(0)
    a, sizes = rng.normal(size=(200, 100)), []
    for _ in range(30):
        a = np.maximum(a @ (factor * he_normal((100, 100), rng)).T, 0)
        sizes.append((a**2).mean())
    ax.semilogy(range(1, 31), sizes, label=f"{factor} × He's spread")
    print(f"{factor} x He's spread: mean square after 30 layers about 1e{round(np.log10(sizes[-1]))}")
ax.set(xlabel="layer", ylabel="mean square of its outputs")
ax.legend()
plt.show()

# %% [markdown]
# Only He's spread keeps the numbers in reach. With half of it the signal is gone after 30 layers, and with it the
# slopes.
#
# **What breaks if all weights start at zero?** Every output is 0, so ReLU passes nothing back and
# $dW = dy^\top x = 0$ in the first layer, whose outputs meet only zeros in the second. Only the last bias learns: the
# answer is a flat line at the mean height.

# %%
zero = network(0)
for parameter in zero.parameters().values():
    parameter.value[...] = 0
train(zero, SGD(zero.parameters(), lr=0.1), 500)
print("weights that moved from zero:", [name for name, p in zero.parameters().items() if np.abs(p.value).max() > 1e-6])

# %% [markdown]
# ## Three rules for a step
#
# **Gradient descent** takes a step against the slope: $\theta \leftarrow \theta - \eta\, \nabla$, where $\theta$ is
# any parameter, $\nabla$ its slope $\partial L / \partial \theta$ and $\eta$ the learning rate. Where the loss is a
# long narrow valley, it sways between the walls and creeps along the floor.
#
# **Momentum** adds up slopes in a velocity $v$ that fades by a factor $\mu$ (0.9) a step. What sways cancels, what
# persists adds up:
#
# $$
# v \leftarrow \mu v + \nabla, \qquad \theta \leftarrow \theta - \eta\, v .
# $$
#
# **Adam** (Kingma and Ba, 2014) gives each parameter a step of its own size. It keeps a fading mean $m$ of the slope
# and a fading mean $v$ of its square, and divides one by the root of the other. A slope that keeps its sign gives a
# ratio near 1, so a step of about $\eta$, be the slope tiny or huge:
#
# $$
# \begin{aligned}
# m &\leftarrow \beta_1 m + (1 - \beta_1)\, \nabla \\
# v &\leftarrow \beta_2 v + (1 - \beta_2)\, \nabla^2 \\
# \theta &\leftarrow \theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon}
# \end{aligned}
# $$
#
# The hats repair the start. Both means begin at 0, which is no slope that was ever seen. Unrolled, with slopes
# $\nabla_1 \dots \nabla_t$,
#
# $$
# m_t = (1 - \beta_1) \sum_{k=1}^{t} \beta_1^{\,t-k}\, \nabla_k ,
# $$
#
# and the weights in front of the slopes sum to $(1 - \beta_1)(1 + \beta_1 + \dots + \beta_1^{t-1}) = 1 - \beta_1^t$
# instead of 1. So we divide by that sum:
#
# $$
# \hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat v = \frac{v}{1 - \beta_2^t} .
# $$
#
# At the first step $\hat m = \nabla$ and $\hat v = \nabla^2$, and the step is $\eta$ times the slope's sign.

# %%
results = {}
for name, rule in {
    "gradient descent": lambda p: SGD(p, lr=0.1, momentum=0),
    "momentum": lambda p: SGD(p, lr=0.1),
    "Adam": lambda p: Adam(p, lr=0.01),
}.items():
    model = network(0)
    results[name] = (train(model, rule(model.parameters()), 1500), model.forward(place))

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
right.plot(place, height, "k.", ms=3, label="the curve")
for name, (losses, drawn) in results.items():
    left.loglog(range(1, 1501), losses, label=name)
    right.plot(place, drawn, label=name)
left.set(xlabel="step", ylabel="mean squared error")
left.legend()
right.set(xlabel="place", ylabel="height")
plt.show()
order = sorted(results, key=lambda name: np.median(results[name][0][-200:]))
print("best to worst after 1,500 steps:", ", ".join(order))

# %% [markdown]
# On the left, the same 1,500 steps for each rule; on the right, what each network has learned to draw. Plain descent
# still cuts the corners.
#
# **What breaks if Adam leaves out the correction?** With $\beta_1 = 0.9$ and $\beta_2 = 0.999$ the first step is
# $0.1\,\nabla / \sqrt{0.001\,\nabla^2} \approx 3.2$ times $\eta$ instead of $\eta$, just when the network knows
# least. We watch the length of the first steps for one parameter with a steady slope of 0.5:


# %%
def steps_of_adam(corrected, count=40, slope=0.5, beta1=0.9, beta2=0.999):
    """Step lengths, in units of the learning rate."""
    m = v = 0.0
    lengths = []
    for t in range(1, count + 1):
        m = beta1 * m + (1 - beta1) * slope
        v = beta2 * v + (1 - beta2) * slope**2
        m_hat, v_hat = (m / (1 - beta1**t), v / (1 - beta2**t)) if corrected else (m, v)
        lengths.append(m_hat / np.sqrt(v_hat))
    return np.array(lengths)


fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for corrected in (True, False):
    ax.plot(range(1, 41), steps_of_adam(corrected), ".-", label="corrected" if corrected else "not corrected")
ax.set(xlabel="step", ylabel="length / learning rate", ylim=(0, None))
ax.legend()
plt.show()
print("longest step without correction:", round(steps_of_adam(False).max(), 2), "learning rates")

# %% [markdown]
# **What breaks if the rate is too large?** Near a minimum the loss along one direction is a parabola,
# $\frac{1}{2} c\,\theta^2$ with slope $c\,\theta$. A step multiplies $\theta$ by $1 - \eta c$. Above $\eta = 2 / c$
# that factor is below $-1$: each step lands farther away on the other side.

# %%
for rate in (0.1, 0.3, 1.0):
    model = network(0)
    with np.errstate(all="ignore"):
        last = train(model, SGD(model.parameters(), lr=rate, momentum=0), 200)[-1]
    print(f"rate {rate}: {'the loss is finite' if np.isfinite(last) and last < 1 else 'the loss has run away'} after 200 steps")

# %% [markdown]
# ## Exercises
#
# Each cell prints its task. `python -m tutorials check 02` writes them all into a file of your own, and judges it
# from then on.
#
# ### 2.1 A layer in one line
#
# The forward pass of the whole batch.

# %%
exercise("2.1")

# %% [markdown]
# ### 2.2 Equation 3 and its slope
#
# A number and an array, and the one mistake in ten is the batch.

# %%
exercise("2.2")

# %% [markdown]
# ### 2.3 Backward through a dense layer
#
# Three products. Let the shapes lead you.

# %%
exercise("2.3")

# %% [markdown]
# ### 2.4 One step of Adam
#
# Six lines, and the hats matter.

# %%
exercise("2.4")

# %% [markdown]
# ### 2.5 A whole network, backwards
#
# Dense, ReLU, dense, loss: every slope, by hand.

# %%
exercise("2.5")

# %% [markdown]
# ## What you can do now
#
# You can turn a sum over indices into a matrix product and derive its slopes, begin a backward pass at a loss, start
# weights so that signals neither fade nor swell, and say what each term of Adam is for. What a dense layer cannot do
# is see that a nose is a nose wherever it is: it has a weight of its own for every pixel. The next chapter shares
# them.
#
# Next: [3 Convolution: the sum and its two gradients](ch03_convolution.py)
