"""Reads faces with 68 landmarks in the layout of the official 300-W archives.

    afw/*.jpg   helen/{trainset,testset}/*.jpg   lfpw/{trainset,testset}/*.png   ibug/*.jpg   300W/{01_Indoor,02_Outdoor}/*.png

each image beside a .pts file of the same name. The folders may lie under any other folders; images elsewhere are the subset "other".
Images are .jpg, .jpeg and .png, suffixes in capitals or not. Hidden files, __MACOSX and files with other suffixes are passed over.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from models.faces import pack
from models.faces.crops import CROP, Faces, crop_face, crop_matrix
from models.faces.detect import BoxRow, read_boxes
from models.faces.geometry import apply
from models.faces.landmarks import COUNT, face_size, tight_box
from models.faces.opencv import SIDE, read_gray
from models.faces.pts import read_pts
from nn.errors import InputError, shown

T = TypeVar("T")

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
DEEPEST = 100  # folders one in the other
NUMBERED_FACES = {"afw", "helen", "ibug"}  # their names end in _<face index>; those of LFPW and 300W in the number of the photo


@dataclass(frozen=True)
class Entry:
    """One face on disk; without its image or without its .pts when a folder is incomplete."""

    name: str  # path below the folder, without the suffix, printable
    image: Path | None
    pts: Path | None
    subset: str
    photo: str
    fold: str
    box: np.ndarray  # of a boxes.csv, in pixels of the image; nan where there is none


class Original(NamedTuple):
    """An annotated photo as it is on disk."""

    gray: np.ndarray  # uint8 (H, W)
    points: np.ndarray  # (68, 2) in its pixels


Bad = Callable[[InputError], None]  # what to do with a file that cannot be used


def stop(error: InputError) -> None:
    """Bad files stop the reading."""
    raise InputError(f"{error}, or pass --skip-bad")


def reason(error: InputError) -> str:
    """The path and what is wrong with it, without the advice that stands behind the last semicolon."""
    return str(error).rsplit("; ", 1)[0]


def find(folder: str | Path, bad: Bad = stop) -> list[Entry]:
    """Every image and every .pts below `folder`, paired by name and in the order of their names.

    A boxes.csv in any of the folders names fold, photo and a detector's box. Raises InputError when the folder is missing or holds no
    image. `bad` is told, and may raise, when a folder or a boxes.csv cannot be read, a name is that of a pipe or device, or two images
    have one name: the first is kept.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise InputError(f"{shown(folder)}: no such folder; give the folder that holds the faces (afw, helen, lfpw, ibug, 300W)")
    images: dict[Path, Path] = {}
    pts: dict[Path, Path] = {}
    rows: dict[Path, BoxRow] = {}
    for path in _files(folder, bad):
        stem, suffix = path.with_suffix(""), path.suffix.lower()
        if suffix in IMAGES and stem in images:
            same = shown(images[stem].name)
            bad(InputError(f"{shown(path)}: {same} beside it has the same name and would share its .pts; keep one of the two"))
        elif suffix in IMAGES:
            images[stem] = path
        elif suffix == ".pts":
            pts[stem] = path
        else:
            try:
                rows |= {path.parent / name: row for name, row in read_boxes(path).items()}
            except InputError as error:
                bad(error)
    if not images:
        raise InputError(f"{shown(folder)}: expected images (.jpg or .png) with .pts files, found none; unpack the 300-W archives there")
    nothing = BoxRow(np.full(4, np.nan), "", "")

    def entry(stem: Path) -> Entry:
        row = rows.get(stem, nothing)
        name, photo = shown(stem.relative_to(folder).as_posix()), shown(row.photo or _photo(stem))
        return Entry(name, images.get(stem), pts.get(stem), FOLDERS.get(official_folder(stem), "other"), photo, shown(row.fold), row.box)

    return [entry(stem) for stem in sorted(images | pts)]


def load(
    path: str | Path,
    subsets: Iterable[str] | None = None,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Faces:
    """Reads and crops the faces below the folder `path`, those of the named subsets or all; or reads a file that `pack.save` wrote.

    `skip_bad` leaves out, and lists in `skipped`, what would otherwise raise InputError: an image without .pts, an unreadable image or
    .pts, landmarks that all coincide or hardly lie on the image, and what `find` calls bad. A .pts without an image is always listed.
    `progress(done, total)` is called after each face.
    """
    wanted = SUBSETS if subsets is None else tuple(subsets)
    if unknown := set(wanted) - set(SUBSETS):
        raise InputError(f"subset {', '.join(sorted(unknown))} is unknown: choose among {', '.join(SUBSETS)}")
    skipped: list[str] = []

    def skip(error: InputError) -> None:
        skipped.append(reason(error))

    if Path(path).is_file():
        everything = pack.load(path)
        faces = everything if subsets is None else everything[np.isin(everything.subsets, wanted)]
        skipped, count = everything.skipped, len(everything)
    else:
        bad = skip if skip_bad else stop
        entries = [entry for entry in find(path, bad) if entry.subset in wanted]
        skipped += incomplete(path, entries, skip_bad)
        faces, count = read(entries, bad, progress), len(entries)
    if not len(faces):
        raise InputError(f"{shown(path)}: no usable face of the subsets {', '.join(wanted)} among {count} files; check the folder")
    faces.skipped = skipped
    return faces


def incomplete(folder: str | Path, entries: list[Entry], skip_bad: bool = True) -> list[str]:
    """A line for each image without .pts and each .pts without image. Raises InputError on the former without `skip_bad`."""
    alone = [entry.image for entry in entries if entry.image and not entry.pts]
    orphans = [entry.pts for entry in entries if entry.pts and not entry.image]
    if alone and not skip_bad:
        first = next(entry.name for entry in entries if not entry.pts)
        raise InputError(
            f"{shown(folder)}: expected a .pts beside every image, found none for {len(alone)} of {len(entries) - len(orphans)} images "
            f"(first: {first}), and {len(orphans)} .pts without an image; add them or pass --skip-bad"
        )
    lines = [f"{shown(path)}: no .pts of that name beside it" for path in alone]
    return lines + [f"{shown(path)}: no .jpg or .png of that name beside it" for path in orphans]


def read(entries: Iterable[Entry], bad: Bad = stop, progress: Callable[[int, int], None] | None = None) -> Faces:
    """Reads and crops the entries that have image and .pts. Photos are decoded in threads and only their crops are kept."""
    entries = [entry for entry in entries if entry.image and entry.pts]
    kept: list[Entry] = []
    faces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for done, (entry, face) in enumerate(zip(entries, in_threads(_read_face, entries), strict=True), start=1):
        if isinstance(face, InputError):
            bad(face)
        else:
            kept.append(entry)
            faces.append(face)
        if progress:
            progress(done, len(entries))
    return Faces(
        images=np.array([crop for crop, _, _ in faces], np.uint8).reshape(-1, CROP, CROP),
        landmarks=np.array([points for _, points, _ in faces], np.float64).reshape(-1, COUNT, 2),
        names=[entry.name for entry in kept],
        subsets=[entry.subset for entry in kept],
        photos=[entry.photo for entry in kept],
        folds=[entry.fold for entry in kept],
        boxes=np.array([box for _, _, box in faces], np.float64).reshape(-1, 4),
    )


def in_threads(function: Callable[[Entry], T], entries: Iterable[Entry]) -> Iterator[T | InputError]:
    """What `function` gives for each entry, or its InputError, in order. OpenCV decodes without holding Python's lock."""

    def attempt(entry: Entry) -> T | InputError:
        try:
            return function(entry)
        except InputError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(attempt, entries)


def read_original(entry: Entry) -> Original:
    """An entry's photo and landmarks as they are on disk; raises InputError where they do not make a face."""
    assert entry.image and entry.pts
    points = read_pts(entry.pts)
    path = shown(entry.pts)
    if (points.max(0) < points.min(0) + 1).all():
        raise InputError(f"{path}: expected a face, found {COUNT} points in one place; mend or remove it")
    gray = read_gray(entry.image)
    height, width = gray.shape
    x0, y0, x1, y1 = tight_box(points)
    middle = np.sort(points, axis=0)[4:-4]  # a stray landmark must not make the face larger by which it is judged
    room = face_size(np.clip(middle, -SIDE, 2 * SIDE))
    inside = ((points > -1) & (points < [width, height])).all(1).sum()
    if min(x0, y0) < -room or x1 > width - 1 + room or y1 > height - 1 + room or inside < COUNT // 4:
        raise InputError(
            f"{path}: expected landmarks on the {width} x {height} image, found {inside} there, "
            f"x {round(x0):.9g} to {round(x1):.9g}, y {round(y0):.9g} to {round(y1):.9g}; "
            "does it belong to another image? Mend or remove it"
        )
    return Original(gray, points)


def _read_face(entry: Entry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One annotated face: crop (256, 256), landmarks (68, 2) and a detector's box (4,), both in crop pixels."""
    gray, points = read_original(entry)
    crop, landmarks = crop_face(gray, points)
    return crop, landmarks, apply(crop_matrix(gray.shape, points), entry.box.reshape(2, 2)).ravel()


def _files(folder: Path, bad: Bad) -> Iterator[Path]:
    """Images, .pts and boxes.csv below the folder, without hidden ones; links are followed but no folder is entered twice.

    A folder with the name of an image is given too: it cannot be read, and so it is told.
    """

    def unreadable(error: OSError) -> None:
        bad(InputError(f"{shown(error.filename)}: cannot be read ({error.strerror}); mend its rights"))

    seen = set()
    for parent, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        new = (real := os.path.realpath(parent)) not in seen
        seen.add(real)
        found = [Path(parent, name) for name in sorted(folders + names) if new and name[0] != "."]
        folders[:] = sorted(name for name in folders if new and name[0] != "." and name != "__MACOSX")
        if folders and len(Path(parent).parts) - len(folder.parts) == DEEPEST:  # os.walk calls itself
            bad(InputError(f"{shown(parent)}: expected at most {DEEPEST} folders one in the other, found more; unpack it elsewhere"))
            folders.clear()
        for path in found:
            if path.suffix.lower() not in IMAGES | {".pts"} and (path.name != "boxes.csv" or path.is_dir()):
                continue
            if path.exists() and not (path.is_file() or path.is_dir()):  # reading from it might never end
                bad(InputError(f"{shown(path)}: expected a file, found a pipe or a device; remove it"))
            else:
                yield path


def official_folder(path: Path) -> tuple[str, ...]:
    """The key of FOLDERS that a file lies in, () for none."""
    parents = tuple(part.lower() for part in path.parts[:-1])
    return next((tail for tail in (parents[-1:], parents[-2:]) if tail in FOLDERS), ())


def _photo(stem: Path) -> str:
    """Which photo a face was cut from: afw:134212 for afw/134212_1, lfpw/trainset:image_0001 for lfpw/trainset/image_0001."""
    parents = stem.parts[:-1]
    name = next((part.lower() for part in parents[-2:] if part.lower() in NUMBERED_FACES), None)
    if name:
        return f"{name}:{re.sub(r' *_[0-9]+$', '', stem.name)}"
    return f"{'/'.join(parents[-2:])}:{stem.name}"
