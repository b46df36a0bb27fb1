"""What is fuzzed: bytes in, and either a value that holds what its reader promises or InputError. Anything else fails the target.

A target gives back whether something was read, so that a test can see that valid files are.
"""

import json
import shutil
import tempfile
from atexit import register
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np

from models import runs, weights
from models.faces import opencv, pack
from models.faces.crops import CROP
from models.faces.detect import read_boxes
from models.faces.pts import read_pts
from models.interchange import files
from models.interchange.state_dict import from_torch_names
from models.predicting.sources import Clip, Source
from models.settings import check, settings_for
from models.tasks import model_for
from nn import InputError, checkpoint, training

from . import forged
from .command import run_command

T = TypeVar("T")
MEMORY = Path("/dev/shm")  # files in memory: a million of them need not wear a disk
FRAMES = 50  # of a video that are looked at
LONGEST = 2000  # characters of a message

place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
register(shutil.rmtree, place, ignore_errors=True)


def outcome(reader: Callable[[], T]) -> T | None:
    """What the reader gives; None where it raises an InputError of one printable line."""
    try:
        return reader()
    except InputError as error:
        message = str(error)
        assert message.isprintable() and 0 < len(message) <= LONGEST, message
        return None


def written(name: str, data: bytes) -> Path:
    """A file of these bytes."""
    path = place / name
    path.write_bytes(data)
    return path


def pts(data: bytes) -> bool:
    """Landmarks of a photo."""
    path = written("face.pts", data)
    points = outcome(lambda: read_pts(path))
    assert points is None or (points.shape == (68, 2) and points.dtype == np.float64 and np.isfinite(points).all())
    return points is not None


def boxes(data: bytes) -> bool:
    """A table of face boxes."""
    path = written("boxes.csv", data)
    rows = outcome(lambda: read_boxes(path))
    for name, row in (rows or {}).items():
        assert all(isinstance(text, str) for text in (name, row.fold, row.photo))
        x0, y0, x1, y1 = row.box
        assert np.isnan(row.box).all() or (x0 < x1 and y0 < y1 and max(map(abs, row.box)) <= 1e5)
    return bool(rows)


def image(data: bytes) -> bool:
    """A photo, as training and as `predict` read it."""
    path = written("photo.png", data)
    gray, colour = outcome(lambda: opencv.read_gray(path)), outcome(lambda: opencv.read_photo(path))
    for picture, shape in ((gray, ()), (colour, (3,))):
        if picture is not None:
            assert picture.dtype == np.uint8 and picture.shape[2:] == shape
            assert 0 < max(picture.shape) <= opencv.SIDE and np.prod(picture.shape[:2]) <= opencv.PIXELS
    return gray is not None


def packed(data: bytes) -> bool:
    """A pack of faces; after a NUL, the header alone, with blocks and checksums that fit."""
    path = written("faces.pack", forged.pack(data[1:]) if data[:1] == b"\0" else data)
    faces = outcome(lambda: pack.load(path))
    if faces is None:
        return False
    assert faces.images.shape == (len(faces), CROP, CROP) and faces.landmarks.shape == (len(faces), 68, 2)
    assert np.isfinite(faces.landmarks).all() and (np.ptp(faces.landmarks, axis=1).max(1) > 0).all()
    assert (np.isnan(faces.boxes).all(1) | (faces.boxes[:, :2] < faces.boxes[:, 2:]).all(1)).all()
    for column in (faces.names, faces.subsets, faces.photos, faces.folds):
        assert isinstance(column, list) and len(column) == len(faces) and all(text.isprintable() for text in column)
    return True


def saved(data: bytes) -> bool:
    """A checkpoint; after a NUL, what its archive holds, with checksums that fit."""
    path = written("last.npz", forged.archive(data[1:]) if data[:1] == b"\0" else data)
    found = outcome(lambda: checkpoint.load(path))
    if found is None:
        return False
    arrays, record = found
    assert isinstance(record, dict) and all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" for array in arrays.values())
    assert sum(array.nbytes for array in arrays.values()) <= path.stat().st_size
    return True


def small(data: bytes) -> bool:
    """The record of a file of weights, around the arrays of a small model and with checksums that fit."""
    path = place / "weights.npz"
    if not forged.weights(path, data):
        return False
    found = outcome(lambda: weights.load(path))
    if found is not None:
        settings, _, photos, mean = found
        assert check(settings) is settings and all(isinstance(photo, str) for photo in photos)
        assert mean.shape == ((68, 2) if settings.model == "corefan" else (4, 4)) and np.isfinite(mean).all()
    return found is not None


def settings(data: bytes) -> bool:
    """A settings file, and the same text after --set."""
    path, text = written("mine.toml", data), data.decode(errors="surrogateescape")
    found = outcome(lambda: settings_for("corefan", "small", "", path)), outcome(lambda: settings_for("corefan", "small", "", None, [text]))
    for one in found:
        assert one is None or (check(one) is one and json.loads(json.dumps(asdict(one))) == asdict(one))
    return found[0] is not None


def config(data: bytes) -> bool:
    """The settings in a run folder."""
    written("config.json", data)
    found = outcome(lambda: runs.read_settings(place))
    assert found is None or (check(found) is found and json.loads(json.dumps(asdict(found))) == asdict(found))
    return found is not None


def trained_on(data: bytes) -> bool:
    """What a run folder says of the photos it was trained on."""
    written("trained_on.json", data)
    found = outcome(lambda: runs.trained_on(place, (68, 2)))
    if found is not None:
        photos, mean = found
        assert all(isinstance(photo, str) for photo in photos) and mean.shape == (68, 2) and np.isfinite(mean).all()
    return found is not None


def metrics(data: bytes) -> bool:
    """The lines of a run's epochs."""
    written("metrics.jsonl", data)
    rows = outcome(lambda: training.read_metrics(place))
    assert not rows or len(set.intersection(*map(set, rows))) >= 3  # something to draw that all of them have
    for row in rows or []:
        assert isinstance(row["epoch"], int) and all(np.isfinite(value) for value in row.values())
    return bool(rows)


def state_dict(data: bytes) -> bool:
    """PyTorch's arrays in an .npz, and a model that takes them; after a NUL, what the archive holds, with checksums that fit."""
    path = written("theirs.npz", forged.archive(data[1:], "array0") if data[:1] == b"\0" else data)
    arrays = outcome(lambda: files.read_state_dict(path))
    model = model_for(settings_for("cfpd", "tiny", "", changes=["net.width=1", "net.size=16"]))
    outcome(lambda: from_torch_names(model, arrays or {}))
    assert all(np.isfinite(array).all() for array in model.state().values())
    return arrays is not None


def video(data: bytes) -> bool:
    """A short video, by its container's first bytes .mp4 or .avi."""
    path = written("clip.avi" if data[:4] == b"RIFF" else "clip.mp4", data)

    def frames() -> int:
        number = -1
        with Clip(Source(path, "video")) as clip:
            assert 1 <= clip.fps <= 1000 and clip.count >= 0
            for number, frame, gray in clip.frames():
                assert frame.dtype == gray.dtype == np.uint8 and frame.shape == (*gray.shape, 3)
                if number >= FRAMES:
                    break
            return number

    return (outcome(frames) or 0) > 0


def command(data: bytes) -> bool:
    """Arguments of the command, with a NUL between them: exit code 0, or 2 and a last line on standard error."""
    code, error = run_command(data, place)
    assert code in (0, 2), code
    assert code == 0 or all(line.isprintable() for line in error.splitlines()), error
    return code == 0


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "pts": pts,
    "boxes": boxes,
    "image": image,
    "pack": packed,
    "checkpoint": saved,
    "weights": small,
    "settings": settings,
    "config": config,
    "trained_on": trained_on,
    "metrics": metrics,
    "state_dict": state_dict,
    "video": video,
    "command": command,
}
