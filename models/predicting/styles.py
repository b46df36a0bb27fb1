"""What was found, drawn on the picture itself: lines, dots, indices, boxes, and the speed in a corner."""

import numpy as np
from matplotlib.colors import to_rgb

from models.faces import opencv as cv2
from models.faces.draw import PART_COLOURS, PREDICTED, TRUE
from models.faces.landmarks import POLYLINES, face_size
from models.predicting.finder import Face, outlines, whole_box
from nn import InputError

SHIFT = 4  # OpenCV draws at 1/16 px
FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX
GROUND = (36, 29, 29)


def bgr(colour: str) -> tuple[float, ...]:
    """A colour as OpenCV takes it."""
    return tuple(255 * channel for channel in reversed(to_rgb(colour)))


LINE, DOT, PARTS = bgr(PREDICTED), bgr(TRUE), tuple(map(bgr, PART_COLOURS))


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels in OpenCV's 1/16."""
    return np.round(points * 2**SHIFT).astype(np.int32)


def unit(face: Face) -> float:
    """1 for a face of 150 px, to scale what is drawn."""
    return float(face_size(whole_box(face).reshape(2, 2))) / 150


def lines(canvas: np.ndarray, face: Face) -> None:
    """Each part as a line, eyes and lips closed."""
    if face.landmarks is not None:
        for indices, closed in POLYLINES:
            cv2.polylines(canvas, [fixed(face.landmarks[indices])], closed, LINE, max(1, round(0.8 * unit(face))), cv2.LINE_AA, SHIFT)


def dots(canvas: np.ndarray, face: Face) -> None:
    """A dot on each landmark."""
    if face.landmarks is not None:
        radius = int(max(0.9, 1.2 * unit(face)) * 2**SHIFT)
        for centre in fixed(face.landmarks):
            cv2.circle(canvas, centre.tolist(), radius, DOT, cv2.FILLED, cv2.LINE_AA, SHIFT)


def indices(canvas: np.ndarray, face: Face) -> None:
    """The number of each landmark, 0 to 67, above it to the right."""
    if face.landmarks is not None:
        size = max(0.22, 0.17 * unit(face))
        for k, (x, y) in enumerate(np.round(face.landmarks + 1.5 * max(1, unit(face)) * np.array([1, -1])).astype(int).tolist()):
            for colour, width in ((GROUND, max(2, round(8 * size))), (DOT, max(1, round(2 * size)))):
                cv2.putText(canvas, str(k), (x, y), FONT, size, colour, width, cv2.LINE_AA)


def boxes(canvas: np.ndarray, face: Face) -> None:
    """A box round each part: CFPD's, or else those that the landmarks fill."""
    width = max(2, round(1.5 * unit(face)))
    for box, colour in zip(outlines(face), PARTS, strict=True):
        cv2.rectangle(canvas, *fixed(box.reshape(2, 2)).tolist(), colour, width, cv2.LINE_AA, SHIFT)


STYLES = {"lines": lines, "dots": dots, "indices": indices, "boxes": boxes}


def chosen(text: str | None, models: set[str]) -> set[str]:
    """The styles that a comma-separated list names; without one, those that suit the models. Raises InputError on others."""
    if text is None:
        return ({"lines", "dots"} if "corefan" in models else set()) | ({"boxes"} if "cfpd" in models else set())
    names = {name.strip() for name in text.split(",")}
    if unknown := sorted(names - STYLES.keys()):
        raise InputError(f"--style {text}: {unknown[0]!r} is unknown; choose of {', '.join(STYLES)}, with commas between")
    if "corefan" not in models and (missing := sorted(names - {"boxes"})):
        raise InputError(f"--style {text}: {missing[0]} need landmarks, and CFPD finds none; choose boxes, or --model corefan or both")
    return names


def draw(canvas: np.ndarray, faces: list[Face], styles: set[str]) -> None:
    """All faces on the picture, uint8 BGR (H, W, 3), in place; boxes lie below lines, lines below dots, dots below indices."""
    for name in ("boxes", "lines", "dots", "indices"):
        for face in faces if name in styles else []:
            STYLES[name](canvas, face)


def corner(canvas: np.ndarray, fps: float) -> None:
    """Frames a second in the upper left corner, in place."""
    text, size = f"{fps:.0f} fps", max(0.4, min(canvas.shape[:2]) / 800)
    (width, height), below = cv2.getTextSize(text, FONT, size, 1)
    cv2.rectangle(canvas, (0, 0), (width + 2 * below, height + 2 * below), GROUND, cv2.FILLED)
    cv2.putText(canvas, text, (below, height + below), FONT, size, DOT, max(1, round(1.5 * size)), cv2.LINE_AA)
