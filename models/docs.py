"""`faceseed docs`: build the site with Sphinx, and open it. Nothing is loaded from a network, then or when it is read."""

import subprocess
import sys
import webbrowser
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

from nn import InputError

ROOT = Path(__file__).resolve().parents[1]


def run(arguments: Namespace) -> int:
    """Build, warnings as errors; exit code 1 where there are any. Raises InputError where Sphinx or the sources are missing."""
    if not (ROOT / "docs" / "conf.py").exists():
        raise InputError(f"{ROOT / 'docs'}: is not there; the site is built from a clone of the repository (pip install -e .)")
    if missing := [name for name in ("sphinx", "myst_parser", "furo") if find_spec(name) is None]:
        raise InputError(f'the site is built by Sphinx, and {missing[0]} is missing: pip install -e ".[docs]"')
    out = arguments.out or ROOT / "docs" / "_build" / "html"
    print("building the site; the chapters run, which takes some minutes", flush=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", str(ROOT / "docs"), str(ROOT), str(out)]
    if subprocess.run(command, cwd=ROOT).returncode:
        return 1
    index = (out / "docs" / "index.html").resolve()
    print(f"{index}: the site")
    if arguments.open:
        webbrowser.open(index.as_uri())
    return 0
