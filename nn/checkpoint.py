"""A checkpoint: named arrays and a small JSON record in one .npz file, without pickle, written whole or not at all."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nn.errors import InputError

RECORD = "record.json"


def save(path: Path, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
    """Write arrays and record. The file appears under its name only when every byte is on the disk: a crash leaves the old one."""
    contents: dict[str, Any] = arrays | {RECORD: np.frombuffer(json.dumps(record).encode(), np.uint8)}
    unfinished = path.with_name(path.name + ".unfinished")
    with open(unfinished, "wb") as file:
        np.savez(file, **contents)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name itself must reach the disk too
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path, arrays: bool = True) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint back: (arrays, record), without the arrays where only the record is asked for.

    Raises InputError where the file is missing, cut short, damaged or of another kind.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:  # NumPy leaves open what it cannot read
            contents = {name: file[name] for name in (file.files if arrays else [RECORD])}  # reading to the end checks every array's CRC
        record = json.loads(contents.pop(RECORD).tobytes())
        return contents, record
    except FileNotFoundError:
        raise InputError(f"{path}: no such checkpoint; give the folder of a run that `faceseed train` made") from None
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a whole checkpoint ({reason}); train anew, or bring a whole copy of it") from None


def prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put one part's arrays under its name, "model/conv1.weight", so that several parts share a file."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def part(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of one part, under their own names again."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}
