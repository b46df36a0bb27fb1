"""Weights in a file: what comes back, and what is refused."""

import json

import numpy as np
import pytest

from models import weights
from models.runs import open_run, task_for
from models.settings import settings_for
from models.tasks import model_for, predict
from nn import InputError, checkpoint

CHANGES = ["net.width=2", "net.units=8", "net.size=32"]


@pytest.fixture
def saved(tmp_path):
    settings = settings_for("corefan", "small", "/somewhere/300w", changes=[*CHANGES, 'start="/elsewhere/drawn"'])
    model = model_for(settings)
    rng = np.random.default_rng(0)
    model.load_state({name: (array + rng.random(array.shape)).astype(np.float32) for name, array in model.state().items()})
    weights.save(tmp_path / "small.npz", settings, model, {"b", "a"}, rng.random((68, 2)))
    return tmp_path / "small.npz", settings, model


def test_a_model_comes_back_within_half_precision(saved):
    path, settings, model = saved
    run = open_run(path)
    assert run.photos == {"a", "b"} and run.mean.shape == (68, 2) and run.settings.net == settings.net
    assert (run.settings.data, run.settings.start) == ("300w", "drawn")  # names, not places
    for name, array in model.state().items():
        found = run.model.state()[name]
        assert found.dtype == array.dtype == np.float32
        if array.ndim > 1:
            np.testing.assert_array_equal(found, array.astype(np.float16))
        else:
            np.testing.assert_array_equal(found, array)
    images = np.random.default_rng(1).standard_normal((3, 32, 32, 1)).astype(np.float32)
    np.testing.assert_allclose(predict(run.model, images), predict(model, images), atol=0.1)


def test_training_can_start_from_them(saved, tmp_path):
    path, _, _ = saved
    settings = settings_for("corefan", "small", "", changes=[*CHANGES, f'start="{path.as_posix()}"'])
    from models.faces.synthetic import drawn_faces

    faces = drawn_faces(2, seed=0)
    task = task_for(settings, (faces, faces))
    for name, array in open_run(path).model.state().items():
        np.testing.assert_array_equal(task.model.state()[name], array)
    with pytest.raises(InputError, match="built with another width"):
        task_for(settings_for("corefan", "small", "", changes=[*CHANGES, "net.width=4", f'start="{path.as_posix()}"']), (faces, faces))


def test_every_change_of_the_file_is_noticed(saved):
    """A number, a name, a setting or a photo that is another: the checksum is."""
    path, _, _ = saved
    arrays, record = checkpoint.load(path)
    name = next(iter(arrays))
    arrays[name].flat[0] += 1
    changes = [(arrays, record)]
    arrays, record = checkpoint.load(path)
    changes.append(({("x" if key == name else key): array for key, array in arrays.items()}, record))
    changes.append((arrays, record | {"photos": ["a"]}))
    changes.append((arrays, record | {"settings": record["settings"] | {"seed": 9}}))
    with np.load(path) as file:
        seal = {name: json.loads(file[checkpoint.RECORD].tobytes())[name] for name in ("format", "sha256")}
    for changed, told in changes:
        np.savez(path, **changed, **{checkpoint.RECORD: np.frombuffer(json.dumps(told | seal).encode(), np.uint8)})
        with pytest.raises(InputError, match="damaged, its checksum"):
            weights.load(path)


def test_other_files_are_refused(saved, tmp_path):
    path, settings, model = saved
    arrays, record = checkpoint.load(path)
    other = tmp_path / "other.npz"
    checkpoint.save(other, arrays, {"epoch": 3})
    with pytest.raises(InputError, match="no weights of this version"):
        weights.load(other)
    checkpoint.save(other, arrays, record | {"faceseed weights": 2})
    with pytest.raises(InputError, match="no weights of this version"):
        weights.load(other)
    other.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a whole checkpoint"):
        weights.load(other)
    with pytest.raises(InputError, match="exists already"):
        weights.save(path, settings, model, set(), np.zeros((68, 2)))
    with pytest.raises(InputError, match="choose a name that ends so"):
        weights.save(tmp_path / "weights.bin", settings, model, set(), np.zeros((68, 2)))
    assert json.loads(json.dumps(checkpoint.load(path)[1])) == record


def test_nothing_ships_under_that_name():
    with pytest.raises(InputError, match="install it anew"):
        weights.shipped("sine")
