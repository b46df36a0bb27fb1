"""Reads faces with 68 landmarks in the layout of the official 300-W archives.

    afw/*.jpg   helen/{trainset,testset}/*.jpg   lfpw/{trainset,testset}/*.png   ibug/*.jpg   300W/{01_Indoor,02_Outdoor}/*.png

each image beside a .pts file of the same name. The folders may lie under any other folders; images elsewhere are the subset "other".
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from models.faces.crops import Faces, crop_face
from models.faces.detect import BoxRow, read_boxes
from models.faces.landmarks import COUNT, face_size, tight_box
from models.faces.opencv import read_gray
from nn.errors import InputError

T = TypeVar("T")

PTS_BYTES = 64 * 1024
IMAGES = {".jpg", ".jpeg", ".png"}
SUBSETS = ("train", "common", "challenging", "private", "other")
FOLDERS = {
    ("afw",): "train",
    ("helen", "trainset"): "train",
    ("lfpw", "trainset"): "train",
    ("helen", "testset"): "common",
    ("lfpw", "testset"): "common",
    ("ibug",): "challenging",
    ("300w", "01_indoor"): "private",
    ("300w", "02_outdoor"): "private",
}
NUMBERED_FACES = {"afw", "helen", "ibug"}  # their names end in _<face index>; those of LFPW and 300W in the number of the photo

PTS = re.compile(r"\s*(?:version\s*:\s*[\d.]+\s+)?(?:n_points\s*:\s*\d+\s*)?(?:\{([^{}]*)\}|([^{}]*))\s*")
COMMENT = re.compile(r"(?:#|//).*")


@dataclass(frozen=True)
class Entry:
    """One face on disk; without its image or without its .pts when a folder is incomplete."""

    name: str  # path below the folder, without the suffix
    image: Path | None
    pts: Path | None
    subset: str
    photo: str
    fold: str = ""


def read_pts(path: str | Path) -> np.ndarray:
    """Landmarks of a .pts file, (68, 2) float64, 0-based (the file counts pixels from 1).

    Accepts files with and without the header `version: 1`, `n_points: 68` and the braces; comments start with # or //.
    Raises InputError when the file is anything but 68 points of two finite numbers.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(PTS_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of a .pts file") from error
    if len(data) > PTS_BYTES:
        raise _bad_pts(path, f"more than {PTS_BYTES // 1024} KiB")
    body = PTS.fullmatch(COMMENT.sub("", data.decode("utf-8-sig", errors="replace")))
    if body is None:
        raise _bad_pts(path, "braces that do not pair")
    rows = [line.split() for line in (body[1] or body[2] or "").splitlines() if line.strip()]
    try:
        points = np.array(rows, np.float64)
    except ValueError:  # ragged rows or words
        points = np.empty(0)
    if points.shape == (COUNT, 2) and np.isfinite(points).all():
        return points - 1
    wrong = (f"{' '.join(row)[:40]!r} as point {k}" for k, row in enumerate(rows, 1) if len(row) != 2 or not all(map(_is_finite, row)))
    raise _bad_pts(path, next(wrong, f"{len(rows)} points"))


def pts_text(points: np.ndarray) -> str:
    """Landmarks (68, 2), 0-based, as the text of a .pts file with its header, counted from 1, to 1/1000 px."""
    rows = "".join(f"{x:.3f} {y:.3f}\n" for x, y in points + 1)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}}}\n"


def write_pts(path: str | Path, points: np.ndarray) -> None:
    """Writes landmarks (68, 2), 0-based, as a .pts file."""
    Path(path).write_text(pts_text(points), encoding="ascii")


def find(folder: str | Path) -> list[Entry]:
    """Every image and every .pts below `folder`, paired by name and in the order of their names.

    A boxes.csv in any of the folders names fold and photo. Raises InputError when the folder is missing, holds no image, or holds two
    images of one name.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that holds the faces (afw, helen, lfpw, ibug, 300W)")
    images: dict[Path, Path] = {}
    pts: dict[Path, Path] = {}
    rows: dict[Path, BoxRow] = {}
    for path in _files(folder):
        stem, suffix = path.with_suffix(""), path.suffix.lower()
        if suffix in IMAGES:
            if stem in images:
                raise InputError(f"{path}: {images[stem].name} beside it has the same name and would share its .pts; keep one of the two")
            images[stem] = path
        elif suffix == ".pts":
            pts[stem] = path
        elif path.name == "boxes.csv":
            rows |= {path.parent / name: row for name, row in read_boxes(path).items()}
    if not images:
        raise InputError(f"{folder}: expected images (.jpg or .png) with .pts files, found none; unpack the 300-W archives there")
    return [
        Entry(
            stem.relative_to(folder).as_posix(),
            images.get(stem),
            pts.get(stem),
            _subset(stem),
            (rows[stem].photo if stem in rows else "") or _photo(stem),
            rows[stem].fold if stem in rows else "",
        )
        for stem in sorted(images | pts)
    ]


def load(
    folder: str | Path,
    subsets: Iterable[str] | None = None,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Faces:
    """Reads and crops the faces below `folder`, those of the named subsets or all.

    `skip_bad` leaves out and counts in `skipped` what would otherwise raise InputError: an image without .pts, an unreadable image or
    .pts, landmarks that all coincide or lie more than one face size outside the image. A .pts without an image is always counted.
    `progress(done, total)` is called after each face. Photos are decoded in threads and only their crops are kept.
    """
    wanted = SUBSETS if subsets is None else tuple(subsets)
    if unknown := set(wanted) - set(SUBSETS):
        raise InputError(f"subset {', '.join(sorted(unknown))} is unknown: choose among {', '.join(SUBSETS)}")
    entries = [entry for entry in find(folder) if entry.subset in wanted]
    alone = [entry.name for entry in entries if not entry.pts]
    if alone and not skip_bad:
        orphans = sum(entry.image is None for entry in entries)
        raise InputError(
            f"{folder}: expected a .pts beside every image, found none for {len(alone)} of {len(entries) - orphans} images "
            f"(first: {alone[0]}), and {orphans} .pts without an image; add them or pass --skip-bad"
        )

    def attempt(function: Callable[..., T], *arguments: object) -> T | None:
        try:
            return function(*arguments)
        except InputError:
            if skip_bad:
                return None
            raise

    marked = []
    for entry in entries:
        if entry.image and entry.pts and (points := attempt(read_pts, entry.pts)) is not None:
            marked.append((entry, entry.image, points))
    crops, kept = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without holding Python's lock
        faces = pool.map(lambda face: attempt(_read_face, *face), marked)
        for done, ((entry, _, _), crop) in enumerate(zip(marked, faces, strict=True), start=1):
            if crop is not None:
                crops.append(crop)
                kept.append(entry)
            if progress:
                progress(done, len(marked))
    if not kept:
        raise InputError(f"{folder}: no usable face of the subsets {', '.join(wanted)} among {len(entries)} files; check the folder")
    return Faces(
        images=np.stack([image for image, _ in crops]),
        landmarks=np.stack([points for _, points in crops]),
        names=[entry.name for entry in kept],
        subsets=[entry.subset for entry in kept],
        photos=[entry.photo for entry in kept],
        folds=[entry.fold for entry in kept],
        skipped=len(entries) - len(kept),
    )


def _read_face(entry: Entry, image: Path, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One annotated face as crop (256, 256) and landmarks (68, 2) in crop pixels."""
    if face_size(points) == 0:
        raise InputError(f"{entry.pts}: expected a face, found 68 points in one place; mend or remove it, or pass --skip-bad")
    gray = read_gray(image)
    height, width = gray.shape
    x0, y0, x1, y1 = tight_box(points)
    room = face_size(np.sort(points, axis=0)[4:-4])  # a stray landmark must not make the face larger by which it is judged
    if min(x0, y0) < -room or x1 > width - 1 + room or y1 > height - 1 + room:
        raise InputError(
            f"{entry.pts}: expected landmarks on the {width} x {height} image, found x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}; "
            "does it belong to another image? Mend or remove it, or pass --skip-bad"
        )
    return crop_face(gray, points)


def _files(folder: Path) -> Iterator[Path]:
    """Files below the folder, links followed but no folder entered twice; hidden ones and those that macOS adds to archives left out."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        new = (real := os.path.realpath(parent)) not in seen
        seen.add(real)
        folders[:] = sorted(name for name in folders if new and name[0] != "." and name != "__MACOSX")
        yield from (Path(parent, name) for name in sorted(names) if new and name[0] != ".")


def _subset(stem: Path) -> str:
    parents = tuple(part.lower() for part in stem.parts[:-1])
    return FOLDERS.get(parents[-1:]) or FOLDERS.get(parents[-2:]) or "other"


def _photo(stem: Path) -> str:
    """Which photo a face was cut from: afw:134212 for afw/134212_1, lfpw/trainset:image_0001 for lfpw/trainset/image_0001."""
    parents = stem.parts[:-1]
    name = next((part.lower() for part in parents[-2:] if part.lower() in NUMBERED_FACES), None)
    if name:
        return f"{name}:{re.sub(r' *_[0-9]+$', '', stem.name)}"
    return f"{'/'.join(parents[-2:])}:{stem.name}"


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _bad_pts(path: str | Path, found: str) -> InputError:
    return InputError(f"{path}: expected {COUNT} points of two numbers, found {found}; mend or remove the file, or pass --skip-bad")
