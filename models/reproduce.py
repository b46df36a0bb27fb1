"""`faceseed reproduce`: the paper's experiments, whole. It trains what is not trained yet, tests it on every subset, writes one report."""

import argparse
import sys

from models.faces import ibug
from models.faces.crops import Faces
from models.paper.plan import lines, planned, text
from models.paper.report import write
from models.paper.tested import ask, numbers, prepare
from models.runs import divide, open_run, training_faces
from models.series import train_all
from models.settings import Settings


def run(arguments: argparse.Namespace) -> None:
    """Everything, or with --plan only the plan. Where it was cut off, the same command goes on."""
    runs = planned(arguments.out, "quick" if arguments.quick else arguments.preset, arguments.data, arguments.seed)
    train, validation, everything = read(runs[-1].settings, arguments.skip_bad)
    print(text(lines(runs, (train, validation), arguments.device)), flush=True)
    if arguments.plan:
        return
    train_all(runs, lambda settings: None if settings.model == "sine" else (train, validation), arguments.device)
    tested = prepare(train, validation, everything, runs[-1].settings.net.size)
    opened = {run.folder.name: open_run(run.folder) for run in runs}
    for name, one in opened.items():
        if name != "sine":
            print(f"testing {name}", flush=True)
            one.model.to(arguments.device)
            ask(one, tested)
            one.model.to("cpu")
    command = " ".join(["faceseed", *sys.argv[1:]])
    page = write(arguments.out, command, opened, train, tested, numbers(tested))
    print(f"report: {page} and {page.with_suffix('.html')}")


def read(settings: Settings, skip_bad: bool) -> tuple[Faces, Faces, Faces]:
    """Faces to train on, to validate, and all there are."""
    if not settings.data:
        train, validation = training_faces(settings)
        return train, validation, validation
    everything = ibug.load(settings.data, skip_bad=skip_bad)
    train, validation = divide(everything, settings)
    return train, validation, everything
