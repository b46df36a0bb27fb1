# %% [markdown]
# # 7 CFPD: the parts of a face
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 2 to 6 | 30 min | 25 s | not measured | 0 |
#
# By the end you can build the paper's first system from the layers of chapters 2 to 5, train it on drawn faces until
# it finds eyes, nose and mouth on faces that it never saw, and compare it with what was done before.
#
# ## What it shall do
#
# CFPD is the paper's convolutional finder of face parts. In: a gray face in the frame of chapter 6. Out: sixteen
# numbers, four boxes as $(x_0, y_0, x_1, y_1)$ in pixels, for the left eye with its brow, the right eye with its
# brow, the nose, the mouth.
#
# ## What was tried before it: gradients by hand
#
# The authors first tried a classic, *histograms of oriented gradients* (HOG; Dalal and Triggs, 2005). Cut the picture
# into cells of 8 × 8 pixels. In each cell count in which directions the brightness changes, with each pixel's vote as
# heavy as its change is steep. Compare the counts in a window with those of known eyes, by a weighted sum, and slide
# the window over the face. The weights are learned, the features are fixed.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from models.cfpd import cfpd
from models.faces.augment import Augmentation, view
from models.faces.boxes import PART_BOXES, iou, part_boxes
from models.faces.crops import Faces
from models.faces.draw import draw_boxes
from models.faces.hog import hog
from models.faces.metrics import box_mse
from models.faces.synthetic import drawn_faces
from models.tasks import predict
from nn import Adam, MeanSquaredError, StepDecay, gradcheck
from tutorials import exercise, show_source

known = drawn_faces(240, seed=0)  # to learn from
unseen = drawn_faces(60, seed=99)  # to judge by
gray = known.images[5]
features = hog(gray[None].astype(np.float32), cell=8)[0]  # (rows, columns, 36): blocks of 2 × 2 cells with 9 directions
print("HOG of a crop of 256 x 256:", features.shape)

fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
left.imshow(gray, cmap="gray")
right.set(xlim=(0, 256), ylim=(256, 0))
right.set_aspect("equal")
for (i, j), cell in zip(np.ndindex(features.shape[:2]), features[:, :, :9].reshape(-1, 9), strict=True):
    for k, strength in enumerate(cell):
        angle = np.pi * (k + 0.5) / 9 + np.pi / 2  # along the edge, across the gradient
        dx, dy = 8 * strength * np.cos(angle), 8 * strength * np.sin(angle)
        right.plot([8 * j + 8 - dx, 8 * j + 8 + dx], [8 * i + 8 - dy, 8 * i + 8 + dy], "k-", lw=0.6)
for ax in (left, right):
    ax.axis("off")
plt.show()

# %% [markdown]
# The edges of the face are there, and at this distance an eye looks much like a mouth: a dark bar with curved rims.
# That is what happened in the paper too: many false calls, and parts taken for one another. We built the same; on
# real validation faces it takes mouths for eyes ([docs/results.md](../docs/results.md), "A sliding window with HOG").
# Two things are missing: features that are learned, and a look at the whole face at once.
#
# ## The network: Table 1
#
# Six convolutions, in pairs, with a pooling after each pair, and two dense layers. As the map halves, the channels
# double. Code and table read alike:

# %%
show_source(cfpd)

# %% [markdown]
# `width` is 64 in the paper; a smaller one makes every layer narrower alike, for those who have no GPU.
# `fully_connected` is dropout, dense, ReLU, batch norm, in the authors' order. We walk a picture through the paper's
# network and count its weights.

# %%
model = cfpd(64, rng=np.random.default_rng(0))
x, total = np.zeros((1, 112, 112, 1), np.float32), 0
model.evaluate()
print(f"{'layer':8} {'output':>18} {'weights':>10}")
for name, layer in model.children():
    x = layer.forward(x)
    count = sum(parameter.value.size for parameter in layer.parameters().values())
    total += count
    print(f"{name:8} {x.shape[1:]!s:>18} {count:>10,}")
print(f"{'in all':8} {'':>18} {total:>10,}")

# %% [markdown]
# More than four fifths of the weights sit in `fc1`, the dense layer that looks at the whole face: 14 · 14 · 256
# inputs for each of 128 neurons. The convolutions have few weights and do most of the work, for each filter is used
# at every place. The picture shows the walk: width as height of the boxes, channels as their number.

# %%
fig, ax = plt.subplots(figsize=(7.5, 2.4), layout="constrained")
left = 0.0
for side, channels in ((112, 1), (112, 64), (112, 64), (56, 128), (56, 128), (28, 256), (28, 256)):
    wide = 3 + channels / 10
    ax.add_patch(plt.Rectangle((left, -side / 2), wide, side, facecolor="#cfe3f5", edgecolor="#1f4e79"))
    ax.text(left + wide / 2, -side / 2 - 4, f"{side}²\n× {channels}", ha="center", va="top", fontsize=7)
    left += wide + 9
for numbers in (128, 16):
    ax.add_patch(plt.Rectangle((left, -numbers / 4), 4, numbers / 2, facecolor="#f8cbad", edgecolor="#843c0c"))
    ax.text(left + 2, -numbers / 4 - 4, str(numbers), ha="center", va="top", fontsize=7)
    left += 16
ax.set(xlim=(-4, left), ylim=(-85, 60))
ax.axis("off")
plt.show()

# %% [markdown]
# Before we train anything: is the whole backward pass right? The judge of chapter 1 takes a whole network as it takes
# a layer. A tiny one, in float64:

# %%
rng = np.random.default_rng(0)
tiny = cfpd(2, size=8, dropout=0.0, rng=rng)
report = gradcheck.check(tiny, rng.normal(size=(4, 8, 8, 1)), rng=rng, step=1e-6)
print("tensors checked:", len({row.tensor for row in report.rows}), " all slopes right:", report.ok(1e-5))

# %% [markdown]
# (The tolerance is wider than for one layer: with many ReLUs and poolings, a step of a weight now and then crosses a
# kink, and batch norm over four pictures bends strongly.)
#
# ## Faces to learn from
#
# 240 drawn faces, in frames of 40 pixels to save time. In every pass over them, an *epoch*, the augmented set turns,
# shifts, scales and mirrors each face anew, as chapter 6 did; the original set never does. We scatter by half of what
# the authors did, since our training is short. The boxes are made of the moved landmarks.
#
# To judge, 60 unseen faces, scattered alike: a detector never places a face as exactly as its true landmarks do.

# %%
SIZE = 40
SPREAD = Augmentation(angle=7.5, scale=0.05, shift=5.6, copies=1000)  # shift in pixels of 112


def batch(faces: Faces, index, kind, rng=None):
    """Images (n, 40, 40, 1) and boxes (n, 16) of some faces."""
    images, points = view(faces, index, kind, rng, SPREAD, size=SIZE)
    return images, part_boxes(points).reshape(len(points), 16)


test_images, test_boxes = batch(unseen, np.arange(60), "augmented", np.random.default_rng(5))
mean_box = batch(known, np.arange(240), "original")[1].mean(0)
bar = box_mse(np.tile(mean_box, (60, 1)), test_boxes)
print(f"always the mean boxes: {bar:.1f} px²")

# %% [markdown]
# That number is the bar to beat: the mean squared error of somebody who never looks. The measure is equation 3, over
# the 16 numbers and the faces, in square pixels, as in the paper's Table 2.
#
# ## Training
#
# The loop is that of chapter 2. Adam starts at 0.01 and the rate is multiplied by 0.4 every few epochs (the paper:
# every 10). The last layer's bias starts at the mean boxes, so that the network has to learn only what differs.


# %%
def train(model, epochs, kind, seed=0):
    """Train CFPD; the error on unseen faces after each epoch."""
    rng, loss = np.random.default_rng(seed), MeanSquaredError()
    optimizer, schedule = Adam(model.parameters(), lr=0.01), StepDecay(0.01, every=6, factor=0.4)
    errors = []
    for epoch in range(epochs):
        optimizer.lr = schedule(epoch)
        model.train()
        for index in np.array_split(rng.permutation(240), 12):
            images, boxes = batch(known, index, kind, rng)
            loss.forward(model.forward(images), boxes)
            model.zero_grad()
            model.backward(loss.backward())
            optimizer.step()
        errors.append(box_mse(predict(model, test_images), test_boxes))
    return errors


def fresh(dropout=0.1):
    """A narrow CFPD that begins at the mean boxes."""
    model = cfpd(8, size=SIZE, dropout=dropout, rng=np.random.default_rng(0))
    model.fc2.bias.value[:] = mean_box
    return model


curves, models = {}, {}
for kind in ("original", "augmented"):
    models[kind] = fresh()
    curves[kind] = train(models[kind], 20, kind)
    print(f"{kind}: {curves[kind][-1]:.1f} px² after 20 epochs (± 40 %)")

fig, ax = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
for kind, errors in curves.items():
    ax.semilogy(range(1, 21), errors, "o-", label=kind)
ax.axhline(bar, color="k", ls="--", label="mean boxes")
ax.set(xlabel="epoch", ylabel="error on unseen faces, px²")
ax.legend()
plt.show()
print("better than the mean boxes:", {kind: errors[-1] < bar for kind, errors in curves.items()})
print("augmented before original:", curves["augmented"][-1] < curves["original"][-1])

# %% [markdown]
# Faces that were moved teach the network to look where the face *is*. The paper saw the same. Its Table 2, in px² in
# its frame of 112 pixels, for its three test sets, and our small network on 192 real faces that it never saw
# ([docs/results.md](../docs/results.md)):
#
# | trained on | common | challenging | private | ours, validation |
# | --- | --- | --- | --- | --- |
# | original | 1.371 | 4.977 | 2.986 | 1.39 |
# | normalised | 3.005 | 8.715 | 4.832 | 2.43 |
# | augmented | 1.112 | 3.328 | 2.604 | 1.10 |
#
# Faces that are all upright teach least, since the test faces are not. (Other faces, another split: the two sides of
# the table show one order, not one quantity.)
#
# Here is what our few seconds of training have learned, as in the paper's Fig. 4. Dashed is the truth.

# %%
answers = predict(models["augmented"], test_images).reshape(-1, 4, 4)
fig, axes = plt.subplots(2, 4, figsize=(8, 4.2), layout="constrained")
for k, ax in enumerate(axes.flat):
    ax.imshow(test_images[k, :, :, 0], cmap="gray")
    draw_boxes(ax, answers[k], test_boxes[k].reshape(4, 4))
    ax.axis("off")
plt.show()
overlap = iou(answers, test_boxes.reshape(-1, 4, 4)).mean(0)
for name, value in zip(PART_BOXES, overlap, strict=True):
    print(f"{name}: box and truth share {100 * value:.0f} % of what they cover together (± 25 %)")

# %% [markdown]
# "Shared over covered together" is called *intersection over union*; 1 is a perfect box.
#
# **What breaks if the network is asked in training mode?** Dropout silences a tenth of the numbers, and batch norm
# takes the statistics of whoever happens to be in the batch. `predict` switches to evaluation; without that:

# %%
model = models["augmented"]
model.train()
careless = box_mse(model.forward(test_images[:8]), test_boxes[:8])
careful = box_mse(predict(model, test_images[:8]), test_boxes[:8])
print("worse in training mode:", careless > careful)

# %% [markdown]
# **What breaks if the face is not where the frame expects it?** We shift centred faces, pixel by pixel, and watch:

# %%
centred, centred_boxes = batch(unseen, np.arange(60), "original")
shifts, errors = range(0, 9), {}
for kind, trained in models.items():
    errors[kind] = []
    for shift in shifts:
        moved, boxes = np.roll(centred, shift, axis=2), centred_boxes + np.tile([shift, 0, shift, 0], 4)
        errors[kind].append(box_mse(predict(trained, moved), boxes))
fig, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
for kind, values in errors.items():
    ax.semilogy(shifts, values, "o-", label=f"trained on {kind}")
ax.set(xlabel="face shifted by, px of 40", ylabel="error, px²")
ax.legend()
plt.show()
print("three pixels off, augmented training is better:", errors["augmented"][3] < errors["original"][3])

# %% [markdown]
# The network that saw centred faces only has learned, above all, where eyes usually are. Far outside of what it was
# shown, the other one is lost as well.
#
# ## How many frames a second?
#
# The paper's Table 3 counts frames a second on its GPU (GTX 1050 Ti): CFPD 230, dlib's face detector 7, both together
# 6.5. Who wants to be fast has to make the *detector* fast. Our network with the paper's width, on this machine's
# processor, one face at a time:

# %%
full = cfpd(64, rng=np.random.default_rng(0)).evaluate()
one = np.zeros((1, 112, 112, 1), np.float32)
full.forward(one)
start = time.perf_counter()
for _ in range(5):
    full.forward(one)
print(f"CFPD at the paper's width: {5 / (time.perf_counter() - start):.0f} faces a second (varies)")

# %% [markdown]
# In a video one need not ask the detector at all in most frames: the next frame's face is where the last one's was.
# `faceseed predict` does so.
#
# The real training is one command, `faceseed train cfpd`; `faceseed train cfpd --help` lists its options, and each
# run leaves a folder with its settings, its errors and pictures.
#
# ## Exercises
#
# `python -m tutorials check 07` writes the tasks into your file and judges it.
#
# ### 7.1 The rate at an epoch
#
# Steps down.

# %%
exercise("7.1")

# %% [markdown]
# ### 7.2 Boxes from landmarks
#
# With the authors' two pixels.

# %%
exercise("7.2")

# %% [markdown]
# ### 7.3 Intersection over union
#
# Boxes may miss each other.

# %%
exercise("7.3")

# %% [markdown]
# ### 7.4 Count the weights
#
# Of the whole of Table 1, for any width.

# %%
exercise("7.4")

# %% [markdown]
# ### 7.5 A histogram of gradients
#
# One cell, by hand.

# %%
exercise("7.5")

# %% [markdown]
# ## What you can do now
#
# You have built, checked, trained and judged a network from a table in a paper. It says where the parts are. To draw
# them, point after point, a network has to remember what it has just drawn. That is the next subject.
#
# Next: [8 The LSTM, back through time](ch08_lstm.py)
