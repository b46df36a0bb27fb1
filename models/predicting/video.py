"""A video or a camera, frame by frame: followed faces, outputs as it goes, a window."""

import time
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from models.predicting import styles, window
from models.predicting.boxes import VIDEO_SIDE
from models.predicting.finder import Finder
from models.predicting.job import Job
from models.predicting.sources import Clip, Source
from models.predicting.tracking import Tracker
from models.predicting.writers import Video
from nn import InputError


def video(job: Job, source: Source) -> int:
    """A video in, its outputs out: how many faces were followed. Raises InputError where it cannot be read, or shows none in any frame."""
    watch = Watch(job.finder)
    with Clip(source) as clip:
        tracker = Tracker(job.finder, lambda gray: where(job, source, gray, tracker.frames == 0), job.redetect)
        with Video(job.writer.folder, source.stem, clip.fps) if job.writer.pictures else nullcontext() as out:
            for number, picture, gray in tqdm(clip, total=clip.count or None, desc=str(source), unit="frame", leave=False, disable=None):
                faces = tracker(gray)
                job.writer.line(source, faces, number)
                fps = watch.tick(bool(faces))
                styles.draw(picture, faces, job.keys.styles(job.styles))
                if job.fps:
                    styles.corner(picture, fps)
                if out is not None:
                    out.write(picture)
                if job.windowed[source.kind]:
                    picture = picture.copy()
                    styles.corner(picture, fps)
                    window.show(picture, job.keys)
                if job.keys.quit:
                    break
    if not watch.frames:
        raise InputError(f"{source}: holds no frame that can be read; expected a video, replace or remove it")
    print(watch.summary(source, tracker) + (f", {clip.unread} frames unreadable" if clip.unread else ""))
    if not watch.with_face:
        raise InputError(f"{source}: no face in any of its {watch.frames} frames; mark it in the first one with --box x0,y0,x1,y1")
    return tracker.faces


def where(job: Job, source: Source, gray: np.ndarray, first: bool) -> tuple[np.ndarray, str]:
    """Boxes and their kind: in the first frame those that the user gives, else the detector's."""
    return job.boxes.marked(source, gray) if first and job.boxes.given else job.boxes.detect(gray, VIDEO_SIDE)


@dataclass
class Watch:
    """Counts frames and time."""

    finder: Finder

    def __post_init__(self) -> None:
        self.follows, self.seconds = self.finder.follows, self.finder.seconds  # so far, in earlier videos
        self.start = time.perf_counter()
        self.last = deque([self.start], maxlen=30)
        self.frames = self.with_face = 0

    def tick(self, face: bool) -> float:
        """One frame more, with a face or without: frames a second over the last ones."""
        self.frames, self.with_face = self.frames + 1, self.with_face + face
        self.last.append(time.perf_counter())
        return (len(self.last) - 1) / max(1e-9, self.last[-1] - self.last[0])

    def summary(self, source: Source, tracker: Tracker) -> str:
        """What a video came to. Landmarks alone: frames followed, without reading, the detector, the test for lost faces, drawing."""
        rate = self.frames / (time.perf_counter() - self.start)
        follows, seconds = self.finder.follows - self.follows, self.finder.seconds - self.seconds
        alone = f", landmarks alone {follows / seconds:.1f}" if follows else ""
        return (
            f"{source}: {self.frames} frames, {self.frames - self.with_face} without a face; {rate:.1f} frames a second{alone}; "
            f"the detector looked {tracker.detections} times"
        )
