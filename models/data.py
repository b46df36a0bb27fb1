"""`faceseed data`: check a folder of annotated faces, pack it into one file, show some of them."""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.faces import draw, ibug
from models.faces import pack as packs
from models.faces.audit import FACES, Count, Sight, Twins, counts, look, outliers, part_of, photos_in_two_subsets, sights, twins
from models.faces.augment import view
from models.faces.crops import Faces
from nn.errors import InputError, shown

LINES = 20  # of one kind that are printed; --json has all
EVERY = 500  # faces between two lines of progress
MOST = 300  # faces on a sheet


@dataclass
class Found:
    """What `check` found; every entry of a list is a line."""

    path: str
    faces: int
    photos: int
    counts: list[Count]
    unusable: list[str]
    odd: list[str]
    misplaced: list[str]
    leaks: list[str]
    twins: list[str]
    photos_in_two_subsets: list[str]

    def wrong(self) -> bool:
        """Files that cannot be used, or the same picture in training and test folders."""
        return bool(self.unusable or self.leaks)


def check(path: Path, json_to: Path | None = None) -> int:
    """Reads everything below a folder, or in a pack, and prints what is there and what is wrong with it; with `json_to` writes it too.

    Returns 1 where files cannot be used or the same picture is in training and test folders, else 0. Raises InputError only where
    there is nothing to check.
    """
    if json_to and (json_to.is_dir() or not json_to.absolute().parent.is_dir()):
        raise InputError(f"{json_to}: expected a file in a folder that exists; make the folder, or give another --json")
    found = survey(path)
    print(text(found))
    if json_to:
        record = asdict(found) | {"counts": [row._asdict() for row in found.counts], "wrong": found.wrong()}
        json_to.write_text(json.dumps(record, indent=2) + "\n")
    return int(found.wrong())


def survey(path: Path) -> Found:
    """Look at every face, at a few kilobytes a face."""
    unusable: list[str] = []
    if path.is_file():
        faces = packs.load(path)
        seen, rows = sights(faces), counts(faces.subsets)
        odd = [f"{line} (left out when this was packed)" for line in faces.skipped]
    else:
        entries = ibug.find(path, lambda error: unusable.append(ibug.reason(error)))
        unusable += ibug.incomplete(path, entries)
        pairs = [entry for entry in entries if entry.image and entry.pts]
        seen, odd = [], []
        for done, sight in enumerate(ibug.in_threads(look, pairs), start=1):
            if isinstance(sight, Sight):
                seen.append(sight)
            else:
                unusable.append(ibug.reason(sight))
            if done % EVERY == 0:
                print(f"looked at {done:,} of {len(pairs):,}", file=sys.stderr, flush=True)
        rows = counts((entry.subset for entry in pairs), (entry.image for entry in pairs if entry.image))
    odd += [f"{sight.name}: {', '.join(sight.odd)}" for sight in seen if sight.odd]
    groups = sorted(twins(seen), key=lambda group: len({place(seen[face]) for face in group.faces}), reverse=True)

    return Found(
        path=shown(path),
        faces=len(seen),
        photos=len({sight.photo for sight in seen}),
        counts=rows,
        unusable=unusable,
        odd=odd,
        misplaced=[
            f"{seen[one.face].name}: landmark {one.landmark} ({part_of(one.landmark)}) {one.percent:.0f} % of the face size off, "
            f"score {one.score:.1f}"
            for one in outliers(np.array([sight.landmarks for sight in seen]).reshape(-1, 68, 2))
        ],
        leaks=[told(group, seen) for group in groups if group.leak],
        twins=[told(group, seen) for group in groups if not group.leak],
        photos_in_two_subsets=[f"{photo}: {', '.join(subsets)}" for photo, subsets in photos_in_two_subsets(seen).items()],
    )


def told(group: Twins, seen: list[Sight]) -> str:
    """A line for faces that show the same: where they lie, and their names."""
    members = [seen[face] for face in group.faces]
    places = sorted({place(sight) for sight in members})
    named = ", ".join(sight.name if len(places) == 1 else f"{sight.name} ({place(sight)})" for sight in members)
    return f"{'the same pixels' if group.same else 'alike'}, in {' and '.join(places)}: {named}"


def place(sight: Sight) -> str:
    """The subset that a face lies in; of the training folders, the fold where it is known."""
    return sight.fold or sight.subset


def text(found: Found) -> str:
    """The report."""
    lines = [f"{found.path}: {found.faces:,} usable faces of {found.photos:,} photos", ""]
    lines.append(f"{'':<18}{'faces':>8}{'official':>10}")
    for row in found.counts:
        lines.append(f"{row.name:<18}{row.found:>8,}{'' if row.official is None else f'{row.official:,}':>10}  {row.verdict()}".rstrip())
    few = f" (not judged: fewer than {FACES} faces)" if found.faces < FACES else ""
    for heading, rows in {
        "cannot be used": found.unusable,
        "the same pixels in training and test folders": found.leaks,
        "odd, but usable": found.odd,
        f"landmarks that the other faces make implausible, worst first{few}": found.misplaced,
        "the same face more than once": found.twins,
        "photos in two subsets, by name": found.photos_in_two_subsets,
    }.items():
        lines += ["", f"{heading}: {len(rows) or 'none'}", *(f"  {row}" for row in rows[:LINES])]
        if len(rows) > LINES:
            lines.append(f"  and {len(rows) - LINES:,} more; --json FILE lists all")
    lines += ["", "wrong: see the first two lists" if found.wrong() else "nothing wrong"]
    return "\n".join(lines)


def pack(path: Path, out: Path, skip_bad: bool = False) -> None:
    """Reads the faces below `path` and writes them to one file that `--data` takes, and says what was left out, how large and how long.

    Raises InputError where `out` exists, and as `ibug.load` does.
    """
    if os.path.lexists(out) or not out.absolute().parent.is_dir():
        raise InputError(f"{shown(out)}: exists already, or its folder does not; choose another file")
    start = time.perf_counter()
    faces = ibug.load(path, skip_bad=skip_bad, progress=say_read)
    read = time.perf_counter()
    packs.save(faces, out)
    for line in faces.skipped:
        print(f"skipped: {line}")
    megabytes, wrote = out.stat().st_size / 1e6, time.perf_counter()
    print(f"{shown(out)}: {len(faces):,} faces, {len(faces.skipped)} files skipped, {megabytes:.0f} MB")
    print(f"read in {read - start:.1f} s, written in {wrote - read:.1f} s; use it as --data {shown(out)}")


def say_read(done: int, total: int) -> None:
    """A line of progress now and then."""
    if done % EVERY == 0:
        print(f"read {done:,} of {total:,}", file=sys.stderr, flush=True)


def show(path: Path, out: Path, count: int = 24, seed: int = 0, kind: str = "original") -> None:
    """Draws faces of a folder or a pack, chosen at random, with their landmarks, as one of the three training sets shows them.

    Raises InputError where `out` is no new .png, or there is no face to draw.
    """
    if out.suffix.lower() != ".png" or os.path.lexists(out) or not out.absolute().parent.is_dir():
        raise InputError(f"{shown(out)}: expected the name of a new .png in a folder that exists; choose another --out")
    if not 1 <= count <= MOST or seed < 0:
        raise InputError(f"--count {count} --seed {seed}: expected 1 to {MOST} faces, and a seed of 0 or more")
    rng = np.random.default_rng(seed)
    faces = some(path, count, rng)
    images, points = view(faces, np.arange(len(faces)), kind, rng, size=224)
    captions = [f"{name[-28:]}\n{subset}".replace("$", r"\$") for name, subset in zip(faces.names, faces.subsets, strict=True)]
    figure, axes = draw.sheet(draw.in_rows(images), captions, {"landmarks": {"color": draw.PREDICTED}})
    for ax, face in zip(axes, points, strict=True):
        draw.face_lines(ax, face, draw.PREDICTED, linewidth=0.9)
        ax.plot(*face.T, ".", color=draw.TRUE, markersize=2.2)
    figure.savefig(out, dpi=draw.DPI)
    print(f"{shown(out)}: {len(faces)} faces, {kind}")


def some(path: Path, count: int, rng: np.random.Generator) -> Faces:
    """Up to `count` faces drawn at random, in the order of their names; of a folder only these are read, and bad ones left out."""
    if path.is_file():
        faces = packs.load(path)
        return faces[np.sort(rng.permutation(len(faces))[:count])]
    entries = [entry for entry in ibug.find(path, say_skipped) if entry.image and entry.pts]
    faces = ibug.read([entries[k] for k in np.sort(rng.permutation(len(entries))[:count])], say_skipped)
    if not len(faces):
        raise InputError(f"{shown(path)}: none of the chosen faces could be read; run `faceseed data check` on it")
    return faces


def say_skipped(error: InputError) -> None:
    """One line for a file that is left out."""
    print(f"skipped: {ibug.reason(error)}", file=sys.stderr)
