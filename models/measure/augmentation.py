"""How many faces a second the training sets give: `python -m models.measure.augmentation`."""

import numpy as np

from models.faces.augment import KINDS, Augmentation, view
from models.faces.synthetic import drawn_faces
from models.measure.clock import Side, measure
from models.measure.report import table

BATCH, SIZE, ROUNDS = 64, 112, 41
DISTORTED = Augmentation(light=0.5, blur=0.5, occlusion=0.5, noise=0.5)


def augmentation_rates(batch: int = BATCH, size: int = SIZE, rounds: int = ROUNDS) -> dict[str, float]:
    """Faces a second of each kind of view, and of augmented ones with every distortion on half of the copies; medians, taken in turn.

    All see the same drawn faces, and each round of a kind draws the same copies.
    """
    faces, everyone = drawn_faces(batch, 1), np.arange(batch)

    def side(kind: str, augmentation: Augmentation | None = None) -> Side:
        return Side({"view": lambda: view(faces, everyone, kind, np.random.default_rng(1), augmentation, size)})

    sides = {kind: side(kind) for kind in KINDS} | {"augmented and distorted": side("augmented", DISTORTED)}
    times = measure(sides, rounds, budget=60)
    return {name: 1000 * batch / of["view"]["median"] for name, of in times.items()}


def main() -> None:
    """Measure and print."""
    rates = augmentation_rates()
    print(f"Faces a second at {SIZE} px in batches of {BATCH}, medians of {ROUNDS}; distorted: each distortion on half of the copies.\n")
    print(table(["views", "faces/s"], [[name, f"{rate:,.0f}"] for name, rate in rates.items()]))


if __name__ == "__main__":
    main()
