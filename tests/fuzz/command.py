"""The command with what it would do taken out: arguments are read, files that they name too, but nothing is trained or written."""

import sys
from argparse import Namespace
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from models import cli
from models.predicting import styles
from models.predicting.boxes import Boxes
from models.predicting.sources import sources
from models.predicting.writers import Writer

HEAVY = (
    *("runs.train", "evaluate.evaluate", "weights.save", "reproduce.run", "ablate.run", "transfer.run", "data.check", "data.pack"),
    *("data.show", "explain.explain", "interchange.files.export_run", "interchange.files.import_run", "gradients.run", "bench.run"),
    *("doctor.run", "emulate.run", "runs.open_run"),
)
for name in (*HEAVY, "predict.run"):  # a module that is first imported while others are patched would keep what stands in for them
    import_module(f"models.{name.rpartition('.')[0]}")
ELSEWHERE = ("/", "..", "**", "~")  # words with these may reach files of this machine


def looked_at(arguments: Namespace) -> int:
    """As far as `predict` comes before it opens a model."""
    styles.chosen(arguments.style, {"corefan"})
    Boxes(arguments.box, arguments.boxes, arguments.box_kind, "haar")
    Writer(arguments.out, sources(arguments.sources), arguments.pictures, arguments.csv)
    return 0


def run_command(data: bytes, folder: Path) -> tuple[int, str]:
    """Exit code, and what is printed on standard error, for arguments with a NUL between them, in a working folder."""
    words = data.decode(errors="surrogateescape").split("\0")
    if any(part in word for word in words for part in ELSEWHERE):
        return 0, ""
    error = StringIO()
    with ExitStack() as context:
        for name in HEAVY:
            context.enter_context(patch(f"models.{name}", return_value=0))
        context.enter_context(patch("models.predict.run", looked_at))
        context.enter_context(patch.object(sys, "argv", ["faceseed"]))
        for one in (chdir(folder), redirect_stdout(StringIO()), redirect_stderr(error)):
            context.enter_context(one)
        try:
            code = cli.main(words)
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
    return code, error.getvalue()
