"""Table 3: frames a second of the face detector, of CFPD, and of both one after the other."""

import time
from collections.abc import Callable

import numpy as np
from numpy.random import default_rng

from models.cfpd import cfpd
from models.faces import opencv as cv2
from models.faces.augment import normalise_gray
from models.faces.crops import Faces
from models.faces.detect import box_frame, haar
from models.faces.geometry import warp
from models.tasks import predict
from nn.gpu.trouble import explained

WIDTH, HEIGHT, FRAMES = 640, 480, 12  # a camera's picture, and how many of them


def camera_frames(faces: Faces, count: int = FRAMES) -> list[np.ndarray]:
    """Gray pictures (480, 640) with a face each: a crop enlarged to the full height, its face 160 px wide, on black."""
    frames = []
    for image in faces.images[:count]:
        picture = np.zeros((HEIGHT, WIDTH), np.uint8)
        left = (WIDTH - HEIGHT) // 2
        picture[:, left : left + HEIGHT] = cv2.resize(image, (HEIGHT, HEIGHT), interpolation=cv2.INTER_LINEAR)
        frames.append(picture)
    return frames


def speeds(faces: Faces, size: int = 112) -> dict[str, dict[str, float] | None]:
    """Frames a second of "detector", "cfpd" and "together", by device: the CPU, and a GPU where there is one, else None.

    CFPD has the paper's width; what its weights are does not matter for the time. The detector runs on the CPU in both.
    """
    frames = camera_frames(faces)
    found: dict[str, dict[str, float] | None] = {"cpu": frames_a_second(frames, "cpu", size)}
    try:
        found["cuda"] = frames_a_second(frames, "cuda", size)
    except Exception as error:
        if explained(error) is None:  # of the GPU's troubles; anything else is our mistake
            raise
        found["cuda"] = None
    return found


def frames_a_second(frames: list[np.ndarray], device: str, size: int) -> dict[str, float]:
    """Of each stage, by the median over the frames; a frame at a time, as a camera brings them."""
    model = cfpd(size=size, rng=default_rng(0)).to(device).evaluate()
    middle = np.array([WIDTH / 2 - 80, HEIGHT / 2 - 80, WIDTH / 2 + 80, HEIGHT / 2 + 80], np.float64)

    def parts(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
        return predict(model, normalise_gray(warp(frame, box_frame(box, size), size))[None, :, :, None])

    def together(frame: np.ndarray) -> None:
        for box in haar(frame)[:1]:
            parts(frame, box)

    stages: dict[str, Callable[[np.ndarray], object]] = {"detector": haar, "cfpd": lambda frame: parts(frame, middle), "together": together}
    return {name: 1 / median_time(stage, frames) for name, stage in stages.items()}


def median_time(stage: Callable[[np.ndarray], object], frames: list[np.ndarray]) -> float:
    """Seconds a frame, after one that does not count."""
    stage(frames[0])
    times = []
    for frame in frames:
        start = time.perf_counter()
        stage(frame)
        times.append(time.perf_counter() - start)
    return float(np.median(times))
