"""All faces of a folder in one file that loads at once: `faceseed data pack` writes it, `--data FILE` reads it.

    bytes 0-15    "faceseed pack 1\\n"
    bytes 16-31   length of the header, and its CRC-32 (two little-endian 64-bit integers)
    bytes 32-     the header, JSON: columns (names, subsets, photos, folds), skipped, and for each block dtype, shape, offset, crc32
    blocks        images uint8 (N, 256, 256), landmarks float64 (N, 68, 2), boxes float64 (N, 4)

All numbers are little-endian. Each block begins at a multiple of 4096 bytes; offsets count from the first block.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from models.faces.crops import CROP, Faces
from models.faces.landmarks import COUNT
from nn.errors import InputError, shown
from nn.files import MIB, refuse_endless

MAGIC = b"faceseed pack 1\n"
PAGE = 4096
HEAD = len(MAGIC) + 16
COLUMNS = ("names", "subsets", "photos", "folds")
HEADER_BYTES = 16 * MIB  # some 100,000 faces
FAR = 1e8  # px of the crop


def save(faces: Faces, path: Path) -> None:
    """Writes the faces. The file appears under its name only when every byte is on the disk.

    Raises InputError where `path` exists already or cannot be written; then nothing is left behind.
    """
    if os.path.lexists(path):
        raise InputError(f"{shown(path)}: exists already; choose another file, or remove it")
    blocks, _ = _layout(len(faces))
    for name, block in blocks.items():
        block["crc32"] = zlib.crc32(np.ascontiguousarray(getattr(faces, name), block["dtype"]).data)
    record = {"columns": {name: getattr(faces, name) for name in COLUMNS}, "skipped": faces.skipped, "blocks": blocks}
    header = json.dumps(record).encode()
    if len(header) > HEADER_BYTES:
        raise InputError(f"{shown(path)}: too many faces, or too long names, for one file; pack subfolders")
    start = _aligned(HEAD + len(header))
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        with open(unfinished, "xb") as file:  # never through a link that somebody laid there
            file.write(MAGIC + len(header).to_bytes(8, "little") + zlib.crc32(header).to_bytes(8, "little") + header)
            for name, block in blocks.items():
                file.seek(start + block["offset"])
                file.write(np.ascontiguousarray(getattr(faces, name), block["dtype"]).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(
            f"{shown(path)}: cannot be written ({error.strerror}); make room or rights there, or choose another place"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | Path) -> Faces:
    """The faces of a file that `save` wrote; the images stay on the disk until they are looked at.

    Every block is held against its checksum. Raises InputError where the file is of another kind, cut short or damaged.
    """
    refuse_endless(path, "a pack")
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            length, crc = (int.from_bytes(head[at : at + 8], "little") for at in (16, 24))
            header = file.read(min(length, HEADER_BYTES)) if head.startswith(MAGIC) else b""
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read ({error.strerror}); give a file that `faceseed data pack` made") from None
    if not head.startswith(MAGIC):
        raise InputError(f"{shown(path)}: no such folder, and no file that `faceseed data pack` made; give the one or the other")
    try:
        if len(header) != length or zlib.crc32(header) != crc:
            raise ValueError("its header")
        record = json.loads(header)
        columns, skipped, blocks = record["columns"], record["skipped"], record["blocks"]
        expected, size = _layout(len(columns["names"]))
        start = _aligned(HEAD + length)
        if any(len(columns[name]) != len(columns["names"]) for name in COLUMNS) or not all(map(_is_column, [*columns.values(), skipped])):
            raise ValueError("its columns")
        if os.path.getsize(path) != start + size:
            raise ValueError(f"{os.path.getsize(path)} of {start + size} bytes")
        data = np.memmap(path, np.uint8, mode="r")[start:]
        arrays = {name: _block(name, data, blocks[name], block) for name, block in expected.items()}
        _check(arrays["landmarks"], arrays["boxes"])
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError) as error:
        raise InputError(f"{shown(path)}: damaged or cut short ({error}); pack the folder anew, or bring a whole copy") from None
    names, subsets, photos, folds = (columns[name] for name in COLUMNS)
    return Faces(arrays["images"], arrays["landmarks"], names, subsets, photos, folds, arrays["boxes"], skipped)


def _layout(n: int) -> tuple[dict[str, dict[str, Any]], int]:
    """Dtype, shape and offset of each block for n faces, and the size of all."""
    blocks: dict[str, dict[str, Any]] = {}
    offset = 0
    for name, dtype, shape in (("images", "|u1", [n, CROP, CROP]), ("landmarks", "<f8", [n, COUNT, 2]), ("boxes", "<f8", [n, 4])):
        offset = _aligned(offset)
        blocks[name] = {"dtype": dtype, "shape": shape, "offset": offset}
        offset += int(np.prod(shape)) * np.dtype(dtype).itemsize
    return blocks, offset


def _block(name: str, data: np.ndarray, stored: dict[str, Any], expected: dict[str, Any]) -> np.ndarray:
    """One block as an array on the file; raises ValueError where it is not what the header and the checksum say."""
    if {key: stored[key] for key in expected} != expected:
        raise ValueError(f"its {name}: another layout")
    dtype = np.dtype(expected["dtype"])
    size = int(np.prod(expected["shape"])) * dtype.itemsize
    block = np.asarray(data[expected["offset"] :][:size])
    if zlib.crc32(block.data) != stored["crc32"]:
        raise ValueError(f"the checksum of its {name}")
    return block.view(dtype).reshape(expected["shape"])


def _is_column(column: object) -> bool:
    """Whether it is a list of printable texts."""
    return isinstance(column, list) and all(isinstance(text, str) and text.isprintable() for text in column)


def _check(landmarks: np.ndarray, boxes: np.ndarray) -> None:
    """Raises ValueError where landmarks (N, 68, 2) are none of faces, or boxes (N, 4) neither boxes nor nan."""
    near = (np.abs(landmarks) <= FAR).all((1, 2))
    if not near.all() or (np.ptp(landmarks, axis=1).max(1) <= 0).any():
        raise ValueError("its landmarks")
    if not (np.isnan(boxes).all(1) | (boxes[:, :2] < boxes[:, 2:]).all(1)).all():
        raise ValueError("its boxes")


def _aligned(offset: int) -> int:
    """The next multiple of 4096."""
    return -(-offset // PAGE) * PAGE
