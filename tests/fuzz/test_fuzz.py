"""Every reader of foreign bytes, fed with what once broke one, with damaged files and with noise; and the targets themselves with planted
mistakes. `python -m tests.fuzz.long` is the long run."""

import random

import numpy as np
import pytest
from fuzz.damage import KINDS, TOKENS, Edit, damaged, drawn
from fuzz.found import FOUND
from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS
from hypothesis import given
from hypothesis import strategies as st

from nn import InputError

EDITS = st.lists(
    st.builds(Edit, st.sampled_from(KINDS), st.floats(0, 1), st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=8)), max_size=5
)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of numbers that are then refused


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return request.param


@pytest.fixture(scope="module")
def seeds(target):
    return SEEDS[target]()


def test_valid_files_are_read(target, seeds):
    """Else nothing behind the first check would ever be fuzzed."""
    assert all([TARGETS[target](data) for data in seeds])


def test_what_was_found(target):
    for data in FOUND.get(target, []):
        TARGETS[target](data)


@given(data=st.data())
def test_damaged(target, seeds, data):
    TARGETS[target](damaged(data.draw(st.sampled_from(seeds)), data.draw(EDITS)))


@given(data=st.binary(max_size=200), marked=st.booleans())
def test_noise(target, data, marked):
    TARGETS[target](b"\0" + data if marked else data)


# ---- the targets themselves ----


READERS = {
    "pts": "fuzz.targets.read_pts",
    "boxes": "fuzz.targets.read_boxes",
    "image": "models.faces.opencv.read_photo",
    "pack": "models.faces.pack.load",
    "checkpoint": "nn.checkpoint.load",
    "weights": "models.weights.load",
    "settings": "fuzz.targets.settings_for",
    "config": "models.runs.read_settings",
    "trained_on": "models.runs.trained_on",
    "metrics": "nn.training.read_metrics",
    "state_dict": "fuzz.targets.from_torch_names",
    "video": "fuzz.targets.Clip",
    "command": "models.cli.parser",
}


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), InputError("two\nlines"), MemoryError()], ids=lambda e: type(e).__name__
)
def test_a_reader_that_raises_something_else_fails_its_target(target, seeds, error, monkeypatch):
    """InputError itself shows unprintable characters, so one with two lines must be built by force."""
    if isinstance(error, InputError):
        error.args = ("two\nlines",)

    def broken(*_, **__):
        raise error

    monkeypatch.setattr(READERS[target], broken)
    if target == "command" and isinstance(error, InputError | MemoryError):
        return  # the command itself answers these with a line
    with pytest.raises((AssertionError, type(error))):
        TARGETS[target](seeds[0])


def spoiled_pts(reader):
    return lambda path: np.where(np.arange(136).reshape(68, 2) == 77, np.nan, reader(path))


def spoiled_rows(reader):
    return lambda path: {name: row._replace(box=row.box[::-1]) for name, row in reader(path).items()}


def spoiled_picture(reader):
    return lambda path: reader(path)[..., 0]


def spoiled_pack(reader):
    def read(path):
        faces = reader(path)
        faces.landmarks = np.full_like(faces.landmarks, np.inf)
        return faces

    return read


def spoiled_arrays(reader):
    return lambda path: (reader(path)[0] | {"more": np.zeros(10**6)}, reader(path)[1])


def spoiled_mean(reader):
    return lambda *arguments: (*reader(*arguments)[:-1], np.full((4, 4), np.nan))


def spoiled_settings(reader):
    def read(*arguments):
        found = reader(*arguments)
        found.epochs = 0
        return found

    return read


def spoiled_metrics(reader):
    return lambda folder: [{**row, "epoch": None} for row in reader(folder)]


def spoiled_model(reader):
    def read(model, arrays):
        model.load_state({name: np.full_like(array, np.nan) for name, array in model.state().items()})

    return read


def spoiled_clip(reader):
    def read(source):
        clip = reader(source)
        clip.fps = float("nan")
        return clip

    return read


SPOILED = {
    "pts": spoiled_pts,
    "boxes": spoiled_rows,
    "image": spoiled_picture,
    "pack": spoiled_pack,
    "checkpoint": spoiled_arrays,
    "weights": spoiled_mean,
    "settings": spoiled_settings,
    "config": spoiled_settings,
    "trained_on": spoiled_mean,
    "metrics": spoiled_metrics,
    "state_dict": spoiled_model,
    "video": spoiled_clip,
}


@pytest.mark.parametrize("target", SPOILED)
def test_a_value_that_breaks_its_promise_fails_its_target(target, monkeypatch):
    module, _, name = READERS[target].rpartition(".")
    reader = getattr(__import__(module, fromlist=[name]), name)
    data = SEEDS[target]()[0]
    assert TARGETS[target](data)
    monkeypatch.setattr(READERS[target], SPOILED[target](reader))
    with pytest.raises((AssertionError, InputError)):
        TARGETS[target](data)


def test_a_line_that_is_not_printable_fails_the_command(monkeypatch):
    monkeypatch.setattr("nn.errors.InputError.__init__", ValueError.__init__)
    with pytest.raises(AssertionError):
        TARGETS["command"](b"predict\0.\0--style\0\x1b[2J")


def test_edits_do_what_they_say():
    for kind, expected in {
        "put": b"abXYef",
        "insert": b"abXYcdef",
        "cut": b"abef",
        "repeat": b"abcdefcdefcdef",
        "flip": b"abgdef",
        "end": b"ab",
    }.items():
        assert damaged(b"abcdef", [Edit(kind, 2 / 6, b"XY")]) == expected
    assert damaged(b"", [Edit(kind, 1.0, b"") for kind in KINDS]) == b""
    rng = random.Random(0)
    assert {edit.kind for _ in range(100) for edit in drawn(rng)} == set(KINDS)
