"""A reader's own file of answers for each chapter, and what is solved so far.

They live in tutorials/answers (ignored by git), or in the folder that FACESEED_ANSWERS names.
"""

import datetime
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nn.errors import InputError
from nn.files import MIB, read_json
from tutorials.exercise import of_chapter


def folder() -> Path:
    """Where answers are kept."""
    return Path(os.environ.get("FACESEED_ANSWERS") or Path(__file__).parent / "answers")


def file(number: str) -> Path:
    """The reader's file for a chapter."""
    return folder() / f"ch{number}.py"


def start(number: str) -> bool:
    """Write the tasks of a chapter for the reader to fill in; whether there was none before. Never touches one that is there."""
    folder().mkdir(parents=True, exist_ok=True)
    tasks = "\n\n".join(f"# Exercise {one.number}: {one.title}\n{one.stub}" for one in of_chapter(number))
    try:
        with open(file(number), "x", encoding="utf-8") as out:
            out.write(f"import numpy as np\n\n\n{tasks}")
    except FileExistsError:
        return False
    return True


def load(number: str) -> dict[str, Callable | None]:
    """The reader's function for each exercise of a chapter; None where there is none."""
    path, names = file(number), {"__name__": "answers"}
    try:
        exec(compile(path.read_text("utf-8"), str(path), "exec"), names)
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.msg}") from None
    except Exception as error:  # whatever the learner's file raises is a message
        raise InputError(f"{path} cannot be run: {type(error).__name__}: {error}") from None
    found: dict[str, Any] = {one.number: names.get(one.name) for one in of_chapter(number)}
    return {key: value if callable(value) else None for key, value in found.items()}


def solved() -> dict[str, str]:
    """The exercises solved so far, each with the day."""
    path = folder() / "progress.json"
    return read_json(path, MIB, "what was solved so far (or delete it: check fills it again)") if path.exists() else {}


def remember(numbers: list[str]) -> None:
    """Keep that these are solved; what was solved before stays so. The file is whole at any moment."""
    known, today = solved(), datetime.date.today().isoformat()
    if fresh := {number: today for number in numbers if number not in known}:
        beside = folder() / "progress.json.new"
        beside.write_text(json.dumps(known | fresh, indent=1), "utf-8")
        os.replace(beside, folder() / "progress.json")
