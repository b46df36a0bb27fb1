"""python -m tutorials COMMAND: read, run and answer the chapters."""

import argparse
import json
import sys
from pathlib import Path

from nn.errors import InputError
from tutorials import answers
from tutorials.cells import chapter, chapters, notebook
from tutorials.exercise import find, of_chapter
from tutorials.judge import judge, sentence
from tutorials.run import run, run_all


def show_list(_arguments: argparse.Namespace) -> int:
    for one in chapters().values():
        print(f"{one.number}  {one.title}  ({one.path.name})")
    return 0


def run_chapter(arguments: argparse.Namespace) -> int:
    if arguments.chapter == "all":
        return 1 if run_all() else 0
    run(chapter(arguments.chapter))
    return 0


def write_notebook(arguments: argparse.Namespace) -> int:
    text = json.dumps(notebook(chapter(arguments.chapter).text), indent=1, ensure_ascii=False)
    try:
        with open(arguments.file, "x", encoding="utf-8") as out:
            out.write(text + "\n")
    except FileExistsError:
        raise InputError(f"{arguments.file} is there already, perhaps with your own work in it: give another name") from None
    except OSError as error:
        raise InputError(f"{arguments.file} cannot be written ({error.strerror}): give another name") from None
    print(f"{arguments.file}: chapter {chapter(arguments.chapter).number}; open it with Jupyter from the repository's folder")
    return 0


def check_answers(arguments: argparse.Namespace) -> int:
    number = chapter(arguments.chapter).number
    if answers.start(number):
        print(f"{answers.file(number)} holds the tasks now: replace each ... by your answer, and check again")
        return 0
    found = answers.load(number)
    verdicts = [(one, judge(one, found[one.number])) for one in of_chapter(number)]
    for one, verdict in verdicts:
        print(sentence(one, verdict))
    answers.remember([one.number for one, verdict in verdicts if verdict.state == "right"])
    return 1 if any(verdict.state == "wrong" for _, verdict in verdicts) else 0


def show_hints(arguments: argparse.Namespace) -> int:
    for hint in find(arguments.exercise).hints:
        print(f"- {hint}")
    return 0


def show_solution(arguments: argparse.Namespace) -> int:
    print(find(arguments.exercise).text, end="")
    return 0


def show_progress(_arguments: argparse.Namespace) -> int:
    solved, count, total = answers.solved(), 0, 0
    for one in chapters().values():
        exercises = of_chapter(one.number)
        done = sum(e.number in solved for e in exercises)
        count, total = count + done, total + len(exercises)
        print(f"{one.number}  {'#' * done}{'.' * (len(exercises) - done)}  {done} of {len(exercises)}  {one.title}")
    print(f"{count} of {total} exercises solved; answers are in {answers.folder()}")
    return 0


COMMANDS = {  # name: function, its arguments, help
    "list": (show_list, (), "the chapters"),
    "run": (run_chapter, ("chapter",), "run a chapter, or all: python -m tutorials run 05"),
    "notebook": (write_notebook, ("chapter", "file"), "write a chapter as a Jupyter notebook: python -m tutorials notebook 05 out.ipynb"),
    "check": (check_answers, ("chapter",), "judge your answers of a chapter; the first time, write its tasks into your file"),
    "hint": (show_hints, ("exercise",), "hints for an exercise: python -m tutorials hint 5.1"),
    "solution": (show_solution, ("exercise",), "the solution of an exercise"),
    "progress": (show_progress, (), "what you have solved so far"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0 well, 1 a wrong answer or a failed chapter, 2 what was asked for is not there."""
    parser = argparse.ArgumentParser(prog="python -m tutorials", description="Read, run and answer the chapters.")
    commands = parser.add_subparsers(dest="command")
    for name, (_, arguments, text) in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=text)
        for argument in arguments:
            one.add_argument(argument, type=Path if argument == "file" else str)
    parsed = parser.parse_args(argv)
    try:
        return COMMANDS[parsed.command or "list"][0](parsed)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
