"""`faceseed explain`: the page and its pictures, and what it says where it cannot."""

import base64
import re

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from models.cli import main
from models.explain import explain, find
from models.faces.pts import write_pts
from models.runs import open_run

PICTURES = ["drawing.gif", "face.png", "filters.png", "gates.png", "maps.png", "saliency.png", "seeds.png", "sweep.gif"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def save_face(path, image, points):
    assert cv2.imwrite(str(path), image)
    write_pts(path.with_suffix(".pts"), points)


def box_of(points):
    return "{},{},{},{}".format(*np.concatenate([points.min(0) - 1, points.max(0) + 1]))


@pytest.fixture(scope="module")
def trained(album, tmp_path_factory):
    """A run on frames of 32 px, which take a moment."""
    run = tmp_path_factory.mktemp("trained") / "run"
    sizes = [word for change in ("net.width=2", "net.units=4", "net.size=32") for word in ("--set", change)]
    assert main(["train", "corefan", *sizes, "--epochs", "2", "--batch", "4", "--data", str(album), "--out", str(run)]) == 0
    return run


@pytest.fixture
def photo(faces, tmp_path):
    """A drawn face with its .pts file."""
    save_face(tmp_path / "a face.png", faces.images[0], faces.landmarks[0])
    return tmp_path / "a face.png"


def test_everything_is_written_and_gathered(faceseed, trained, photo, faces, tmp_path):
    code, out, err = faceseed("explain", photo, "--run", trained, "--box", box_of(faces.landmarks[0]), "--out", "deep/page")
    assert (code, out, err) == (0, "deep/page/index.html: a face.png, explained\n", "")
    folder = tmp_path / "deep" / "page"
    assert names(folder) == sorted([*PICTURES, "errors.png", "index.html"])
    assert names(folder.parent) == ["page"]
    page = (folder / "index.html").read_text()
    assert "<h1>What COREFAN does with a face.png</h1>" in page
    embedded = {base64.b64decode(data) for data in re.findall(r'src="data:image/(?:png|gif);base64,([^"]+)"', page)}
    assert embedded == {(folder / name).read_bytes() for name in [*PICTURES, "errors.png"]}
    assert not re.search(r"<script|<link|http:", page)
    for name in [*PICTURES, "errors.png"]:
        if name.endswith("png"):
            picture = cv2.imread(str(folder / name))
            assert 800 <= picture.shape[1] <= 1100 and picture.std() > 5, name
    assert frames(folder / "drawing.gif") == 48 + 1  # the last one stays
    assert frames(folder / "sweep.gif") == 5 * 12
    assert max(path.stat().st_size for path in folder.glob("*.gif")) < 2_000_000


def frames(path):
    film = cv2.VideoCapture(str(path))
    return sum(1 for _ in iter(lambda: film.read()[0], False))


def test_the_face_that_is_marked_is_explained(trained, faces, tmp_path):
    """Of two faces the .pts file's own, though it is the smaller; its landmarks go with the frame."""
    model = open_run(trained).model
    small = cv2.resize(faces.images[1], (180, 180))
    canvas = np.zeros((256, 256 + 180), np.uint8)
    canvas[:, :256], canvas[:180, 256:] = faces.images[0], small
    marks = (faces.landmarks[1] + 0.5) * 180 / 256 - 0.5 + [256, 0]
    save_face(tmp_path / "two.png", canvas, marks)
    marked = find(model, tmp_path / "two.png", 32, None)
    back = np.linalg.inv(marked.matrix)
    np.testing.assert_allclose(marked.true @ back[:2, :2].T + back[:2, 2], marks, atol=1e-3)
    assert (back @ [15.5, 15.5, 1])[0] > 256  # the middle of the frame, on the photo

    (tmp_path / "two.pts").unlink()
    largest = find(model, tmp_path / "two.png", 32, None)
    assert largest.true is None
    assert (np.linalg.inv(largest.matrix) @ [15.5, 15.5, 1])[0] < 256


def test_marks_of_another_face_are_not_used(trained, faces, photo, tmp_path):
    model = open_run(trained).model
    assert find(model, photo, 32, np.array([0.0, 0.0, 30.0, 30.0])).true is None
    assert find(model, photo, 32, np.r_[faces.landmarks[0].min(0), faces.landmarks[0].max(0)]).true is not None


def test_without_marks_and_with_another_reading(faceseed, album, photo, faces, tmp_path):
    photo.with_suffix(".pts").unlink()
    changes = ["net.width=2", "net.units=4", "net.size=16", 'net.readout="point"', 'net.injection="first"']
    words = [word for change in changes for word in ("--set", change)]
    assert faceseed("train", "corefan", *words, "--epochs", "1", "--batch", "8", "--data", album, "--out", "run")[0] == 0
    assert faceseed("explain", photo, "--run", "run", "--box", box_of(faces.landmarks[0]))[0] == 0
    assert names(tmp_path / "explanation") == sorted([*PICTURES, "index.html"])
    page = (tmp_path / "explanation" / "index.html").read_text()
    assert "No <code>.pts</code> file beside the photo" in page and "in 68 steps" in page
    assert frames(tmp_path / "explanation" / "drawing.gif") == 68 + 1


@pytest.mark.parametrize("model", ["cfpd", "sine"])
def test_other_models_are_refused(faceseed, runs, photo, model, tmp_path):
    code, out, err = faceseed("explain", photo, "--run", getattr(runs, model))
    assert (code, out) == (2, "") and f"explain needs a run of corefan, this is one of {model}" in err
    assert not (tmp_path / "explanation").exists()


def test_a_folder_that_exists_is_left_alone(faceseed, trained, photo, tmp_path):
    (tmp_path / "explanation").mkdir()
    code, out, err = faceseed("explain", photo, "--run", trained)
    assert (code, out) == (2, "") and err == "faceseed: explanation: exists already; choose another --out, or remove it\n"
    assert names(tmp_path / "explanation") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gray.png"], "the detector found no face; mark it with --box x0,y0,x1,y1"),
        (["gray.png", "--box", "300,300,400,400"], "lies outside the 100 x 100 pixels"),
        (["gray.png", "--box", "1,2,3"], "expected x0,y0,x1,y1"),
        (["none.png"], "cannot be read"),
    ],
)
def test_what_a_user_can_mend(faceseed, trained, tmp_path, arguments, says):
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((100, 100), 90, np.uint8))
    code, out, err = faceseed("explain", *arguments, "--run", trained)
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1
    assert names(tmp_path) == ["gray.png"]


def test_nothing_half_written_stays(trained, photo, faces, tmp_path, monkeypatch):
    """The second picture cannot be written: no folder, no rest of one."""
    save = Figure.savefig
    written = []

    def once(figure, path, **options):
        if written:
            raise KeyboardInterrupt
        save(figure, path, **options)
        written.append(path)

    monkeypatch.setattr(Figure, "savefig", once)
    with pytest.raises(KeyboardInterrupt):
        explain(open_run(trained), photo, tmp_path / "page", np.r_[faces.landmarks[0].min(0), faces.landmarks[0].max(0)])
    assert written and not written[0].exists()
    assert names(tmp_path) == ["a face.png", "a face.pts"]
