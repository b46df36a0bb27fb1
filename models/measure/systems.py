"""The whole models: their answer, and a step of training, at each batch."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from models.measure import ours
from models.measure.clock import beside, measure
from models.measure.plan import Plan, build, made_up

BUDGET = 10.0  # seconds that the rounds of one row should take together


def model_rows(plan: Plan, theirs: ModuleType | None) -> list[dict[str, Any]]:
    """A row a model, pass and batch."""
    total = 2 * len(plan.models) * len(plan.batches)
    every = (row for name in plan.models for row in rows_of(name, plan, theirs))
    return list(tqdm(every, desc="models", total=total, leave=False, disable=None))


def rows_of(name: str, plan: Plan, theirs: ModuleType | None) -> Iterator[dict[str, Any]]:
    """The rows of one model, after a check that both sides compute the same.

    All answers come before all steps: from training at batch 1, where a variance has no unbiased estimate, PyTorch's running averages
    come out as NaN.
    """
    model = build(name, plan.width, plan.size)
    modules, adam = {}, None
    if theirs:
        from models.measure.agreement import check_agreement

        modules, adam = theirs.twins(model), theirs.fastest_adam(model)
        check_agreement(name, model, modules, plan.size)
    batches = [(batch, *made_up(name, batch, plan.size, np.random.default_rng(2))) for batch in plan.batches]
    for batch, x, _ in batches:
        sides = {"ours": ours.forward_side(model, x)} | (theirs.forward_sides(modules, x) if theirs else {})
        yield {"model": name, "what": "forward", "batch": batch, **beside(measure(sides, plan.rounds, BUDGET))}
    for batch, x, targets in batches:
        sides = {"ours": ours.step_side(model, name, x, targets)}
        sides |= theirs.step_sides(modules, name, x, targets, adam) if theirs else {}
        yield {"model": name, "what": "step", "batch": batch, "adam": adam, **beside(measure(sides, plan.rounds, BUDGET))}
