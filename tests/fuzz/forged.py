"""Files whose checksums are right whatever they hold, so that what lies behind the checksums is fuzzed too."""

import io
import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from models.faces import pack as packs
from models.settings import settings_for
from models.tasks import model_for
from nn import checkpoint

POINTS = np.stack([np.arange(68.0), 2 * np.arange(68.0)], axis=1)
BETWEEN = b"\0--\0"  # members of an archive
SMALL = settings_for("cfpd", "tiny", "", changes=["net.width=1", "net.size=16"])
ARRAYS = model_for(SMALL).state()
RECORD = {"faceseed weights": 1, "settings": asdict(SMALL), "photos": ["a"], "mean": np.arange(16.0).reshape(4, 4).tolist()}


def pack(header: bytes, faces: int = 2) -> bytes:
    """A pack with this header, and blocks for so many faces."""
    head = packs.MAGIC + len(header).to_bytes(8, "little") + zlib.crc32(header).to_bytes(8, "little") + header
    return head.ljust(packs._aligned(len(head)), b"\0") + blocks(faces)


def blocks(faces: int) -> bytes:
    """Black images, the landmarks of the seed, no boxes."""
    layout, size = packs._layout(faces)
    made = bytearray(size)
    for name, values in (("landmarks", np.tile(POINTS.ravel(), faces)), ("boxes", np.full(4 * faces, np.nan))):
        made[layout[name]["offset"] : layout[name]["offset"] + values.nbytes] = values.tobytes()
    return bytes(made)


def archive(members: bytes, first: str = checkpoint.RECORD) -> bytes:
    """An .npz of the members: the first one is the record, or an array of another name; the others are arrays."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for k, member in enumerate(members.split(BETWEEN)):
            file.writestr(f"array{k}.npy" if k else f"{first}.npy", member)
    return made.getvalue()


def weights(path: Path, record: bytes) -> bool:
    """A file of weights with this record; False where it is no JSON object, which a checkpoint cannot hold."""
    try:
        told = json.loads(record)
        checkpoint.save(path, ARRAYS, told)
    except (ValueError, RecursionError, TypeError, AttributeError):
        return False
    return isinstance(told, dict)
