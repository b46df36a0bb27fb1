"""The PyTorch twins that `faceseed bench` measures against compute what our layers and models compute, and a mistake in one is found."""

from types import SimpleNamespace

import numpy as np
import pytest

import nn
from models.measure import clock, layers, ours
from models.measure.plan import Plan, build, made_up, our_loss
from nn import InputError

torch = pytest.importorskip("torch", reason="not run: parity with PyTorch needs the extra, pip install '.[parity]'")

from models.measure import theirs  # noqa: E402
from models.measure.agreement import check_agreement, judge  # noqa: E402
from models.measure.pytorch import FORMATS, LOSSES, BatchNorm, folded, in_format, twin  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(params=["cfpd", "corefan"])
def pair(request):
    """A model, its twins in both memory formats, and two images."""
    model = build(request.param, 2, 32)
    return SimpleNamespace(
        name=request.param, model=model, twins=theirs.twins(model), x=made_up(request.param, 2, 32, np.random.default_rng(3))[0]
    )


def test_twins_agree(pair):
    check_agreement(pair.name, pair.model, pair.twins, 32)
    assert all(layer.training for _, layer in pair.model.layers())
    assert all(part.training for module in pair.twins.values() for part in module.modules())


def test_folded_twins_agree(pair):
    module = pair.twins["channels_last"]
    module(in_format(10 * pair.x, "channels_last"))  # so that the averages are no longer 0 and 1
    alone = folded(module)
    assert not any("conv" in name and isinstance(part, BatchNorm) for name, part in alone.named_modules())
    with torch.inference_mode():
        answers = [each.eval()(in_format(pair.x, "channels_last")) for each in (module, alone)]
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("format", ["channels_first", "channels_last"])
def test_maps_lie_in_the_format_that_is_named(format, pair):
    """A map of one channel is in both at once; the first convolution must not take it for the other."""
    maps = []
    for part in pair.twins[format].modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.MaxPool2d):
            part.register_forward_hook(lambda _, __, y: maps.append(y))
    pair.twins[format](in_format(pair.x, format))
    large = [y for y in maps if min(y.shape[1:]) > 1]
    assert len(large) >= 9
    assert all(y.is_contiguous(memory_format=FORMATS[format]) for y in large)
    assert not any(y.is_contiguous(memory_format=other) for y in large for name, other in FORMATS.items() if name != format)


@pytest.mark.parametrize("format", ["channels_first", "channels_last"])
def test_a_disturbed_weight_is_found(format, pair):
    with torch.no_grad():
        pair.twins[format].fc2.weight.mul_(1.02)
    with pytest.raises(
        InputError, match=rf"{pair.name}: the outputs of PyTorch .* \({format}\) differ from ours by .*e-0[23], more than 1e-03"
    ):
        check_agreement(pair.name, pair.model, pair.twins, 32)


def test_a_wrong_gradient_is_found(pair):
    for weight in pair.twins["channels_first"].parameters():
        weight.register_hook(lambda gradient: 1.02 * gradient)
    with pytest.raises(InputError, match=rf"{pair.name}: the gradients .* differ from ours by 2.0e-02, more than 1e-02"):
        check_agreement(pair.name, pair.model, pair.twins, 32)


def test_no_number_is_no_agreement():
    with pytest.raises(InputError):
        judge("cfpd", "channels_first", "outputs", float("nan"), 1e-3)


@pytest.mark.parametrize("injection", ["every", "first"])
def test_the_lstm_alone(injection, rng):
    layer = nn.SeededLSTM(3, 6, 4, (2, 1, 3), injection=injection, rng=rng)
    seeds, features = (rng.standard_normal(shape, np.float32) for shape in ((5, 3, 3), (5, 4)))
    theirs = twin(layer)(torch.tensor(seeds), torch.tensor(features))
    np.testing.assert_allclose(layer.forward(seeds, features), theirs.detach(), rtol=1e-5, atol=1e-6)


def test_every_layer_that_is_measured(rng):
    """Outputs and dx of both sides, blocks whole and in parts; the first convolution, and its block, are known as such."""
    for k, case in enumerate(layers.cases("cfpd", build("cfpd", 2, 32), Plan(batches=(2,), size=32), rng)):
        if isinstance(case.layer, nn.Dropout):
            continue
        inputs = tuple(rng.standard_normal(shape, np.float32) for shape in case.inputs)
        dy = rng.standard_normal(case.output, np.float32)
        expected, module = case.layer.forward(*inputs), twin(case.layer)
        dx = case.layer.backward(dy)
        x = in_format(inputs[0], "channels_first").requires_grad_()
        y = module(x)
        y.backward(in_format(dy, "channels_first"))
        for mine, other in ((expected, y.detach()), (dx, x.grad)):
            other = other.permute(0, 2, 3, 1) if other.ndim == 4 else other
            if mine.ndim == 4 or not isinstance(case.layer, nn.BatchNorm):  # over two rows the gradient is rounding alone
                np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4, err_msg=case.title)
        assert case.first == (k in (0, 1) and case.inputs[0][-1] == 1)


def test_training_at_batch_one_is_not_refused(pair):
    x, targets = made_up(pair.name, 1, 32, np.random.default_rng(0))
    for side in theirs.step_sides(pair.twins, pair.name, x, targets, "default").values():
        clock.once(side)


def test_one_step_changes_both_sides_alike(pair):
    """Zeroed gradients, loss, backward, Adam: after three steps the losses are still the same."""
    for layer in [layer for _, layer in pair.model.layers() if isinstance(layer, nn.Dropout)]:
        layer.rate = 0.0
    module = twin(pair.model)
    x, targets = made_up(pair.name, 8, 32, np.random.default_rng(4))
    sides = [
        ours.step_side(pair.model, pair.name, x, targets),
        theirs.step_sides({"channels_first": module}, pair.name, x, targets, "fused")["channels_first"],
    ]
    for _ in range(3):
        for side in sides:
            clock.once(side)

    mine = our_loss(pair.name).forward(pair.model.forward(x), *targets)
    other = LOSSES[pair.name](module(in_format(x, "channels_first")), *map(torch.tensor, targets)).item()
    assert mine == pytest.approx(other, rel=1e-3)
