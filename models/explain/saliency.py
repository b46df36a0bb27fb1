"""Which pixels each part's landmarks depend on: our own backward pass, from landmarks to the image.

With J = ∂(x and y of the part's landmarks) / ∂(pixels), the map of a part is √(Σ J²) over its landmarks' x and y: how far they move,
all together in px, for a small change of one pixel, over that change in units of the normalised gray level. A backward pass from the unit
vector of one coordinate gives one row of J: 136 passes, a batch of them at a time.
"""

import numpy as np
from matplotlib.figure import Figure

from models.corefan import Corefan
from models.explain.face import WIDTH, Face, part_lines
from models.faces import opencv as cv2
from models.faces.draw import show
from models.faces.landmarks import COUNT, PARTS

CHUNK = 17  # rows of J at a time
BLUR = 1.5  # standard deviation in px of the 112-px frame: of four pixels max pooling lets one through, and maps are rough


def jacobian(model: Corefan, image: np.ndarray) -> np.ndarray:
    """∂(landmarks) / ∂(pixels) by the backward pass: one image (1, size, size, 1) -> (68, 2, size, size), px for a unit of gray.

    The model is in evaluation mode afterwards, its gradients are zero.
    """
    rows = []
    model.train(False)  # running statistics, as in evaluation, but what backward needs is kept
    for directions in np.split(np.eye(2 * COUNT, dtype=image.dtype), 2 * COUNT // CHUNK):
        model.forward(np.repeat(image, CHUNK, axis=0))
        rows.append(model.backward(directions.reshape(CHUNK, COUNT, 2))[..., 0])
    model.evaluate().zero_grad()
    return np.concatenate(rows).reshape(COUNT, 2, *image.shape[1:3])


def part_maps(jacobian: np.ndarray) -> np.ndarray:
    """A map a part: (68, 2, size, size) -> (5, size, size)."""
    return np.stack([np.sqrt(np.square(jacobian[indices]).sum((0, 1))) for indices in PARTS.values()])


def saliency_figure(face: Face, maps: np.ndarray) -> Figure:
    """The maps (5, size, size), each from 0 to its own greatest value, over the face; the sixth is their mean."""
    sigma = BLUR * face.size / 112
    smooth = [cv2.GaussianBlur(each, (0, 0), sigma) for each in maps.astype(np.float64)]
    titles = dict(zip(PARTS, smooth, strict=True)) | {"all five": np.mean([each / each.max() for each in smooth], axis=0)}
    figure = Figure(figsize=(WIDTH, 6.5), layout="constrained")
    for ax, (name, each) in zip(figure.subplots(2, 3).flat, titles.items(), strict=True):
        show(ax, face.image[0])
        ax.imshow(each / each.max(), cmap="inferno", vmin=0, vmax=1, alpha=0.95 * each / each.max(), interpolation="bicubic")
        part_lines(ax, face.points, linewidth=0.8, alpha=0.9)
        ax.set_title(name, fontsize=11)
    return figure
