"""What may be wrong with a set of annotated faces: counts, odd files, misplaced landmarks, and pictures that are there twice.

Thresholds were chosen on the 1,911 training faces of 300-W that we had (LFPW 805, HELEN 870, AFW 236).
"""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.faces import opencv as cv2
from models.faces.crops import CROP, Faces, crop_face
from models.faces.ibug import Entry, official_folder, read_original
from models.faces.landmarks import COUNT, LEFT_EYE, MOUTH, PARTS, RIGHT_EYE, face_size
from nn.cpu.threads import one_blas_thread

OFFICIAL = {
    ("afw",): 337,
    ("helen", "trainset"): 2000,
    ("lfpw", "trainset"): 811,
    ("helen", "testset"): 330,
    ("lfpw", "testset"): 224,
    ("ibug",): 135,
    ("300w", "01_indoor"): 300,
    ("300w", "02_outdoor"): 300,
}
TOTALS = {"train": 3148, "common": 554, "challenging": 135, "full": 689, "private": 600}

SMALL = 30  # px: a face no larger shows no eyelids
ALIKE = 36  # of 256 bits: no false pair up to 38, the first at 40; crops moved by 2 px differ in 36 on the median, JPEG of quality 30 in 7
FACES, MODES, FAR = 20, 20, 10.0  # the shape model: faces it needs, modes at most, and how many deviations are implausible
SCATTER = 4.0  # % of the face size: nearer than this is no mistake worth a word


@dataclass(frozen=True)
class Sight:
    """What is kept of a face that was looked at."""

    name: str
    subset: str
    fold: str
    photo: str
    landmarks: np.ndarray  # (68, 2), crop pixels
    checksum: int  # of the crop's pixels
    bits: np.ndarray  # bool (256,): its difference hash
    odd: tuple[str, ...]  # usable, but worth a word


class Outlier(NamedTuple):
    """A face with a landmark that the others do not explain."""

    face: int
    landmark: int
    percent: float  # how far it lies from where the shape model puts it, of the face size
    score: float  # deviations (MAD) above the median


class Twins(NamedTuple):
    """Faces that show the same."""

    faces: list[int]
    same: bool  # to the pixel
    leak: bool  # the same pixels in training and test folders


def look(entry: Entry) -> Sight:
    """One face on disk; raises InputError where it cannot be used."""
    assert entry.image
    gray, points = read_original(entry)
    height, width = gray.shape
    odd = odd_file(entry.image) + odd_points(points)
    if outside := COUNT - ((points > -1) & (points < [width, height])).all(1).sum():
        odd.append(f"{outside} landmarks outside the image")
    crop, landmarks = crop_face(gray, points)
    return Sight(entry.name, entry.subset, entry.fold, entry.photo, landmarks, pixels_crc(crop), difference_hash(crop), tuple(odd))


def sights(faces: Faces) -> list[Sight]:
    """Faces that are cropped already."""
    rows = zip(faces.names, faces.subsets, faces.folds, faces.photos, faces.landmarks, faces.images, strict=True)
    return [
        Sight(name, subset, fold, photo, points, pixels_crc(crop), difference_hash(crop), tuple(odd_points(points)))
        for name, subset, fold, photo, points, crop in rows
    ]


def odd_points(points: np.ndarray) -> list[str]:
    """Landmarks (68, 2) of a face that stands on its head, is mirrored, or is tiny."""
    left, right, mouth = (points[part].mean(0) for part in (LEFT_EYE, RIGHT_EYE, MOUTH))
    across, down = right - left, mouth - (left + right) / 2
    odd = []
    if across[0] * down[1] < across[1] * down[0]:  # turned as it may be, a face has its mouth on the same side of its eyes
        odd.append("mirrored: left and right landmarks exchanged, or the image flipped without them")
    elif across[0] < 0 and down[1] < 0:
        odd.append("upside down")
    if face_size(points) <= SMALL:
        odd.append(f"the face is only {face_size(points):.0f} px")
    return odd


def odd_file(path: Path) -> list[str]:
    """What a PNG or JPEG file says of itself that photos usually do not: 16 bits, transparency, CMYK."""
    with open(path, "rb") as file:
        head = file.read(26)
        if head.startswith(b"\x89PNG") and len(head) == 26:
            depth, colour = head[24], head[25]
            odd = ["16 bits a channel, read as 8"] if depth == 16 else []
            return [*odd, "transparency, left out"] if colour in (4, 6) else odd
        if head.startswith(b"\xff\xd8"):
            file.seek(2)
            while len(mark := file.read(4)) == 4 and mark[0] == 0xFF:
                if 0xC0 <= mark[1] <= 0xCF and mark[1] not in (0xC4, 0xC8, 0xCC):  # the frame: precision, height, width, channels
                    return ["CMYK, read through RGB"] if file.read(6)[5:] == b"\x04" else []
                file.seek(int.from_bytes(mark[2:], "big") - 2, 1)
    return []


def pixels_crc(crop: np.ndarray) -> int:
    """CRC-32 of a picture's pixels."""
    return zlib.crc32(np.ascontiguousarray(crop).data)


def difference_hash(crop: np.ndarray) -> np.ndarray:
    """Whether each of 16 x 16 cells over the face, the crop's middle half, is brighter than its left neighbour: bool (256,)."""
    middle = crop[CROP // 4 : -CROP // 4, CROP // 4 : -CROP // 4]
    cells = cv2.resize(middle, (17, 16), interpolation=cv2.INTER_AREA)
    return (cells[:, 1:] > cells[:, :-1]).ravel()


@one_blas_thread()  # many small products
def twins(seen: Sequence[Sight]) -> list[Twins]:
    """Groups of faces whose hashes differ in at most 36 of 256 bits, each from some other of its group, the largest groups first."""
    signs = np.where([sight.bits for sight in seen], np.float32(1), np.float32(-1))  # (N, 256)
    left = np.ones(len(seen), bool)
    groups = []
    for first in range(len(seen)):
        group = [first] if left[first] else []
        for face in group:  # it grows on the way
            left[face] = False
            near = np.flatnonzero(left & (signs @ signs[face] >= 256 - 2 * ALIKE))
            left[near] = False
            group += near.tolist()
        if len(group) > 1:
            groups.append(sorted(group))
    return [_twins(group, seen) for group in sorted(groups, key=len, reverse=True)]


def _twins(group: list[int], seen: Sequence[Sight]) -> Twins:
    sides = defaultdict(set)
    for face in group:
        sides[seen[face].checksum].add(seen[face].subset in ("train", "other"))
    return Twins(group, len(sides) == 1, any(len(side) > 1 for side in sides.values()))


def photos_in_two_subsets(seen: Sequence[Sight]) -> dict[str, list[str]]:
    """Photos, by their names, that are in several subsets, with these. The numbers of AFW and HELEN are Flickr's: the same in both."""
    subsets = defaultdict(set)
    for sight in seen:
        subsets[re.sub(r"^(afw|helen):(?=\d+$)", "Flickr ", sight.photo)].add(sight.subset)
    return {photo: sorted(found) for photo, found in sorted(subsets.items()) if len(found) > 1}


@one_blas_thread()
def outliers(landmarks: np.ndarray) -> list[Outlier]:
    """Faces (N, 68, 2) with an implausible landmark, worst first; none where there are fewer than 20 faces.

    The more faces, the finer the model: 20 show gross mistakes only, some hundred a landmark that is off by a seventh of the face.

    Each face is aligned to the mean shape, and what up to 20 principal modes (pose, expression; one a 20 faces) leave over is measured for
    every landmark in units of its median over the faces. A face's largest is far where it exceeds the median of all faces' largest by 10
    median absolute deviations, and 4 % of the face size. The modes are fitted three times, without the faces that were suspect before.
    """
    if len(landmarks) < FACES:
        return []
    shapes, sizes = _aligned(landmarks)
    flat = shapes.reshape(len(shapes), -1)
    usual = np.ones(len(flat), bool)
    for _ in range(3):
        mean = flat[usual].mean(0)
        modes = np.linalg.svd(flat[usual] - mean, full_matrices=False)[2][: min(MODES, len(flat) // FACES)]
        centred = flat - mean
        residual = np.linalg.norm((centred - centred @ modes.T @ modes).reshape(shapes.shape), axis=-1)  # (N, 68)
        ratio = residual / (np.median(residual, 0) + 1e-6)
        worst = ratio.max(1)
        score = (worst - np.median(worst)) / (np.median(np.abs(worst - np.median(worst))) + 1e-6)
        usual = score < FAR / 2
    points = ratio.argmax(1)
    percent = 100 * residual[np.arange(len(flat)), points] * sizes / face_size(landmarks)
    far = sorted(np.flatnonzero((score > FAR) & (percent > SCATTER)), key=lambda face: -score[face])
    return [Outlier(int(n), int(points[n]), float(percent[n]), float(score[n])) for n in far]


def _aligned(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Generalised Procrustes: faces (N, 68, 2) moved, scaled and turned upon their median shape, and their scale (N,) before."""
    z = landmarks[..., 0] + 1j * landmarks[..., 1]  # a turn is a product of complex numbers
    z = z - z.mean(1, keepdims=True)
    sizes = np.sqrt((np.abs(z) ** 2).mean(1))
    z /= sizes[:, None]
    mean = z[0]
    for _ in range(5):
        turn = z @ mean.conj()
        z *= (turn.conj() / (np.abs(turn) + 1e-12))[:, None]
        mean = np.median(z.real, 0) + 1j * np.median(z.imag, 0)
    return np.stack([z.real, z.imag], axis=-1), sizes


def part_of(landmark: int) -> str:
    """The part of the face that a landmark belongs to."""
    return next(part for part, indices in PARTS.items() if landmark in indices)


class Count(NamedTuple):
    """How many faces a folder or a subset has, and how many the official one."""

    name: str
    found: int
    official: int | None

    def verdict(self) -> str:
        """In words."""
        if self.official is None:
            return ""
        if not self.found:
            return "absent"
        more = self.found - self.official
        return "ok" if not more else f"{more:,} more than official" if more > 0 else f"{-more:,} missing"


def counts(subsets: Iterable[str], images: Iterable[Path] | None = None) -> list[Count]:
    """Faces by official folder, where the images' paths are given, and by subset; "full" is common and challenging together."""
    rows = []
    if images is not None:
        folders = Counter(map(official_folder, images))
        rows = [Count("/".join(folder), folders[folder], official) for folder, official in OFFICIAL.items()]
    found = Counter(subsets)
    found["full"] = found["common"] + found["challenging"]
    rows += [Count(name, found[name], official) for name, official in TOTALS.items()]
    return rows + [Count("other", found["other"], None)] * bool(found["other"])
