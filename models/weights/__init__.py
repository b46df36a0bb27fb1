"""Weights small enough to ship: a trained model in one file, its matrices in half precision. README.md here is their card.

A checkpoint as nn/checkpoint.py writes it: filters and matrices in float16, vectors (biases, batch norms) in float32; its record holds the
settings, the photos trained on, and the mean of their landmarks or boxes.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.faces.landmarks import COUNT
from models.settings import Settings, check, update
from models.tasks import model_for
from nn import InputError, Layer, checkpoint

FORMAT = 1
MEANS = {"sine": (0,), "cfpd": (4, 4), "corefan": (COUNT, 2)}  # shape of the mean answer
LARGEST = 1e30  # of a weight


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
    checkpoint.save(path, arrays, record)


def load(path: Path) -> tuple[Settings, Layer, set[str], np.ndarray]:
    """Settings, model in evaluation mode, photos trained on, and the mean answer. Raises InputError where the file is not whole."""
    arrays, record = checkpoint.load(path)
    if record.get("faceseed weights") != FORMAT:
        raise InputError(
            f"{path}: no weights of this version of faceseed; make them with `faceseed weights RUN FILE`, or give a run folder"
        )
    try:
        settings = check(update(Settings(), record["settings"], ""))
        photos, mean = seen(record, MEANS[settings.model])
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: its record is not that of weights ({error}); make them anew, or give a run folder") from None
    model = model_for(settings).evaluate()
    put(model, arrays, path)
    return settings, model, photos, mean


def seen(record: dict[str, Any], shape: tuple[int, ...]) -> tuple[set[str], np.ndarray]:
    """The photos that a record says were trained on, and the mean of their landmarks or boxes. Raises ValueError where it says neither."""
    try:
        photos, mean = record["photos"], np.array(record["mean"], np.float64).reshape(shape)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"no photos, or no mean of their landmarks: {error}") from None
    if not isinstance(photos, list) or not all(isinstance(photo, str) for photo in photos) or not (np.abs(mean) <= LARGEST).all():
        raise ValueError("photos that are no names, or a mean that is no numbers")
    return set(photos), mean.astype(np.float32)


def put(model: Layer, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Copy the arrays of a file into a model. Raises InputError where they are not this model's, or no numbers to compute with."""
    for name, array in arrays.items():
        if not is_usable(array):
            raise InputError(f"{path}: its {name!r} holds numbers that are not finite; train anew, or bring a whole copy of it")
    try:
        model.load_state(arrays)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def is_usable(array: np.ndarray) -> bool:
    """Whether all numbers are finite, and far from what float32 cannot hold."""
    return bool(np.abs(array.astype(np.float64)).max(initial=0) <= LARGEST)
