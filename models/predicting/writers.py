"""What is written: pictures, .pts files and videos under their names once they are whole; JSON lines and CSV as it goes."""

import csv
import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from models.faces import opencv as cv2
from models.faces.landmarks import COUNT
from models.faces.pts import pts_text
from models.predicting.finder import Face
from models.predicting.sources import Source
from nn.errors import InputError, shown

RECORD, TABLE = "predictions.jsonl", "predictions.csv"
HEAD = ["image", "frame", "face", *(f"{axis}{k}" for k in range(COUNT) for axis in "xy")]
CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))
UNFINISHED = ".unfinished"


class Writer:
    """Everything that goes into one folder, which is made with the first output. Raises InputError where the folder holds files already,
    or two pictures have one name."""

    def __init__(self, folder: Path, sources: list[Source], pictures: bool = True, table: bool = False):
        self.folder, self.pictures, self.with_table = folder, pictures, table
        self.taken = {source.stem for source in sources}
        self.record: TextIO | None = None
        self.table: TextIO | None = None
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            why = "no rights" if there.is_dir() else "no folder"
            raise InputError(f"{shown(folder)}: cannot be made ({shown(there)}: {why}); choose another --out")
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{shown(folder)}: holds files already; choose another --out, or remove it")
        seen: dict[str, Source] = {}
        for source in sources:
            if (other := seen.setdefault(source.stem.removesuffix(UNFINISHED), source)) is not source:
                raise InputError(
                    f"{source}: its outputs would have the names of those of {other}; give them in two calls, each with its --out"
                )

    def open(self) -> None:
        """Make the folder and begin the record, unless that is done."""
        if self.record is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.record = open(self.folder / RECORD, "w", encoding="utf-8")
        if self.with_table:
            self.table = open(self.folder / TABLE, "w", newline="", encoding="utf-8")
            csv.writer(self.table).writerow(HEAD)

    def line(self, source: Source, faces: list[Face], frame: int | None = None) -> None:
        """One picture's line of the record, and a row of the table for each face with landmarks."""
        self.open()
        entry: dict[str, Any] = {"image": str(source)} | ({} if frame is None else {"frame": frame})
        print(json.dumps(entry | {"faces": [told(face) for face in faces]}), file=self.record, flush=True)
        if self.table is not None:
            for face in faces:
                if face.landmarks is not None:
                    row = [str(source), "" if frame is None else frame, face.number, *face.landmarks.round(2).ravel().tolist()]
                    csv.writer(self.table).writerow(row)
            self.table.flush()

    def photo(self, source: Source, picture: np.ndarray, faces: list[Face]) -> None:
        """NAME.png with what was found on it, and NAME.pts, or NAME_1.pts and so on, one a face."""
        self.open()
        landmarks = [face.landmarks for face in faces if face.landmarks is not None]
        for name, points in zip(self.names(source.stem, len(landmarks)), landmarks, strict=True):
            self.save(name, pts_text(points).encode())
        if self.pictures:
            self.save(f"{source.stem}.png", cv2.imencode(".png", picture)[1].data)

    def names(self, stem: str, count: int) -> list[str]:
        """Names for the .pts files of so many faces, none of them another picture's."""
        if count == 1:
            return [f"{stem}.pts"]
        between = "_"
        while not self.taken.isdisjoint(names := [f"{stem}{between}{k}" for k in range(1, count + 1)]):
            between += "_"
        self.taken.update(names)
        return [f"{name}.pts" for name in names]

    def save(self, name: str, content: bytes | memoryview) -> None:
        """A file that bears its name once it is whole."""
        unfinished = self.folder / (name + UNFINISHED)
        unfinished.write_bytes(content)
        os.replace(unfinished, self.folder / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in (self.record, self.table):
            if file is not None:
                file.close()


class Video:
    """NAME.mp4, or NAME.avi where that cannot be written, frame by frame, while the next one is looked at; it bears its name once it is
    finished, also by q and Ctrl-C."""

    def __init__(self, folder: Path, stem: str, fps: float):
        self.folder, self.stem, self.fps = folder, stem, fps
        self.thread = ThreadPoolExecutor(1)
        self.writer: Any = None
        self.last: Future | None = None  # frame being written

    def write(self, picture: np.ndarray) -> None:
        """Append a frame, uint8 BGR, which is not to be changed afterwards; all get the first one's size."""
        if self.writer is None:
            self.open(picture.shape[1], picture.shape[0])
        if picture.shape[:2] != self.shape:
            picture = cv2.resize(picture, self.shape[::-1])
        if self.last is not None:
            self.last.result()
        self.last = self.thread.submit(self.writer.write, picture)

    def open(self, width: int, height: int) -> None:
        """Begin the file. Raises InputError where OpenCV has neither codec."""
        self.shape = (height, width)
        for self.suffix, codec in CODECS:
            path = self.folder / f"{self.stem}{UNFINISHED}{self.suffix}"
            self.writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), self.fps, (width, height))
            if self.writer.isOpened():
                return
            path.unlink(missing_ok=True)
        raise InputError(f"{path}: this OpenCV writes no video of {width} x {height} pixels; pass --no-pictures")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.thread.shutdown()
        if self.last is not None:
            self.writer.release()
            if error is None or isinstance(error, KeyboardInterrupt):
                os.replace(self.folder / f"{self.stem}{UNFINISHED}{self.suffix}", self.folder / f"{self.stem}{self.suffix}")


def told(face: Face) -> dict[str, Any]:
    """A face as the record has it, to 1/100 px."""
    values = {"box": face.box, "landmarks": face.landmarks, "boxes": face.parts}
    return {"face": face.number} | {name: value.round(2).tolist() for name, value in values.items() if value is not None}
