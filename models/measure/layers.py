"""Every distinct layer of the networks, at the shapes that it has there: time, work, and the limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

import nn
from models.measure import ours
from models.measure.clock import beside, measure
from models.measure.plan import Plan, build, is_block, made_up, normal
from models.measure.roofline import Cost, Machine, Shape, adam_cost, costs

ORDER = ("block", "Conv2D", "BatchNorm", "ReLU", "MaxPool2D", "Dense", "Dropout", "SeededLSTM")


@dataclass
class Case:
    """A layer as it stands in a network; shapes begin with N."""

    layer: nn.Layer
    inputs: tuple[Shape, ...]
    output: Shape
    first: bool  # of its network: nobody asks for its dx
    where: list[str]  # "cfpd conv1", ...

    @property
    def kind(self) -> str:
        """The name of its class."""
        return "block" if is_block(self.layer) else type(self.layer).__name__

    @property
    def title(self) -> str:
        """Its kind and, where there are weights, from how many numbers to how many."""
        weighs = is_block(self.layer) or isinstance(self.layer, nn.Conv2D | nn.Dense | nn.SeededLSTM)
        return f"{self.kind} {self.inputs[0][-1]} → {self.output[-1]}" if weighs else self.kind


def layer_rows(plan: Plan, machine: Machine, theirs: ModuleType | None) -> list[dict[str, Any]]:
    """A row a distinct layer, then one a model for Adam."""
    rng = np.random.default_rng(0)
    models = {name: build(name, plan.width, plan.size) for name in plan.models}
    distinct: dict[tuple, Case] = {}
    for name, model in models.items():
        for case in cases(name, model, plan, rng):
            known = distinct.setdefault((case.title, case.inputs, case.output, case.first), case)
            known.where += [] if known is case else case.where
    ordered = sorted(distinct.values(), key=lambda case: ORDER.index(case.kind))
    rows = [layer_row(case, plan.rounds, machine, theirs, rng) for case in tqdm(ordered, desc="layers", leave=False, disable=None)]
    return rows + [adam_row(name, model, plan.rounds, machine, theirs) for name, model in models.items()]


def cases(name: str, model: nn.Layer, plan: Plan, rng: Generator) -> Iterator[Case]:
    """A model's layers at the plan's batch; a block is taken whole and in its three parts."""
    image = made_up(name, 1, plan.size, rng)[0]
    for k, (path, layer, inputs, output) in enumerate(passes(model, image)):
        if isinstance(layer, nn.Flatten):
            continue
        inputs, output = tuple((plan.batch * shape[0], *shape[1:]) for shape in inputs), (plan.batch * output[0], *output[1:])
        for part, layer_inputs in [(layer, inputs), *(parts(layer, inputs, output, rng) if is_block(layer) else [])]:
            yield Case(part, layer_inputs, output, k == 0 and layer_inputs == inputs, [f"{name} {path}"])


def passes(model: nn.Layer, x: np.ndarray) -> list[tuple[str, nn.Layer, tuple[Shape, ...], Shape]]:
    """(name, layer, shapes of its inputs, shape of its output) of each block and each other layer that x passes, in order."""
    seen = []
    watched = list(leaves("", model))

    def watch(name: str, layer: nn.Layer) -> None:
        forward = layer.forward

        def noting(*inputs: np.ndarray) -> np.ndarray:
            y = forward(*inputs)
            seen.append((name, layer, tuple(x.shape for x in inputs), y.shape))
            return y

        vars(layer)["forward"] = noting

    for name, layer in watched:
        watch(name, layer)
    try:
        model.forward(x)
    finally:
        for _, layer in watched:
            del vars(layer)["forward"]
    return seen


def leaves(name: str, layer: nn.Layer) -> Iterator[tuple[str, nn.Layer]]:
    """(name, layer) of each block and of each layer without children that is in no block."""
    children = list(layer.children())
    if is_block(layer) or not children:
        yield name, layer
        return
    for child_name, child in children:
        yield from leaves(f"{name}.{child_name}" if name else child_name, child)


def parts(block: nn.Layer, inputs: tuple[Shape, ...], output: Shape, rng: Generator) -> list[tuple[nn.Layer, tuple[Shape, ...]]]:
    """The convolution, batch norm and ReLU of a block as layers of their own, each with the shapes of its inputs."""
    conv = dict(block.children())["conv"]
    assert isinstance(conv, nn.Conv2D)
    O, R, S, C = conv.weight.value.shape
    fresh = nn.Conv2D(C, O, (R, S), stride=conv.stride, padding=conv.padding, bias=conv.bias is not None, rng=rng)
    return [(fresh, inputs), (nn.BatchNorm(O), (output,)), (nn.ReLU(), (output,))]


def layer_row(case: Case, rounds: int, machine: Machine, theirs: ModuleType | None, rng: Generator) -> dict[str, Any]:
    """Forward, backward and both of one layer in training mode."""
    inputs, dy = tuple(normal(rng, *shape) for shape in case.inputs), normal(rng, *case.output)
    sides = {"ours": ours.layer_side(case.layer, inputs, dy)}
    if theirs:
        sides |= theirs.layer_sides(case.layer, inputs, dy, case.first)
    what = {"layer": case.title, "inputs": case.inputs, "output": case.output, "first": case.first, "where": case.where}
    return what | limited(beside(measure(sides, rounds)), costs(case.layer, case.inputs, case.output, case.first), machine)


def adam_row(name: str, model: nn.Layer, rounds: int, machine: Machine, theirs: ModuleType | None) -> dict[str, Any]:
    """One step of Adam over all parameters of a model."""
    weights = sum(parameter.value.size for parameter in model.parameters().values())
    sides = {"ours": ours.adam_side(model)} | (theirs.adam_sides(model) if theirs else {})
    what = {"layer": "Adam", "inputs": [[weights]], "output": [weights], "first": False, "where": [name]}
    return what | limited(beside(measure(sides, rounds)), {"step": adam_cost(weights)}, machine)


def limited(row: dict[str, Any], costs: dict[str, Cost], machine: Machine) -> dict[str, Any]:
    """The row with flops, bytes and limit of each stage, and the share of the limit that each side reaches: limit / time."""
    flops, traffic = ({stage: getattr(cost, name) for stage, cost in costs.items()} for name in ("flops", "bytes"))
    limit = {stage: machine.limit(cost) for stage, cost in costs.items()}
    for numbers in (flops, traffic, limit):
        if len(numbers) > 1:
            numbers["both"] = sum(numbers.values())  # one pass after the other
    share = {"ours": {stage: limit[stage] / row["ours"][stage]["median"] for stage in limit}}
    if row["pytorch"]:
        share["pytorch"] = {stage: limit[stage] / row["pytorch"][row["fastest"][stage]][stage]["median"] for stage in limit}
    return row | {"flops": flops, "bytes": traffic, "limit_ms": limit, "share": share}
