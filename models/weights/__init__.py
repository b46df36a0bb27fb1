"""Weights small enough to ship: a trained model in one file, its matrices in half precision. README.md here is their card.

An .npz as nn/checkpoint.py writes it: filters and matrices in float16, vectors (biases, batch norms) in float32; its record holds the
settings, the photos trained on, the mean of their landmarks or boxes, and a SHA-256 of it all.
"""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from models.settings import Settings, check, update
from models.tasks import model_for
from nn import InputError, Layer, checkpoint

FORMAT = 1


def shipped(model: str, drawn: bool = False) -> Path:
    """The weights that come with faceseed: "corefan" or "cfpd", trained on 300-W (for research only) or on drawn faces alone."""
    path = Path(__file__).parent / f"{model}{'-drawn' if drawn else ''}.npz"
    if not path.exists():
        raise InputError(f"{path}: is not there, though it comes with faceseed; install it anew, or name a run that `faceseed train` made")
    return path


def save(path: Path, settings: Settings, model: Layer, photos: set[str], mean: np.ndarray) -> None:
    """Write a trained model. Raises InputError where `path` exists already, or its name would not be recognised."""
    if path.suffix != ".npz":
        raise InputError(f"{path}: weights are kept in an .npz file; choose a name that ends so")
    if path.exists():
        raise InputError(f"{path}: exists already; choose another file, or remove it")
    arrays = {name: array.astype(np.float16) if array.ndim > 1 else array for name, array in model.state().items()}
    told = asdict(settings) | {name: Path(getattr(settings, name)).name for name in ("data", "start")}  # places of one machine say nothing
    record = {"faceseed weights": FORMAT, "settings": told, "photos": sorted(photos), "mean": mean.round(3).tolist()}
    record["version"] = version("faceseed")
    checkpoint.save(path, arrays, record | {"sha256": digest(arrays, record)})


def load(path: Path) -> tuple[Settings, Layer, set[str], np.ndarray]:
    """Settings, model in evaluation mode, photos trained on, and the mean answer. Raises InputError where the file is not whole."""
    arrays, record = checkpoint.load(path)
    found = record.pop("sha256", "") if isinstance(record, dict) else ""
    if not found or record.get("faceseed weights") != FORMAT:
        raise InputError(
            f"{path}: no weights of this version of faceseed; make them with `faceseed weights RUN FILE`, or give a run folder"
        )
    if found != digest(arrays, record):
        raise InputError(f"{path}: is damaged (its checksum is another); bring a whole copy of it")
    settings = check(update(Settings(), record["settings"], ""))
    model = model_for(settings).evaluate()
    try:
        model.load_state(arrays)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return settings, model, set(record["photos"]), np.array(record["mean"], np.float32)


def digest(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> str:
    """SHA-256 over the record, and names, types, shapes and bytes of the arrays."""
    made = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        made.update(f"{name} {array.dtype.str} {array.shape}".encode())
        made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()
