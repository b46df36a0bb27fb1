"""The chapters, in reading order, and what they use: `show_source`, `show_kernel`, `exercise`, `check`.

`python -m tutorials` lists the chapters and the commands.
"""

from importlib.util import find_spec
from pathlib import Path

_checkout = Path(__file__).resolve().parents[1]
for _name in ("nn", "models"):
    _spec = find_spec(_name)
    _found = Path(_spec.origin).resolve().parents[1] if _spec and _spec.origin else None
    if _found != _checkout:
        raise ImportError(
            f"the chapters need the package {_name!r} of {_checkout}, but Python finds {_found or 'none'}: work in a virtual environment "
            f'of this project\'s own (pip install -e "."), and remove a stranger of that name with: pip uninstall {_name}'
        )

from tutorials.judge import check  # noqa: E402
from tutorials.show import exercise, show_kernel, show_source  # noqa: E402  (only once nn and models are known to be ours)

__all__ = ["check", "exercise", "show_kernel", "show_source"]
