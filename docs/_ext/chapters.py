"""Chapters as pages: tutorials/chNN_*.py are run when the site is built; text, code, what it printed and drew become Markdown.

Two chapters run at a time, each in a process of its own. A cell that raises fails the build. Behind each exercise stand its hints and
its solution, closed.
"""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "_build" / "figures"
EXERCISE = re.compile(r'^exercise\("([\d.]+)"\)', re.M)


def fence(text, language):
    """A fenced block that no back-tick in the text can end."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}\n"


def behind(number):
    """Hints and solution of an exercise."""
    from tutorials.exercise import find

    one = find(number)
    hints = "\n".join(f"- {hint}" for hint in one.hints)
    parts = (("Hints", hints), ("Solution", fence(one.text, "python")))
    return "\n".join(f"<details><summary>{name}</summary>\n\n{text}\n\n</details>\n" for name, text in parts)


class Page:
    """The Markdown of a chapter as it runs."""

    def __init__(self, name):
        self.name, self.parts, self.figures = name, [], 0
        self.names = {"__name__": "__main__", "__file__": str(ROOT / "tutorials" / f"{name}.py")}
        self.said = io.StringIO()

    def flush(self):
        """What was printed so far, as a block."""
        if text := self.said.getvalue().strip("\n"):
            self.parts.append(f"::::{{container}} printed\n{fence(text, 'text')}::::\n")
        self.said.seek(0)
        self.said.truncate()

    def shown(self, text):
        """Source of the library, coloured; `tutorials.show` hands it here."""
        self.flush()
        self.parts.append(fence(text, "cpp" if text.startswith("//") else "python"))

    def code(self, source, line):
        """Run a cell: its code, its output, its figures."""
        import matplotlib.pyplot as plt

        self.parts.append(fence(source, "python"))
        tree = ast.parse(source)
        ast.increment_lineno(tree, line - 1)
        with contextlib.redirect_stdout(self.said):
            exec(compile(tree, self.names["__file__"], "exec"), self.names)
        self.flush()
        for number in plt.get_fignums():
            self.figures += 1
            file = f"{self.name}-{self.figures}.svg"
            plt.figure(number).savefig(FIGURES / file, metadata={"Date": None}, facecolor="white")
            self.parts.append(f"![What this cell draws](/docs/_build/figures/{file})\n")
        plt.close("all")
        self.parts.extend(behind(number) for number in EXERCISE.findall(source))


def render(path):
    """The Markdown of an executed chapter."""
    os.environ["FACESEED_ANSWERS"] = os.devnull  # a reader's answers are no part of the page
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = path.stem  # the same picture, the same bytes
    import matplotlib.pyplot as plt

    from tutorials import show
    from tutorials.cells import cells

    plt.show = lambda: None
    page = Page(path.stem)
    show._display = page.shown
    FIGURES.mkdir(parents=True, exist_ok=True)
    for cell in cells(path.read_text("utf-8")):
        if cell.kind == "code":
            page.code(cell.source, cell.line)
        else:
            page.parts.append(cell.source + "\n")
    return "\n".join(page.parts)


def run(path):
    """`render` in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "agg"},
    )
    if done.returncode:
        raise RuntimeError(f"{path.name} failed:\n{done.stderr}")
    return done.stdout


def begin(app):
    """Start all chapters; a page waits for its own."""
    pool = ThreadPoolExecutor(2)
    app.chapters = {path.stem: pool.submit(run, path) for path in sorted((ROOT / "tutorials").glob("ch[0-9][0-9]_*.py"))}
    pool.shutdown(wait=False)


def as_downloads(app, docname, text):
    """A link to a Python file that is no chapter gives the file: pages end in .py here, and MyST would look for one."""
    text[0] = re.sub(r"\[([^\]]+)\]\(([^)\s]+(?<!/)\.py)\)", _download, text[0])


def _download(link):
    return link[0] if re.search(r"ch\d\d_\w+\.py$", link[2]) else f"{{download}}`{link[1]} <{link[2]}>`"


def setup(app):
    from myst_parser.parsers.sphinx_ import MystParser

    class ChapterParser(MystParser):
        supported = ("chapter",)

        def parse(self, inputstring, document):
            super().parse(app.chapters[Path(document["source"]).stem].result(), document)

    app.add_source_parser(ChapterParser)
    app.connect("builder-inited", begin)
    app.connect("source-read", as_downloads)
    return {"parallel_read_safe": False, "version": "1"}


if __name__ == "__main__":
    sys.stdout.write(render(Path(sys.argv[1])))
