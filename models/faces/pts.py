"""The .pts file: 68 landmarks as text, pixels counted from 1.

version: 1
n_points: 68
{
x y         68 lines
}
"""

import math
import re
from pathlib import Path

import numpy as np

from models.faces.landmarks import COUNT
from nn.errors import InputError, shown
from nn.files import KIB, read_bytes

PTS_BYTES = 64 * KIB
PTS = re.compile(  # `*+` and `++` take all they can and give nothing back: a file takes time in proportion to its length
    r"\s*+(?:version\s*+:\s*+[\d.]++\s++)?(?:n_points\s*+:\s*+([^\s{}]++)\s*+)?(?:\{([^{}]*+)\}\s*+|([^{}]*+))"
)
COMMENT = re.compile(r"(?:#|//).*")


def read_pts(path: str | Path) -> np.ndarray:
    """Landmarks of a .pts file, (68, 2) float64, 0-based (the file counts pixels from 1).

    Accepts files with and without the header `version: 1`, `n_points: 68` and the braces; comments start with # or //.
    Raises InputError when the file is anything but 68 points of two finite numbers.
    """
    data = read_bytes(path, PTS_BYTES, "a .pts file")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _bad_pts(path, "UTF-16 text, where UTF-8 is read")
    body = PTS.fullmatch(COMMENT.sub("", data.decode("utf-8-sig", errors="replace")))
    if body is None:
        raise _bad_pts(path, "braces that do not pair")
    rows = [line.split() for line in (body[2] or body[3] or "").splitlines() if line.strip()]
    try:
        points = np.array(rows, np.float64)
    except ValueError:  # ragged rows or words
        points = np.empty(0)
    if points.shape == (COUNT, 2) and np.isfinite(points).all():
        if body[1] not in (None, str(COUNT)):
            raise _bad_pts(path, f"{COUNT} under n_points: {shown(body[1][:20])}")
        return points - 1
    wrong = ((k, " ".join(row)) for k, row in enumerate(rows, 1) if len(row) != 2 or not all(map(_is_finite, row)))
    for k, row in wrong:
        raise _bad_pts(path, f"{row[:40]!r} as point {k}" + (", with commas" if re.search(r"\d *,", row) else ""))
    raise _bad_pts(path, f"{len(rows)} points")


def pts_text(points: np.ndarray) -> str:
    """Landmarks (68, 2), 0-based, as the text of a .pts file with its header, counted from 1, to 1/1000 px."""
    rows = "".join(f"{x:.3f} {y:.3f}\n" for x, y in points + 1)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}}}\n"


def write_pts(path: str | Path, points: np.ndarray) -> None:
    """Writes landmarks (68, 2), 0-based, as a .pts file."""
    Path(path).write_text(pts_text(points), encoding="ascii")


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _bad_pts(path: str | Path, found: str) -> InputError:
    return InputError(f"{shown(path)}: expected {COUNT} points of two numbers, found {found}; mend or remove the file")
