"""How kernels run until further notice: `with mode(check=True): ...`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from nn.emulator import profile

ORDERS = ("forward", "reverse", "shuffled")
COPIES = ("late", "early")


@dataclass(frozen=True)
class Mode:
    """check: judge every access. profile: count them too. order: of blocks and threads; seed: of the shuffled one.

    copies: when cp.async arrives, "late" (in the wait for it) or "early" (at once); a GPU may do either.
    """

    check: bool = False
    profile: bool = False
    order: str = "forward"
    seed: int = 1
    copies: str = "late"


_now = Mode()


def current() -> Mode:
    """The mode in force."""
    return _now


@contextmanager
def mode(**settings: Any) -> Iterator[None]:
    """Within the `with`, run kernels so: mode(check=False, profile=False, order="forward", seed=1, copies="late").

    What is not named stays as it is. Raises ValueError on an unknown order, TypeError on an unknown name.
    """
    global _now
    before, wanted = _now, replace(_now, **settings)
    if wanted.order not in ORDERS:
        raise ValueError(f"order={wanted.order!r}: expected one of {', '.join(ORDERS)}")
    if wanted.copies not in COPIES:
        raise ValueError(f"copies={wanted.copies!r}: expected one of {', '.join(COPIES)}")
    if wanted.profile and not before.profile:
        profile.forget()
    _now = wanted
    try:
        yield
    finally:
        _now = before
