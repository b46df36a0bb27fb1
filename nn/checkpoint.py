"""A checkpoint: named arrays and a small JSON record in one .npz file, without pickle, written whole or not at all.

The record also holds the number of the format, the version of faceseed, and a SHA-256 over the record and the names, types, shapes and
bytes of all arrays. Reading trusts none of it: sizes are held against the file's own before anything is unpacked, and an array's header
must be what NumPy writes, letter for letter. Files of format 0, of earlier versions, have no SHA-256, only zip's CRC-32 of each array.
"""

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nn.errors import InputError
from nn.files import refuse_endless

FORMAT = 1
RECORD = "record.json"
UNFINISHED = ".unfinished"  # how the name of a file ends while it is written
MEMBERS = 10_000  # arrays in a file, at most
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<>|][biuf]\d\d?)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n", re.DOTALL
)


class Foreign(ValueError):
    """A file that no version of this module wrote."""


# ---- writing ----


def save(path: Path, arrays: dict[str, np.ndarray], record: dict[str, Any], previous: Path | None = None) -> None:
    """Write arrays and record; the file that had the name before is then called `previous`. Raises OSError, naming `path`."""
    record = json.loads(json.dumps(record | {"format": FORMAT, "version": version("faceseed")}))  # as it will be read
    record["sha256"] = digest(arrays, record)
    contents: dict[str, Any] = arrays | {RECORD: np.frombuffer(json.dumps(record).encode(), np.uint8)}
    with whole(path, previous) as file:
        np.savez(file, **contents)


def digest(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> str:
    """SHA-256 over the record, and names, types, shapes and bytes of the arrays."""
    made = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        made.update(f"{name} {array.dtype.str} {array.shape}".encode())
        made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


@contextmanager
def whole(path: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write, which appears under its name when every byte is on the disk; what had the name before keeps it until then.

    A crash leaves the old file, and perhaps one whose name ends in .unfinished. An OSError names `path` and leaves nothing unfinished.
    """
    unfinished = beside(path)
    try:
        unfinished.unlink(missing_ok=True)  # never written into: it may be another name of a good file
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous and path.exists():
            link(path, previous)
        os.replace(unfinished, path)
        sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a full disk does not tell it
        raise


def link(path: Path, name: Path) -> None:
    """Let a file be found under another name too, in place of what had that name."""
    spare = beside(name)
    try:
        spare.unlink(missing_ok=True)
        os.link(path, spare)
        os.replace(spare, name)
        spare.unlink(missing_ok=True)  # still there where both names were the file's already
    except OSError:  # not every file system has links
        with whole(name) as copy, open(path, "rb") as original:
            shutil.copyfileobj(original, copy)


def beside(path: Path) -> Path:
    """The name under which a file is written."""
    return path.with_name(path.name + UNFINISHED)


def sync(folder: Path) -> None:
    """Let new names in a folder reach the disk; Windows cannot be asked to."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


# ---- reading ----


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint back: (arrays, record).

    Raises InputError where the file is missing, cut short, damaged, foreign or of a newer version.
    """
    damaged = "train anew, or bring a whole copy of it"
    refuse_endless(path, "a checkpoint")
    try:
        with open(path, "rb") as file:
            arrays, record = read(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; give the folder of a run that `faceseed train` made") from None
    except Foreign as error:
        raise InputError(f"{path}: no checkpoint of faceseed ({error}); give one that `faceseed train` made") from None
    except Exception as error:  # whatever zipfile and NumPy make of damaged bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a whole checkpoint ({reason}); {damaged}") from None
    if (found := record.get("format", 0)) > FORMAT:
        made = f"made by faceseed {record.get('version')} with checkpoint format {found}"
        raise InputError(f"{path}: {made}, this one reads up to {FORMAT}; update faceseed")
    told = record.pop("sha256", None)
    if (told or found) and told != digest(arrays, record):
        raise InputError(f"{path}: damaged, its checksum is not that of its contents; {damaged}")
    record.pop("format", None)
    return arrays, record


def read(file: BinaryIO) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and record as they stand in the file; no arrays where it is of a newer format, which may keep them in another way."""
    if not b"PK\3\4".startswith(file.read(4)):
        raise Foreign("it is no .npz file")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if RECORD + ".npy" not in archive.namelist():
            raise Foreign("it holds no record")
        check_sizes(members, file.seek(0, os.SEEK_END))
        text = array_of(archive.read(RECORD + ".npy")).tobytes()
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            raise Foreign("its record is no JSON") from None
        if not isinstance(record, dict) or type(record.get("format", 0)) is not int:
            raise Foreign("its record is not that of a checkpoint")
        if record.get("format", 0) > FORMAT:
            return {}, record
        arrays = {member.filename.removesuffix(".npy"): array_of(archive.read(member)) for member in members}
    del arrays[RECORD]
    return arrays, record


def check_sizes(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise Foreign where unpacking would take more memory than the file has bytes: NumPy's archives are not compressed."""
    if len(members) > MEMBERS:
        raise Foreign(f"it holds {len(members)} arrays, more than {MEMBERS}")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise Foreign(f"{member.filename!r} in it is compressed")
    if (unpacked := sum(member.file_size for member in members)) > size:
        raise Foreign(f"it has {size} bytes and would unpack to {unpacked}")


def array_of(npy: bytes) -> np.ndarray:
    """The array of an .npy file that NumPy has written, of plain numbers. Raises Foreign on anything else."""
    header = HEADER.match(npy)
    if not header or header.end() != 10 + int.from_bytes(header[1], "little"):
        raise Foreign("what it holds are no arrays of numbers")
    dtype, shape = np.dtype(header[2].decode()), tuple(int(length) for length in header[4].split(b",") if length.strip())
    if header.end() + prod(shape) * dtype.itemsize != len(npy):
        raise Foreign("an array in it is longer or shorter than its shape")
    return np.ndarray(shape, dtype, bytearray(npy), header.end(), order="F" if header[3] == b"True" else "C")


# ---- parts ----


def prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put one part's arrays under its name, "model/conv1.weight", so that several parts share a file."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def part(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of one part, under their own names again."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}
