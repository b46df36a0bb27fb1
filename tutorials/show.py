"""What chapters show: the library's own lines, a kernel's, an exercise's task. Nothing is copied into a chapter."""

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from tutorials.exercise import find

ROOT = Path(__file__).resolve().parents[1]


class Source(str):
    """Code: plain in a terminal, coloured in a notebook."""

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


def _display(text: str) -> None:
    """Print; in a notebook let it colour the code."""
    try:
        get_ipython()  # type: ignore[name-defined]
    except NameError:
        print(text)
    else:
        from IPython.display import display

        display(Source(text))


def source_of(thing: Callable | type, part: str | None = None) -> tuple[str, str, int]:
    """The source of a function or class, or the lines between its `# [part]` and `# [/part]`; its file; its first line's number."""
    thing = inspect.unwrap(thing)  # what a decorator wraps
    lines, first = inspect.getsourcelines(thing)
    if part is not None:
        ends = [n for n, line in enumerate(lines) if line.strip() in (f"# [{part}]", f"# [/{part}]")]
        if len(ends) != 2:
            raise ValueError(f"{thing.__qualname__} has no lines between # [{part}] and # [/{part}]")
        lines, first = lines[ends[0] + 1 : ends[1]], first + ends[0] + 1
    path = Path(inspect.getsourcefile(thing) or "").resolve().relative_to(ROOT).as_posix()
    return textwrap.dedent("".join(lines)).rstrip(), path, first


def show_source(thing: Callable | type, part: str | None = None) -> None:
    """Print the library's own lines, with where they stand."""
    text, path, first = source_of(thing, part)
    _display(f"# {path}, line {first}\n{text}")


def kernel_of(file: str, name: str) -> tuple[str, int]:
    """One function of a CUDA file of nn/gpu, from its comment to its closing brace, and its first line's number."""
    lines = (ROOT / "nn/gpu" / file).read_text("utf-8").splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(rf"^\S.*\b{re.escape(name)}\(", line) and not line.startswith(("//", "#"))]
    if not starts:
        raise ValueError(f"nn/gpu/{file} has no function {name}")
    first = starts[0]
    while first and (lines[first - 1].startswith("//") or lines[first - 1].startswith("template")):
        first -= 1
    last = starts[0]
    while not lines[last].startswith("}") and not lines[last].endswith(" }"):
        last += 1
    return "\n".join(lines[first : last + 1]), first + 1


def show_kernel(file: str, name: str) -> None:
    """Print one function of a CUDA file of nn/gpu."""
    text, first = kernel_of(file, name)
    _display(f"// nn/gpu/{file}, line {first}\n{text}")


def exercise(number: str) -> None:
    """Print the task of an exercise: what to write, and with what signature."""
    one = find(number)
    print(f"Exercise {one.number} ({one.grade}): {one.title}\n")
    _display(one.stub)
