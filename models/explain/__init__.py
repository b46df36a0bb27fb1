"""`faceseed explain`: what COREFAN does with one face, in pictures and on one page."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from models.corefan import Corefan
from models.explain import seeds
from models.explain.activations import feature_maps, filters_figure, first_filters, maps_figure
from models.explain.drawing import drawing_gif
from models.explain.errors import errors_figure
from models.explain.face import Face, face_figure, find
from models.explain.gates import gates_figure
from models.explain.page import page
from models.explain.recurrent import seeds_and_features, trace
from models.explain.saliency import jacobian, part_maps, saliency_figure
from models.faces.draw import DPI
from models.runs import Run
from nn.errors import InputError, shown


def explain(run: Run, photo: Path, out: Path, box: np.ndarray | None = None) -> None:
    """Write pictures and index.html into the new folder `out`, all of them or nothing.

    box (4,): where the face is, tight about the landmarks, in pixels of the photo. Raises InputError where the run is not one of COREFAN,
    `out` exists, or there is no face.
    """
    if not isinstance(run.model, Corefan):
        raise InputError(f"{run.folder}: explain needs a run of corefan, this is one of {run.settings.model}")
    if out.exists():
        raise InputError(f"{out}: exists already; choose another --out, or remove it")
    face = find(run.model, photo, run.settings.net.size, box)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}-") as unfinished:
        folder = Path(unfinished) / out.name
        folder.mkdir()
        write(run, run.model, photo, face, folder)
        folder.rename(out)
    print(f"{out / 'index.html'}: {shown(photo.name)}, explained")


def write(run: Run, model: Corefan, photo: Path, face: Face, folder: Path) -> None:
    """All pictures, then the page."""
    readout = run.settings.net.readout
    drawn = trace(model, *seeds_and_features(model, face.image))
    maps = feature_maps(model, face.image)
    unit = seeds.spread(model, face, run.settings.augment, np.random.default_rng(0))
    moved = seeds.moved(model, face, unit)
    far = seeds.effect(moved)
    figures = {
        "face": face_figure(face),
        "filters": filters_figure(first_filters(model), maps["conv1"]),
        "maps": maps_figure(maps),
        "gates": gates_figure(drawn, readout),
        "seeds": seeds.seeds_figure(moved),
        "saliency": saliency_figure(face, part_maps(jacobian(model, face.image))),
    }
    if face.true is not None:
        figures["errors"] = errors_figure(face, face.true)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=DPI)
    drawing_gif(folder / "drawing.gif", model, face, drawn, readout)
    seeds.sweep_gif(folder / "sweep.gif", model, face, unit, far.argmax(1))
    (folder / "index.html").write_text(page(run, photo, face, drawn, far, folder), encoding="utf-8")
