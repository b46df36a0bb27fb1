"""The command as a user runs it: in a folder of its own, on drawn faces saved like the 300-W archives, at a width that takes a moment."""

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

from models.cli import main
from models.faces.synthetic import drawn_faces

SMALL = ["--set", "net.width=2", "--set", "net.units=4", "--epochs", "1", "--batch", "4"]

# Two of the photos in afw show two faces each.
ALBUM = [
    *("afw/11_1.jpg", "afw/11_2.jpg", "afw/12_1.jpg", "afw/12_2.jpg", "helen/trainset/13_1.jpg", "helen/trainset/14 _1.jpg"),
    *("lfpw/trainset/image_0015.png", "lfpw/trainset/image_0016.png", "helen/testset/21_1.jpg", "lfpw/testset/image_0022.png"),
    *("lfpw/testset/image_0023.png", "ibug/image_031.jpg", "ibug/image_032 _1.jpg", "300W/01_Indoor/indoor_041.png"),
]


def save_face(path: Path, image, points):
    """A photo, and its landmarks in a .pts file that counts pixels from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    rows = "".join(f"{x + 1:.3f} {y + 1:.3f}\n" for x, y in points)
    path.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}}}\n")


@pytest.fixture(scope="session")
def faces():
    """Drawn faces, one a photo of the album."""
    return drawn_faces(len(ALBUM), seed=7)


@pytest.fixture(scope="session")
def make_album(faces):
    """make_album(folder, names): a folder of faces in the official layout."""

    def make(folder, names=ALBUM):
        for k, name in enumerate(names):
            save_face(folder / name, faces.images[k], faces.landmarks[k])
        return folder

    return make


@pytest.fixture(scope="session")
def album(make_album, tmp_path_factory):
    """All 14 faces; not to be written to."""
    return make_album(tmp_path_factory.mktemp("album"))


@pytest.fixture(scope="session")
def runs(album, tmp_path_factory):
    """A run of each model, not to be written to; COREFAN and CFPD on the album."""
    folder = tmp_path_factory.mktemp("runs")
    for model in ("sine", "corefan", "cfpd"):
        data = [] if model == "sine" else ["--data", str(album)]
        assert main(["train", model, *SMALL, *data, "--out", str(folder / model)]) == 0
    return SimpleNamespace(sine=folder / "sine", corefan=folder / "corefan", cfpd=folder / "cfpd")


@pytest.fixture
def small():
    """Options of `train` that make the smallest of models."""
    return SMALL


@pytest.fixture
def faceseed(capsys, tmp_path, monkeypatch):
    """faceseed("train", ...) in the working folder tmp_path: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's own complaints
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(faceseed, tmp_path):
    """refused(words, "train", ...): the complaint; every one of the words is in it, and every file below tmp_path is as it was."""

    def snapshot():
        return {path: path.read_bytes() if path.is_file() else None for path in sorted(tmp_path.rglob("*"))}

    def run(words, *arguments):
        before = snapshot()
        code, out, err = faceseed(*arguments)
        assert code == 2, out + err
        assert re.fullmatch(r"faceseed: [^\n]+\n", err), err
        for word in [words] if isinstance(words, str) else words:
            assert str(word) in err, err
        assert "Traceback" not in err and "Error" not in err
        assert snapshot() == before
        return err

    return run
