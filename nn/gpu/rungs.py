"""Which kernel of a ladder serves: the fastest one that the card and the shape allow, unless a caller prefers another."""

from collections.abc import Iterator
from contextlib import contextmanager

LADDERS = {  # slowest first, but for tf32, which is faster than tf32x3 and less exact
    "conv": ("direct", "tile", "igemm", "tf32x3", "tf32"),
    "gemm": ("naive", "tile", "block"),
    "lstm": ("gates", "cell", "sequence"),
    "reduce": ("serial", "shared", "shuffle"),
    "pool": ("element", "vector"),
}
PREFERRED: dict[str, str] = {}  # family -> rung
TAKEN: dict[str, str] = {}  # family -> the rung that its last call took


@contextmanager
def prefer(**rungs: str) -> Iterator[None]:
    """Within the `with`, take these rungs wherever they can do the work: prefer(conv="tf32"). Raises ValueError on an unknown one."""
    for family, rung in rungs.items():
        if rung not in LADDERS.get(family, ()):
            known = f"{family} has {', '.join(LADDERS[family])}" if family in LADDERS else f"the families are {', '.join(LADDERS)}"
            raise ValueError(f"unknown rung {family}={rung}: {known}")
    before = dict(PREFERRED)
    PREFERRED.update(rungs)
    try:
        yield
    finally:
        PREFERRED.clear()
        PREFERRED.update(before)


def choose(family: str, able: list[str]) -> str:
    """Of the rungs that can do the work, the preferred one, else the last (the fastest)."""
    preferred = PREFERRED.get(family)
    TAKEN[family] = preferred if preferred in able else able[-1]
    return TAKEN[family]
