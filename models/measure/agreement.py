"""Before anything is timed: do both sides compute the same?"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

import nn
from models.measure.plan import made_up, our_loss
from models.measure.pytorch import LOSSES, in_format, their_name, their_order
from nn import InputError

OUTPUT_BAR, GRADIENT_BAR = 1e-3, 1e-2  # relative in norm, the gradients of all parameters taken together


def check_agreement(name: str, model: nn.Layer, modules: dict[str, torch.nn.Module], size: int) -> None:
    """Raise InputError where a twin's answers to two images, or its gradients, are not the model's. All are left in training mode.

    fc1 stands in evaluation mode meanwhile: no dropout, and no batch norm over two rows, which a rounding can turn by its sign. The
    gradients are compared channels first: in float32 PyTorch's batch norm of channels-last maps loses three digits.
    """
    x, targets = made_up(name, 2, size, np.random.default_rng(1))
    fc1(model.train().layers()).train(False)
    model.zero_grad()
    loss = our_loss(name)
    y = model.forward(x)
    loss.forward(y, *targets)
    model.backward(loss.backward())
    gradients = {their_name(key): their_order(parameter.grad) for key, parameter in model.parameters().items()}
    for format, module in modules.items():
        fc1(module.train().named_modules()).eval()
        answer = module(in_format(x, format))
        judge(name, format, "outputs", relative([torch.from_numpy(y)], [answer.detach()]), OUTPUT_BAR)
        if format == "channels_first":
            LOSSES[name](answer, *map(torch.from_numpy, targets)).backward()
            theirs = dict(module.named_parameters())
            judge(name, format, "gradients", relative(gradients.values(), [theirs[key].grad for key in gradients]), GRADIENT_BAR)
        module.train()
    model.train()


def fc1(named: Any) -> Any:
    """The first fully connected part among (name, layer) pairs."""
    return next(layer for name, layer in named if name.endswith("fc1"))


def relative(ours: Iterable[Any], theirs: Iterable[Any]) -> float:
    """‖ours - theirs‖ / ‖theirs‖ over all arrays together."""
    a, b = (torch.cat([array.double().flatten() for array in arrays]) for arrays in (ours, theirs))
    return float((a - b).norm() / b.norm())


def judge(name: str, format: str, what: str, difference: float, bar: float) -> None:
    """Raise InputError above the bar, or where the difference is no number."""
    if not difference <= bar:
        raise InputError(
            f"{name}: the {what} of PyTorch {torch.__version__} ({format}) differ from ours by {difference:.1e}, more than {bar:.0e}; "
            "nothing was timed: one of the two is wrong"
        )
