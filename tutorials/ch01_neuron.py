# %% [markdown]
# # 1 A neuron and the chain rule
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | Python, NumPy, slopes from school | 25 min | 2 s | not used | 0 |
#
# By the end you can compute the slope of a loss through a chain of functions by hand, let a computer check it by
# plain subtraction, and train a neuron with it. Everything else in these chapters grows from this.
#
# Run the cells one after the other, as a script (`python -m tutorials run 01`) or in a notebook
# (`python -m tutorials notebook 01 ch01.ipynb`).
#
# ## One neuron
#
# A neuron looks at some numbers $x_1, \dots, x_D$ and answers with one. It gives each input a weight $w_d$, adds a
# bias $b$, and bends the sum $a$ into the range from 0 to 1:
#
# $$
# a = \sum_{d=1}^{D} w_d\, x_d + b, \qquad
# y = \sigma(a) = \frac{1}{1 + e^{-a}} .
# $$
#
# The bend $\sigma$ is called the sigmoid. A large positive $a$ gives nearly 1, a large negative one nearly 0. Our
# first neuron shall say whether an eye is open, from two numbers: how high it is, and how dark its middle is.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nn import Dense, Sequential, Sigmoid, gradcheck
from tutorials import exercise


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


x = np.array([0.8, 0.3])  # height and darkness of one eye
w = np.array([1.5, -2.0])  # the neuron's weights, so far anybody's guess
b = 0.1
a = w @ x + b
y = sigmoid(a)
print(f"a = {a:.3f}, y = {y:.4f}")

fig, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
line = np.linspace(-6, 6, 200)
ax.plot(line, sigmoid(line))
ax.plot(a, y, "o")
ax.annotate("our eye", (a, y), (a + 0.6, y - 0.12))
ax.set(xlabel="a", ylabel="y = σ(a)")
plt.show()

# %% [markdown]
# ## A loss
#
# The eye is open, so the neuron should have said 1: the truth is $\hat y = 1$. The *loss* $L$ says how wrong it was,
# in one number that is 0 when it is right. We take the squared difference:
#
# $$
# L = (y - \hat y)^2 .
# $$
#
# Learning means: change $w$ and $b$ a little so that $L$ shrinks. Which way is down? That is a question about slopes.
#
# ## The slope, by subtraction
#
# The slope of $L$ with respect to $w_1$, written $\partial L / \partial w_1$, says by how much $L$ changes when $w_1$
# changes by a little, per unit of that change, while all else stays. So change it by a little and look:


# %%
def loss(w, b, x, truth=1.0):
    return (sigmoid(w @ x + b) - truth) ** 2


step = 1e-5
one_sided = (loss(w + np.array([step, 0]), b, x) - loss(w, b, x)) / step
central = (loss(w + np.array([step, 0]), b, x) - loss(w - np.array([step, 0]), b, x)) / (2 * step)
print(f"slope of w1: {one_sided:.9f} from one side, {central:.9f} from both")

# %% [markdown]
# The slope is negative: a larger $w_1$ makes the loss smaller. Both answers are nearly the same; the second, the
# *central difference*, is much better. Taylor's series says why. With $f(w)$ for the loss and $h$ for the step,
#
# $$
# \begin{aligned}
# f(w + h) &= f + h f' + \tfrac{1}{2} h^2 f'' + \tfrac{1}{6} h^3 f''' + \dots \\
# f(w - h) &= f - h f' + \tfrac{1}{2} h^2 f'' - \tfrac{1}{6} h^3 f''' + \dots
# \end{aligned}
# $$
#
# Subtract, and the terms with $h^2$ cancel:
#
# $$
# \frac{f(w + h) - f(w - h)}{2h} = f' + \tfrac{1}{6} h^2 f''' + \dots
# $$
#
# From one side the error shrinks with $h$, from both sides with $h^2$. Then why not take $h$ tiny? Because a computer
# keeps 16 digits (float64) or 7 (float32), and two nearly equal numbers lose their leading ones when they are
# subtracted. To see both errors we need the exact slope, which is the next section's subject. First the idea that
# gives it.
#
# ## The slope, by the chain rule
#
# The loss is a chain of three links: $w \to a \to y \to L$. Each link alone has an easy slope.
#
# *The square.* $L = (y - \hat y)^2$, so
#
# $$
# \frac{\partial L}{\partial y} = 2\,(y - \hat y) .
# $$
#
# *The sigmoid.* With $\sigma(a) = (1 + e^{-a})^{-1}$,
#
# $$
# \frac{d\sigma}{da} = \frac{e^{-a}}{(1 + e^{-a})^2}
# = \frac{1}{1 + e^{-a}} \cdot \frac{e^{-a}}{1 + e^{-a}} .
# $$
#
# The first factor is $y$. The second is $1 - y$, since $1 - \frac{1}{1 + e^{-a}} = \frac{e^{-a}}{1 + e^{-a}}$. So
#
# $$
# \frac{\partial y}{\partial a} = y\,(1 - y) .
# $$
#
# *The sum.* In $a = \sum_d w_d x_d + b$ the weight $w_d$ is multiplied by $x_d$ and $b$ by 1:
#
# $$
# \frac{\partial a}{\partial w_d} = x_d, \qquad
# \frac{\partial a}{\partial x_d} = w_d, \qquad
# \frac{\partial a}{\partial b} = 1 .
# $$
#
# Now a small change of $w_d$ by $h$ changes $a$ by $x_d h$. That changes $y$ by $y (1 - y)$ times as much, and that
# changes $L$ by $2 (y - \hat y)$ times as much again. Changes pass along a chain by multiplication. This is the
# **chain rule**:
#
# $$
# \frac{\partial L}{\partial w_d} =
# \frac{\partial L}{\partial y} \cdot
# \frac{\partial y}{\partial a} \cdot
# \frac{\partial a}{\partial w_d} .
# $$
#
# We compute it from the loss backwards, and keep each partial product, for it is the slope at that place of the
# chain. From here on, `dy` in the code stands for $\partial L / \partial y$, `da` for $\partial L / \partial a$, and
# so on: always the slope *of the loss*, with respect to the thing named.

# %%
truth = 1.0
dy = 2 * (y - truth)
da = dy * y * (1 - y)
dw = da * x
db = da
print(f"dy = {dy:.6f}, da = {da:.6f}, dw = ({dw[0]:.9f}, {dw[1]:.9f}), db = {db:.6f}")
print("as by subtraction, to 9 digits:", abs(dw[0] - central) < 1e-9)

# %% [markdown]
# That is a *backward pass*: one walk from the loss to the weights, each stage multiplying the slope that arrives from
# behind, the *upstream* slope, by its own local slope. One walk gives the slopes of all weights at once. Subtraction
# needs two runs for each weight; a network with a million weights would need two million. That is why we do it by
# hand, and use subtraction only to check.
#
# ## How good is the check?
#
# Now that we have the exact slope, we can look at the error of subtraction as the step shrinks.


# %%
def error(step, dtype, both):
    """Distance of the numeric slope of w1 from the exact one, relative to it."""
    W, B, X = w.astype(dtype), dtype(b), x.astype(dtype)
    h = np.array([step, 0], dtype)
    ahead, behind = loss(W + h, B, X, dtype(1)), loss(W - h if both else W, B, X, dtype(1))
    return abs(float((ahead - behind) / dtype(2 * step if both else step)) / dw[0] - 1) + 1e-17


steps = 10.0 ** np.arange(-12, 0)
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.loglog(steps, [error(s, np.float64, False) for s in steps], "o-", label="float64, one side")
ax.loglog(steps, [error(s, np.float64, True) for s in steps], "o-", label="float64, both sides")
ax.loglog(steps[4:], [error(s, np.float32, True) for s in steps[4:]], "o-", label="float32, both sides")
ax.set(xlabel="step h", ylabel="relative error")
ax.legend()
plt.show()
best = min(steps, key=lambda s: error(s, np.float64, True))
print("both sides in float64, error below 1e-9 at a step of 1e-5:", error(1e-5, np.float64, True) < 1e-9)
print("float32 never comes below 1e-6:", min(error(s, np.float32, True) for s in steps[4:]) > 1e-6)

# %% [markdown]
# From the right, the curves fall as Taylor said: with slope 1 from one side, with slope 2 from both. Then they turn
# up, where the lost digits win. Checks in this library are done in float64 with a step of $10^{-5}$, at the bottom of
# the valley.
#
# **What breaks if a backward pass is slightly wrong?** Suppose we forget the factor $1 - y$ of the sigmoid. The
# neuron would still learn, only badly, and nobody would notice. Subtraction does:

# %%
wrong = 2 * (y - truth) * y * x
print(f"by subtraction {central:.6f}, with the factor forgotten {wrong[0]:.6f}: {wrong[0] / central:.2f} times too steep")

# %% [markdown]
# ## When paths meet
#
# A value may reach the loss along more than one way. Let two neurons look at one input $x$, with outputs
# $y_1 = \sigma(w_1 x)$ and $y_2 = \sigma(w_2 x)$, and let $L = y_1\, y_2$. A change of $x$ changes the loss through
# $y_1$ and through $y_2$, and for small changes the two effects add:
#
# $$
# \frac{\partial L}{\partial x} =
# \frac{\partial L}{\partial y_1}\frac{\partial y_1}{\partial x} +
# \frac{\partial L}{\partial y_2}\frac{\partial y_2}{\partial x} .
# $$
#
# Multiply along a path, add over the paths: there is no third rule. The picture shows the two paths with the numbers
# on them.

# %%
w1, w2, x0 = 0.7, -1.2, 0.5
y1, y2 = sigmoid(w1 * x0), sigmoid(w2 * x0)
dy1, dy2 = y2, y1  # L = y1 y2: the slope of each is the other
dx = dy1 * y1 * (1 - y1) * w1 + dy2 * y2 * (1 - y2) * w2


def product(x0):
    return sigmoid(w1 * x0) * sigmoid(w2 * x0)


print(f"dx = {dx:.9f}, by subtraction {(product(x0 + 1e-5) - product(x0 - 1e-5)) / 2e-5:.9f}")

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
places = {"x": (0, 0), "y1": (1, 0.6), "y2": (1, -0.6), "L": (2, 0)}
slopes = {("x", "y1"): y1 * (1 - y1) * w1, ("x", "y2"): y2 * (1 - y2) * w2, ("y1", "L"): dy1, ("y2", "L"): dy2}
for (start, end), slope in slopes.items():
    (x1, p1), (x2, p2) = places[start], places[end]
    ax.annotate("", (x2 - 0.1, p2 * 0.9), (x1 + 0.1, p1 * 0.9), arrowprops={"arrowstyle": "->"})
    ax.text((x1 + x2) / 2, (p1 + p2) / 2 + (0.16 if p1 + p2 > 0 else -0.26), f"{slope:.3f}", ha="center")
for name, place in places.items():
    ax.text(*place, name, ha="center", va="center", bbox={"boxstyle": "circle", "facecolor": "#cfe3f5", "edgecolor": "#1f4e79"})
ax.set(xlim=(-0.3, 2.3), ylim=(-1, 1))
ax.axis("off")
plt.show()

# %% [markdown]
# ## Downhill
#
# With slopes we can learn. Step against the slope by a small factor $\eta$, the *learning rate*:
#
# $$
# w \leftarrow w - \eta\,\frac{\partial L}{\partial w}, \qquad
# b \leftarrow b - \eta\,\frac{\partial L}{\partial b} .
# $$
#
# Here are 200 eyes, drawn by chance: open ones are higher and darker in the middle. The loss is the mean over all of
# them, so its slope is the mean of the slopes.

# %%
rng = np.random.default_rng(0)
is_open = rng.random(200) < 0.5  # (N,)
eyes = np.where(is_open[:, None], [0.7, 0.6], [0.3, 0.4]) + 0.12 * rng.normal(size=(200, 2))  # (N, 2)


def learn(rate, count):
    """Gradient descent from zero. Returns weights, bias and the loss before each step."""
    w, b, losses = np.zeros(2), 0.0, []
    for _ in range(count):
        y = sigmoid(eyes @ w + b)  # (N,)
        losses.append(((y - is_open) ** 2).mean())
        da = 2 * (y - is_open) * y * (1 - y) / len(eyes)  # (N,)
        w, b = w - rate * (da @ eyes), b - rate * da.sum()
    return w, b, losses


w, b, losses = learn(rate=10, count=300)
right = ((sigmoid(eyes @ w + b) > 0.5) == is_open).mean()
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, right about {100 * right:.0f} of 100 eyes")

fig, (left_ax, right_ax) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left_ax.semilogx(range(1, 301), losses)
left_ax.set(xlabel="step", ylabel="loss")
for state, label, marker in ((True, "open", "o"), (False, "closed", "x")):
    right_ax.plot(*eyes[is_open == state].T, marker, ms=4, label=label)
edge = np.linspace(0.1, 0.95, 2)
right_ax.plot(edge, -(w[0] * edge + b) / w[1], "k-", label="y = 0.5")
right_ax.set(xlabel="height", ylabel="darkness", ylim=(0, 1))
right_ax.legend()
plt.show()

# %% [markdown]
# The line on the right is where the neuron is undecided. On one side of it, it says open; one neuron can do no more
# than draw one straight line.
#
# **What breaks if the learning rate is too small, or too large?** Too small, and it has hardly begun after 300 steps.
# Too large, and a step leaps over the valley, onto the flat part of the sigmoid, where $y (1 - y)$ is nearly 0: no
# slope is left to come back by.

# %%
for rate in (0.1, 10, 1000):
    print(f"rate {rate:>6}: loss after 300 steps {learn(rate, 300)[2][-1]:.3f} (± 2 %)")

# %% [markdown]
# ## The library's judge
#
# In the library a function with its slope is a *layer*: `forward(x)` computes and keeps what it will need,
# `backward(dy)` takes the upstream slope, returns `dx`, and adds the slopes of its weights to `.grad`. `Dense` is the
# weighted sum (for many neurons; the next chapter's subject), `Sigmoid` the bend, `Sequential` puts layers in a chain
# and walks it backwards.
#
# The judge, `nn.gradcheck.check`, is our subtraction for whole layers. A layer has many outputs, so it first makes
# one number of them, $L = \sum_i u_i y_i$, with random $u_i$: the upstream slope is then $u$. Why random? With all
# $u_i = 1$ a fault that cancels in the sum stays unseen. The table lists for each tensor the worst disagreement.

# %%
rng = np.random.default_rng(0)
model = Sequential(Dense(2, 3, rng=rng), Sigmoid(), Dense(3, 1, rng=rng))
report = gradcheck.check(model, rng.normal(size=(4, 2)), rng=rng)
print("tensors checked:", sorted({row.tensor for row in report.rows}))
print("all slopes right:", report.ok())


class Careless(Sigmoid):
    """The sigmoid with the factor 1 - y forgotten."""

    def backward(self, dy):
        return dy * self.take_saved(dy)


model = Sequential(Dense(2, 3, rng=rng), Careless(), Dense(3, 1, rng=rng))
report = gradcheck.check(model, rng.normal(size=(4, 2)), rng=rng)
print("with the factor forgotten:", report.ok(), "- right are only:", sorted({r.tensor for r in report.rows if r.error < 1e-7}))

# %% [markdown]
# The last layer's slopes are still right, since the fault lies before it: slopes travel backwards, and so do
# mistakes. That tells you where to look.
#
# ## Exercises
#
# Each cell prints a task. `python -m tutorials check 01` writes the tasks into a file of your own; fill it in, and
# the same command judges it. `python -m tutorials hint 1.1` helps, `python -m tutorials solution 1.1` tells. In a
# notebook, `check("1.1", your_function)` (from `tutorials`) judges at once.
#
# ### 1.1 The slope of the sigmoid
#
# One line, from the output alone.

# %%
exercise("1.1")

# %% [markdown]
# ### 1.2 A central difference
#
# The judge's own tool.

# %%
exercise("1.2")

# %% [markdown]
# ### 1.3 A neuron's backward pass
#
# All slopes of one neuron with a squared loss.

# %%
exercise("1.3")

# %% [markdown]
# ### 1.4 Two paths
#
# An input that is used twice.

# %%
exercise("1.4")

# %% [markdown]
# ### 1.5 Train a neuron
#
# The whole loop: forward, loss, backward, step.

# %%
exercise("1.5")

# %% [markdown]
# ## What you can do now
#
# You can take a chain of functions apart, walk it backwards, add where paths meet, and prove the result by
# subtraction. You know which step to take for that and why it must be float64. And you have trained a neuron. Next,
# many neurons at once.
#
# Next: [2 Dense layers, a loss, Adam](ch02_dense.py)
