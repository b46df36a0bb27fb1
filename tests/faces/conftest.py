"""What the face tests share: the real data where it is, a symmetrical face of 68 points, pictures with dots."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.faces.crops import Faces, crop_face
from models.faces.ibug import load


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with 300w/, mini300w/ and photos/: FACESEED_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("FACESEED_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / "300w" / "boxes.csv").is_file():
        pytest.skip(f"no real faces in {folder}: set FACESEED_DATA to the folder that holds 300w/")
    return folder


@pytest.fixture(scope="session")
def real_faces(real_data) -> Faces:
    """The 1,911 crops, read once."""
    return load(real_data / "300w")


def ellipse(centre: tuple[float, float], radii: tuple[float, float], start: float, stop: float, count: int) -> np.ndarray:
    angle = np.radians(np.linspace(start, stop, count))
    return np.array(centre) + np.stack([np.cos(angle), np.sin(angle)], axis=1) * radii


@pytest.fixture(scope="session")
def face() -> np.ndarray:
    """A frontal face, (68, 2), symmetrical about x = 0, 160 px wide and 137 px high, in the order of 300-W."""
    chin = ellipse((0, 10), (80, 92), 180, 0, 17)
    brows = ellipse((-37, -20), (25, 15), 180, 340, 5), ellipse((37, -20), (25, 15), 200, 360, 5)
    nose = [(0, 0), (0, 10), (0, 20), (0, 30), (-14, 36), (-7, 39), (0, 41), (7, 39), (14, 36)]
    eyes = ellipse((-35, 0), (14, 6), 180, 480, 6), ellipse((35, 0), (14, 6), 180, 480, 6)
    lips = ellipse((0, 65), (28, 14), 180, 510, 12), ellipse((0, 65), (22, 6), 180, 495, 8)
    points = np.concatenate([chin, *brows, nose, *eyes, *lips])
    points.setflags(write=False)
    return points


@pytest.fixture(scope="session")
def face_at(face):
    """face_at(x, y, scale): the face with its nose bridge at (x, y)."""
    return lambda x, y, scale=1.0: scale * face + np.array([x, y])


@pytest.fixture(scope="session")
def some_faces(face, dots) -> Faces:
    """Six faces, two a photo, turned and moved; each crop shows a bright dot at DOTTED landmarks."""
    images, landmarks = [], []
    for n in range(6):
        angle = np.radians(8 * n - 20)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (0.8 + 0.1 * n) * face @ turn.T + [300 + n, 310]
        image, points = crop_face(dots((600, 600), points[DOTTED], sigma=4), points)
        images.append(image)
        landmarks.append(points)
    names = [f"face{n}" for n in range(6)]
    return Faces(np.stack(images), np.stack(landmarks), names, ["other"] * 6, ["a", "a", "b", "b", "c", "c"], [""] * 6)


DOTTED = [0, 16, 8, 54, 48]  # far from one another, and its own mirror image as a set


@pytest.fixture(scope="session")
def dotted() -> list[int]:
    """Landmarks of `some_faces` that are seen as dots."""
    return DOTTED


@pytest.fixture(scope="session")
def dots():
    """dots(shape, points, sigma): a black picture, uint8, with a round bright dot (a Gaussian of sigma px) at each of the points."""

    def draw(shape, points, sigma):
        picture = np.zeros(shape)
        for x, y in points:
            row, column = (np.exp(-((np.arange(n) - centre) ** 2) / (2 * sigma**2)) for n, centre in zip(shape, (y, x), strict=True))
            np.maximum(picture, np.outer(row, column), out=picture)
        return np.round(250 * picture).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def dot_at():
    """dot_at(image, point, radius): centre of mass of the dot near `point`, in pixels; nan where the picture is black."""

    def find(image, point, radius=5):
        x0, y0 = np.round(point).astype(int)
        y, x = np.mgrid[max(y0 - radius, 0) : y0 + radius + 1, max(x0 - radius, 0) : x0 + radius + 1]
        y, x = y[: image.shape[0] - y[0, 0]], x[: image.shape[0] - y[0, 0]]
        weight = image[y, x].astype(float)
        with np.errstate(invalid="ignore"):
            return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()

    return find
