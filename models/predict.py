"""`faceseed predict`: find the faces of photos, videos and cameras, draw what the models say of them, write it down as it goes."""

import sys
from argparse import Namespace
from pathlib import Path

from tqdm import tqdm

from models.predicting import styles, window
from models.predicting.boxes import Boxes
from models.predicting.finder import Finder
from models.predicting.job import Job
from models.predicting.photo import photo
from models.predicting.sources import Source, sources
from models.predicting.video import video
from models.predicting.writers import RECORD, Writer
from models.runs import CONFIG, Run, open_run
from models.weights import shipped
from nn import InputError


def run(arguments: Namespace) -> int:
    """The command: its exit code (options.PREDICT_CODES). Raises InputError, with nothing written, where nothing could be answered."""
    runs, words = runs_and_words(arguments)
    chosen = styles.chosen(arguments.style, {run.settings.model for run in runs})
    boxes = Boxes(arguments.box, arguments.boxes, arguments.box_kind, arguments.detector)
    finder, found = Finder(runs), sources(words)
    with Writer(arguments.out, found, arguments.pictures, arguments.csv) as writer:
        keys, shows = window.Keys("boxes" in chosen), windowed(found, arguments.display)
        job = Job(finder, boxes, writer, chosen, keys, shows, arguments.redetect, arguments.fps)
        faces, answered, problems = work(job, found)
        if not answered and writer.record is None:
            raise InputError(problems[0] if len(found) == 1 else f"none of the {len(found)} could be answered; the lines above say why")
    left_out = f", {len(problems)} left out" if problems else ""
    print(f"{counted(faces, 'face')} in {counted(answered, 'picture')}{left_out}; {RECORD} and more in {arguments.out}")
    return 3 if problems and not arguments.skip_bad else 0


def work(job: Job, found: list[Source]) -> tuple[int, int, list[str]]:
    """Answer one source after the other, until they end or somebody quits: faces, sources answered, and what is wrong with the others."""
    faces, answered, problems = 0, 0, []
    with tqdm(total=len(found), unit="picture", disable=True if len(found) == 1 else None) as bar:
        for source in found:
            try:
                faces += (photo if source.kind == "photo" else video)(job, source)
                answered += 1
            except InputError as error:
                problems.append(str(error))
                if len(found) > 1 or job.writer.record is not None:  # else it is the command's own last line
                    tqdm.write(f"left out: {error}", file=sys.stderr)
            bar.update()
            if job.keys.quit:
                break
    return faces, answered, problems


def counted(number: int, what: str) -> str:
    """`1 face`, `2 faces`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def runs_and_words(arguments: Namespace) -> tuple[list[Run], list[str]]:
    """The models to use, and what to look at: a first word that is a run is the run, else the shipped weights answer."""
    path, words = arguments.run, arguments.sources
    if path is None and is_run(Path(words[0])):
        path, words = Path(words[0]), words[1:]
        if not words:
            raise InputError(f"{path}: is a run; name photos, folders, videos or a camera's number after it")
    names = ["corefan", "cfpd"] if arguments.model == "both" else [arguments.model or "corefan"]
    if path is None:
        return [open_run(shipped(name)) for name in names], words
    own = open_run(path)
    if arguments.model not in (None, "both", own.settings.model):
        raise InputError(f"{path}: is a run of {own.settings.model}; leave out --model {arguments.model}, or give another run")
    others = [name for name in names if name != own.settings.model] if arguments.model == "both" else []
    return [own, *(open_run(shipped(name)) for name in others)], words


def is_run(path: Path) -> bool:
    """Is it a run folder, or a file of weights?"""
    return (path / CONFIG).exists() or path.suffix == ".npz"


def windowed(found: list[Source], display: bool | None) -> dict[str, bool]:
    """Which kinds of source are shown: videos and cameras unless that was declined, photos where it was asked for."""
    wanted = {"photo": display is True, "video": display is not False, "camera": display is not False}
    if any(wanted[source.kind] for source in found) and not window.can_show():
        print("no window can be opened here: going on without (--no-display says so beforehand)", file=sys.stderr)
        return dict.fromkeys(wanted, False)
    return wanted
