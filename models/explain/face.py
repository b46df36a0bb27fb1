"""The face that is explained: where it is in the photo, what the network sees of it, and what it answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Polygon

from models.faces import opencv as cv2
from models.faces.boxes import iou
from models.faces.detect import box_frame, haar
from models.faces.draw import PREDICTED, show
from models.faces.geometry import apply, frame
from models.faces.landmarks import PARTS, POLYLINES, tight_box
from models.faces.opencv import read_gray, read_photo
from models.faces.pts import read_pts
from models.locate import cut, locate
from models.tasks import predict
from nn import InputError, Layer

WIDTH = 9.0  # of the pictures, inches
COLOURS = dict(zip(PARTS, ("#35a7ff", "#2fbf71", "#f4b400", "#ff7a33", "#ef5da8"), strict=True))
SAME_FACE = 0.3  # intersection over union with the landmarks' tight box, from which on a detector's box is of the marked face


@dataclass
class Face:
    """One face of a photo; landmarks (68, 2) in pixels of the network's frame."""

    photo: np.ndarray  # uint8 (H, W)
    matrix: np.ndarray  # (3, 3) from the photo to the frame
    image: np.ndarray  # float32 (1, size, size, 1), as the network sees it
    points: np.ndarray  # what it answers
    true: np.ndarray | None  # what the photo's .pts file says, where it marks this face

    @property
    def size(self) -> int:
        """Side of the frame, px."""
        return self.image.shape[1]


def find(model: Layer, path: Path, size: int, given: np.ndarray | None) -> Face:
    """The face in the tight box `given` (4,), else the one that the photo's .pts file marks, else the largest that the Haar cascade finds.

    The network looks twice, the second time at the frame that its first answer makes. Raises InputError where there is no face.
    """
    marks = path.with_suffix(".pts")
    true = read_pts(marks) if marks.is_file() else None  # it counts pixels as they are stored, so the photo is not turned upright
    photo = cv2.cvtColor(read_photo(path), cv2.COLOR_BGR2GRAY) if true is None else read_gray(path)
    height, width = photo.shape
    if given is not None and (min(given[2:]) <= 0 or given[0] >= width or given[1] >= height):
        raise InputError(f"--box {given.tolist()}: lies outside the {width} x {height} pixels of {path}; give x0,y0,x1,y1 on this photo")
    boxes, kind = (haar(photo), "haar") if given is None else (given[None], "tight")
    if not len(boxes):
        raise InputError(f"{path}: the detector found no face; mark it with --box x0,y0,x1,y1")
    box = boxes[0]
    if true is not None:
        overlap = iou(boxes, tight_box(true))
        box, true = (boxes[overlap.argmax()], true) if overlap.max() >= SAME_FACE else (box, None)
    matrix = frame(locate(model, photo, box_frame(box, size, kind)[None], size)[0], size)
    image = cut(photo[None], matrix[None], size)
    return Face(photo, matrix, image, predict(model, image)[0].astype(np.float64), None if true is None else apply(matrix, true))


def part_lines(ax: Axes, points: np.ndarray, **style: Any) -> None:
    """The outlines that landmarks (68, 2) make, each part in its colour."""
    for name, indices in PARTS.items():
        for outline, closed in POLYLINES:
            if outline[0] in indices:
                ax.plot(*points[np.r_[outline, outline[0]] if closed else outline].T, color=COLOURS[name], **style)


def square(face: Face) -> np.ndarray:
    """Corners (4, 2) of the network's frame, in pixels of the photo."""
    edge = face.size - 0.5
    return apply(np.linalg.inv(face.matrix), np.array([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]]))


def face_figure(face: Face) -> Figure:
    """The photo with the square that is cut out, and that square with the answer over it."""
    figure = Figure(figsize=(WIDTH, 5.2), layout=ConstrainedLayoutEngine(h_pad=0.1))
    left, right = figure.subplots(1, 2)
    show(left, face.photo)
    left.add_patch(Polygon(square(face), fill=False, edgecolor=PREDICTED, linewidth=2, clip_on=False))
    left.autoscale(True)  # the square may reach beyond the photo
    left.set_title(f"the photo, {face.photo.shape[1]} × {face.photo.shape[0]} px", fontsize=11)
    show(right, face.image[0])
    part_lines(right, face.points, linewidth=1.6, marker="o", markersize=3.2)
    right.set_title(f"what the network sees, {face.size} × {face.size} px, and answers", fontsize=11)
    handles = {line.get_color(): line for line in right.lines}
    legend = {name: handles[colour] for name, colour in COLOURS.items()}
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=len(legend), frameon=False, fontsize=10)
    return figure
