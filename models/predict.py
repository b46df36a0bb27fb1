"""`faceseed predict`: find the faces of photos, put the landmarks (or the part boxes) on them, write what was found."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.faces import opencv as cv2
from models.faces.augment import normalise_gray
from models.faces.detect import box_frame, haar, read_boxes
from models.faces.draw import overlay, overlay_boxes
from models.faces.geometry import apply, warp
from models.faces.opencv import read_photo
from models.faces.pts import pts_text
from models.runs import Run
from models.tasks import predict
from nn import InputError

RECORD = "predictions.json"


@dataclass
class Boxes:
    """Where face boxes come from: one box for all photos, a box file, or else OpenCV's Haar cascade."""

    box: np.ndarray | None = None  # x0, y0, x1, y1
    file: Path | None = None
    kind: str = "tight"  # what a given box encloses: "tight" the landmarks, "300w" or "haar" as that detector draws it

    def __post_init__(self) -> None:
        self.rows = None if self.file is None else read_boxes(self.file)

    def of(self, path: Path, gray: np.ndarray) -> tuple[np.ndarray, str]:
        """Boxes (K, 4) of a photo, largest first, and their kind. Raises InputError where there is no face."""
        if self.box is None and self.rows is None:
            found = haar(gray)
            if not len(found):
                raise InputError(f"{path}: the detector found no face; mark it with --box x0,y0,x1,y1")
            return found, "haar"
        box, (height, width) = self.given(path), gray.shape
        if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
            raise InputError(f"{path}: the box {box.tolist()} lies outside its {width} x {height} pixels; give x0,y0,x1,y1 on this photo")
        return box[None], self.kind

    def given(self, path: Path) -> np.ndarray:
        """The box (4,) that the user gives for a photo, in a file by its name with or without folders and suffix."""
        if self.box is not None:
            return self.box
        rows = self.rows or {}
        names = ("/".join(name.parts[-k:]) for k in range(len(path.parts), 0, -1) for name in (path.with_suffix(""), path))
        row = next((rows[name] for name in names if name in rows), None)
        if row is None or not np.isfinite(row.box).all():
            raise InputError(f"{path}: {self.file} has no box for it; add a line, or give --box x0,y0,x1,y1")
        return row.box


def predict_photos(run: Run, paths: list[Path], folder: Path, boxes: Boxes, skip_bad: bool = False) -> int:
    """For each photo NAME write NAME.png, for each face NAME.pts or NAME_1.pts ... (COREFAN), and predictions.json; return the skipped.

    Raises InputError, before anything is written, on a photo that cannot be read, has no face, or whose output exists already.
    """
    if run.settings.model == "sine":
        raise InputError(f"{run.folder}: a sine finds no faces; give a run of corefan or cfpd")
    record: list[dict] = []
    files: dict[Path, bytes] = {}
    for path in paths:
        try:
            photo = read_photo(path)
            found, entry = predict_photo(run, path, photo, boxes)
        except InputError as error:
            if not skip_bad:
                raise
            print(f"skipped: {error}")
            continue
        record.append(entry)
        for name, content in outputs(run, path, photo, found).items():
            if folder / name in files or (folder / name).exists():
                raise InputError(f"{folder / name}: exists already, or another photo of this call writes it; choose another --out")
            files[folder / name] = content
    if not record:
        raise InputError(f"none of the {len(paths)} photos could be used; the lines above say why")
    if (folder / RECORD).exists():
        raise InputError(f"{folder / RECORD}: exists already; choose another --out, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from None
    for file, content in (files | {folder / RECORD: (json.dumps(record, indent=1) + "\n").encode()}).items():
        file.write_bytes(content)
    print(f"{sum(len(entry['faces']) for entry in record)} faces in {len(record)} photos; pictures and {RECORD} in {folder}")
    return len(paths) - len(record)


def predict_photo(run: Run, path: Path, photo: np.ndarray, boxes: Boxes) -> tuple[np.ndarray, dict]:
    """One photo: landmarks (K, 68, 2) or boxes (K, 4, 4) in its pixels, and the line that predictions.json gets."""
    gray = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    where, kind = boxes.of(path, gray)
    size = run.settings.net.size
    matrices = box_frame(where, size, kind)  # (K, 3, 3) from the photo to the frame
    frames = np.stack([warp(gray, matrix, size) for matrix in matrices])  # (K, size, size)
    answer = predict(run.model, normalise_gray(frames)[..., None]).reshape(len(where), -1, 2).astype(np.float64)
    answer = apply(np.linalg.inv(matrices), answer)  # back to the photo
    name = "landmarks"
    if run.settings.model == "cfpd":
        name, answer = "boxes", answer.reshape(len(where), 4, 4)
    faces = [{"box": box.round(2).tolist(), name: face.round(2).tolist()} for box, face in zip(where, answer, strict=True)]
    return answer, {"image": str(path), "faces": faces}


def outputs(run: Run, path: Path, photo: np.ndarray, found: np.ndarray) -> dict[str, bytes]:
    """File names and contents for one photo: what was found drawn on it, and a .pts file a face."""
    if run.settings.model == "cfpd":
        return {f"{path.stem}.png": png(overlay_boxes(photo, found))}
    names = [f"{path.stem}_{k}.pts" for k in range(1, len(found) + 1)] if len(found) > 1 else [f"{path.stem}.pts"]
    return {f"{path.stem}.png": png(overlay(photo, found))} | {
        name: pts_text(face).encode() for name, face in zip(names, found, strict=True)
    }


def png(picture: np.ndarray) -> bytes:
    """A picture as the bytes of a PNG file."""
    return cv2.imencode(".png", picture)[1].tobytes()
