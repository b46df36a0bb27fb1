# %% [markdown]
# # 6 Faces in 68 points
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 1 to 5 | 25 min | 5 s | not used | 0 |
#
# By the end you can name the 68 points, move them and the picture under them with one matrix, make many training
# faces of one, and say how far off an answer is in a measure that suits near and far faces alike.
#
# ## The points
#
# The paper (Yüksel and Skarbek, 2019) works with photos of the 300-W collection, in each of which people have marked
# 68 *landmarks*. Their order is fixed: first the chin from ear to ear, then the eyebrows, the nose, the eyes, the
# lips. An array of landmarks has shape $(N, 68, 2)$, each point as $(x, y)$ in pixels, $x$ to the right and $y$
# *down*, as in pictures. Whole numbers are the centres of pixels.
#
# The photos are not ours to give away, so these chapters use faces that the library draws. Their landmarks are exact:
# the drawing knows where its lips are.

# %%
import matplotlib.pyplot as plt
import numpy as np

from models.faces.augment import Augmentation, view
from models.faces.boxes import part_boxes
from models.faces.draw import face_lines
from models.faces.geometry import apply, compose, eye_angle, frame, rotation, scaling, translation, warp
from models.faces.landmarks import CHIN, MIRROR, PARTS, corner_distance, face_size
from models.faces.metrics import errors
from models.faces.synthetic import drawn_faces
from tutorials import exercise, show_source

faces = drawn_faces(8, seed=1)
print("pictures", faces.images.shape, faces.images.dtype, " landmarks", faces.landmarks.shape)
print("parts:", {name: f"{part[0]}-{part[-1]}" for name, part in PARTS.items()})

COLOURS = dict(zip(PARTS, ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377"), strict=True))
image, points = faces.images[2], faces.landmarks[2]
fig, ax = plt.subplots(figsize=(6, 6), layout="constrained")
ax.imshow(image, cmap="gray", alpha=0.5)
for name, part in PARTS.items():
    ax.plot(*points[part].T, ".", color=COLOURS[name], label=name)
for k, (x, y) in enumerate(points):
    ax.text(x + 0.6, y - 0.6, str(k), fontsize=7)
(x0, y0), (x1, y1) = points.min(0) - 8, points.max(0) + 8
ax.set(xlim=(x0, x1), ylim=(y1, y0))
ax.legend(loc="lower right", fontsize=8)
ax.axis("off")
plt.show()

# %% [markdown]
# Find the outer corners of the eyes, 36 and 45, the tip of the chin, 8, the corners of the mouth, 48 and 54. Left and
# right are those of the *picture*.
#
# ## Moving points: equation 1
#
# A face may stand anywhere in a photo, large or small, tilted or not. A network learns faster if all faces are
# brought to one place and size. Write a point as the column $(x, y, 1)$. Then three kinds of moves are matrices, the
# paper's equation 1: a translation by $(T_x, T_y)$, a rotation by the angle $\theta$, a scaling by $(S_x, S_y)$.
#
# $$
# \begin{aligned}
# &\begin{bmatrix} 1 & 0 & T_x \\ 0 & 1 & T_y \\ 0 & 0 & 1 \end{bmatrix} \quad
# \begin{bmatrix} S_x & 0 & 0 \\ 0 & S_y & 0 \\ 0 & 0 & 1 \end{bmatrix} \\[1ex]
# &\begin{bmatrix} \cos\theta & \sin\theta & 0 \\ -\sin\theta & \cos\theta & 0 \\ 0 & 0 & 1 \end{bmatrix}
# \end{aligned} \tag{1}
# $$
#
# The third number, always 1, is what lets a matrix add: $T_x$ times 1. In the library, where `_matrix` puts nine
# entries into rows:

# %%
show_source(translation)
show_source(rotation)
show_source(scaling)

# %% [markdown]
# Moves are chained by multiplying their matrices, and the one that stands on the *right* acts first, since it touches
# the point first: $(A B) p = A (B p)$. The order matters:

# %%
corner = np.array([[10.0, 0.0]])
turn, move = rotation(np.pi / 2), translation(5, 0)
for name, matrix in {"turn, then move": move @ turn, "move, then turn": turn @ move}.items():
    print(f"{name}: {apply(matrix, corner).round(6).tolist()}")

# %% [markdown]
# ## One matrix for all three: equation 2
#
# The paper multiplies the three into one, and prints the result:
#
# $$
# T = \begin{bmatrix}
# \cos\theta\,S_x & \sin\theta\,S_y & t_x \\
# -\sin\theta\,S_x & \cos\theta\,S_y & t_y \\
# 0 & 0 & 1
# \end{bmatrix} \tag{2}
# $$
#
# with $t_x = \cos\theta\,T_x + \sin\theta\,T_y$ and $t_y = -\sin\theta\,T_x + \cos\theta\,T_y$. In which order were
# they multiplied? The sentence above it names translation, rotation, scaling. We need not believe a sentence where we
# can multiply:

# %%
show_source(compose)
theta, sx, sy, tx, ty = 0.3, 1.2, 0.8, 5.0, -3.0
R, S, T = rotation(theta), scaling(sx, sy), translation(tx, ty)
for name, product in {"R T S": R @ T @ S, "S R T": S @ R @ T, "T R S": T @ R @ S, "R S T": R @ S @ T}.items():
    print(f"{name}: {'equation 2' if np.allclose(product, compose(theta, sx, sy, tx, ty)) else 'another matrix'}")

# %% [markdown]
# So equation 2 scales a point first, then moves it, then turns it. [How we read the
# paper](../docs/how-we-read-the-paper.md) keeps a list of such places.
#
# ## The frame: where every face looks alike
#
# The network sees 112 × 112 pixels. In that *frame* the mean of the landmarks lies at the centre, and the longer side
# of the box around the landmarks measures 56 pixels. For the *normalised* faces of the paper, the line between the
# two eyes is level as well. Four moves: the mean to the origin, turn, scale, the origin to the centre.

# %%
show_source(frame)

# %%
tilted = int(np.abs(eye_angle(faces.landmarks)).argmax())
image, points = faces.images[tilted], faces.landmarks[tilted]
print(f"eyes at {np.degrees(eye_angle(points)):.1f} degrees")
fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), layout="constrained")
for ax, (name, matrix) in zip(
    axes, {"as it is": None, "original": frame(points), "normalised": frame(points, upright=True)}.items(), strict=True
):
    ax.imshow(image if matrix is None else warp(image, matrix), cmap="gray")
    face_lines(ax, points if matrix is None else apply(matrix, points), "#ffd400", linewidth=1)
    ax.set_title(name)
    ax.axis("off")
plt.show()
inside = apply(frame(points, upright=True), points)
print("mean", inside.mean(0).round(6).tolist(), " longer side", round(float(face_size(inside)), 6))
print("eyes are level:", abs(float(eye_angle(inside))) < 1e-9)

# %% [markdown]
# ## Moving the picture under the points
#
# A point moves by $q = M p$. For a picture one asks the other way round: which colour belongs at pixel $q$ of the new
# picture? The one that was at $p = M^{-1} q$ in the old one. That place is rarely the centre of a pixel, so the four
# pixels around it are mixed, each the more the nearer it is (*bilinear interpolation*):


# %%
def warp_by_hand(image, matrix, size):
    """The picture (H, W) moved by matrix (3, 3) into a frame of size × size; black outside."""
    rows, columns = np.mgrid[:size, :size]
    places = apply(np.linalg.inv(matrix), np.stack([columns, rows], -1).reshape(-1, 2).astype(float))  # (size², 2)
    x, y = places.T
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    framed = np.pad(image.astype(float), 1)  # one row and column of black all around

    def pixel(row, column):
        inside = (row >= -1) & (row <= image.shape[0]) & (column >= -1) & (column <= image.shape[1])
        return np.where(inside, framed[np.clip(row, -1, image.shape[0]) + 1, np.clip(column, -1, image.shape[1]) + 1], 0)

    a, b = x - left, y - top  # how far between the four
    upper = (1 - a) * pixel(top, left) + a * pixel(top, left + 1)
    lower = (1 - a) * pixel(top + 1, left) + a * pixel(top + 1, left + 1)
    return ((1 - b) * upper + b * lower).reshape(size, size)


matrix = frame(points, upright=True)
difference = np.abs(warp_by_hand(image, matrix, 112) - warp(image, matrix))
print(f"from the library's: mean difference below half a gray level: {difference.mean() < 0.5}")

# %% [markdown]
# The library leaves the mixing to OpenCV, and averages blocks of pixels first where the picture shrinks by two or
# more.
#
# **What breaks if the picture is moved by $M$ and asked by $M$ as well?** Then it moves the wrong way, and the points
# no longer lie on it:

# %%
fig, axes = plt.subplots(1, 2, figsize=(5.5, 2.8), layout="constrained")
for ax, name, used in zip(axes, ("picture by the inverse", "picture by the matrix"), (matrix, np.linalg.inv(matrix)), strict=True):
    ax.imshow(warp_by_hand(image, used, 112), cmap="gray")
    face_lines(ax, apply(matrix, points), "#ffd400", linewidth=1)
    ax.set_title(name)
    ax.axis("off")
plt.show()

# %% [markdown]
# ## Many faces from one
#
# The paper found that a network trained on upright faces does badly on tilted ones, and that a few thousand faces are
# few. So each face is used many times, turned, scaled and shifted by chance, and mirrored half of the time. The
# spreads are those of the authors' code: angles of 15° and shifts of a tenth of the frame in standard deviation,
# scales of 1 ± 0.1.

# %%
images, landmarks = view(faces, np.full(8, tilted), "augmented", np.random.default_rng(2), Augmentation())
print("what the network gets:", images.shape, images.dtype, " and should answer:", landmarks.shape)
fig, axes = plt.subplots(2, 4, figsize=(8, 4), layout="constrained")
for ax, one, marks in zip(axes.flat, images, landmarks, strict=True):
    ax.imshow(one[:, :, 0], cmap="gray")
    face_lines(ax, marks, "#ffd400", linewidth=1)
    ax.axis("off")
plt.show()

# %% [markdown]
# A mirror sends $x$ to $W - 1 - x$. **What breaks if that is all?** The left eye's outer corner, number 36, lands
# where the right eye's outer corner should be, number 45: the points lie on the face, and every one of them has the
# wrong name. A network trained so learns the mean of both, the middle of the face. So the points are renamed, by a
# table:

# %%
upright = apply(frame(points, upright=True), points)
mirrored = np.stack([111 - upright[:, 0], upright[:, 1]], -1)
print("36 becomes", MIRROR[36], ", 0 becomes", MIRROR[0], ", 8 stays", MIRROR[8])
print("mirrored twice is as before:", np.array_equal(MIRROR[MIRROR], np.arange(68)))
fig, axes = plt.subplots(1, 2, figsize=(6, 2.8), layout="constrained")
for ax, name, marks in zip(axes, ("names kept", "names exchanged"), (mirrored, mirrored[MIRROR]), strict=True):
    ax.imshow(warp(image, frame(points, upright=True))[:, ::-1], cmap="gray")
    face_lines(ax, marks, "#ffd400", linewidth=1)
    for k in (36, 45, 0, 16):
        ax.text(*marks[k], str(k), color="#ff5555", fontsize=11, weight="bold")
    ax.set_title(name)
    ax.axis("off")
plt.show()

# %% [markdown]
# ## How wrong is an answer?
#
# Three pixels off are much on a small face and little on a large one. So the distance is divided by a length of the
# face itself, the distance $d$ of the outer eye corners. With the answer $p_k$ and the truth $t_k$,
#
# $$
# e = \frac{1}{68} \sum_{k=0}^{67} \frac{\lVert p_k - t_k \rVert}{d} .
# $$
#
# This is the *inter-ocular* error. In the frame of 112 pixels $d$ is about 31 pixels, so an error of 5 % is a pixel
# and a half. It does not change when face and answer are scaled together:

# %%
rng = np.random.default_rng(0)
truth = apply(frame(faces.landmarks), faces.landmarks)  # (8, 68, 2) in the frame
answer = truth + rng.normal(size=truth.shape)
print(f"one pixel of noise on each axis: {100 * errors(answer, truth).mean():.2f} %")
print(f"the same twice as large: {100 * errors(2 * answer, 2 * truth).mean():.2f} %")
mean_face = truth.mean(0, keepdims=True).repeat(8, 0)
print(f"always the mean face: {100 * errors(mean_face, truth).mean():.1f} %; eye corners {corner_distance(truth).mean():.1f} px apart")

# %% [markdown]
# The mean face is the answer of somebody who does not look. Any network must beat it.
#
# ## Boxes of the parts
#
# Chapter 7's network does not look for points but for four boxes. They are made of the landmarks, with two pixels
# added below, as the authors did:

# %%
fig, ax = plt.subplots(figsize=(3, 3), layout="constrained")
ax.imshow(warp(image, frame(points, upright=True)), cmap="gray")
for x0, y0, x1, y1 in part_boxes(upright):
    ax.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="#ffd400"))
ax.axis("off")
plt.show()
print("chin points have no box:", len(CHIN), "of 68; boxes", part_boxes(upright).shape)

# %% [markdown]
# ## Exercises
#
# `python -m tutorials check 06` writes the tasks into your file and judges it.
#
# ### 6.1 The angle of the eyes
#
# Watch the direction of $y$.

# %%
exercise("6.1")

# %% [markdown]
# ### 6.2 Mirror a face
#
# And rename its points.

# %%
exercise("6.2")

# %% [markdown]
# ### 6.3 The inter-ocular error
#
# For a whole batch.

# %%
exercise("6.3")

# %% [markdown]
# ### 6.4 Turn about a point
#
# Equation 1, three times.

# %%
exercise("6.4")

# %% [markdown]
# ### 6.5 The frame
#
# All of section 2.1 of the paper in one matrix.

# %%
exercise("6.5")

# %% [markdown]
# ## What you can do now
#
# You can bring any face to the place where a network expects it, and its answer back, by one matrix and its inverse.
# You can make training faces without end, and you have a yardstick. Now a network that looks.
#
# Next: [7 CFPD: the parts of a face](ch07_cfpd.py)
