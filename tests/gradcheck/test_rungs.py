"""The backward passes of a convolution and of a convolution block through every rung of the ladder, against central differences."""

import pytest

import nn
from nn import gradcheck
from nn.cpu import conv, winograd

pytestmark = pytest.mark.usefixtures("dirty_memory")
TOLERANCE = 1e-7
SHAPES = pytest.mark.parametrize("shape", [(2, 5, 7, 2), (3, 1, 1, 2), (1, 1, 8, 2), (1, 3, 2, 2), (0, 4, 5, 2)])


@pytest.fixture(params=conv.RUNGS)
def rung(request, monkeypatch):
    """Each rung in turn serves all three passes."""
    monkeypatch.setattr(conv, "best_rung", lambda *_: request.param)
    return request.param


@pytest.fixture(params=[True, False], ids=["by point", "by area"])
def few(request, monkeypatch, cut):
    """Either way to share out Winograd's work, in small areas."""
    monkeypatch.setattr(winograd, "few", lambda *_: request.param)
    cut(3)


def assert_right(layer, shape, rng):
    report = gradcheck.check(layer, rng.normal(size=shape), rng=rng)
    assert report.ok(TOLERANCE), f"\n{report}"


@SHAPES
@pytest.mark.parametrize("padding", ["same", ((3, 2), (2, 4))])
def test_conv(shape, padding, rung, rng):
    assert_right(nn.Conv2D(2, 3, padding=padding, rng=rng), shape, rng)


@pytest.mark.parametrize("rung", ["im2col", "blocked"], indirect=True)
@pytest.mark.parametrize("options", [{"size": (2, 3), "stride": (2, 1)}, {"size": 1, "stride": 3}, {"size": 4, "padding": 0}])
def test_conv_of_other_filters_and_strides(options, rung, rng):
    assert_right(nn.Conv2D(2, 3, rng=rng, **options), (2, 5, 7, 2), rng)


@pytest.mark.parametrize("rung", ["winograd2", "winograd4"], indirect=True)
@pytest.mark.parametrize("padding", [0, ((1, 0), (-1, 3))])
def test_winograd_shared_out_either_way(padding, rung, few, rng):
    assert_right(nn.Conv2D(3, 2, padding=padding, rng=rng), (2, 7, 6, 3), rng)


@SHAPES
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_conv_block(shape, training, rung, rng):
    layer = nn.ConvBlock(2, 3, rng=rng).train(training)
    layer.norm.epsilon = 1e-2  # a batch of two or three numbers bends less
    for member in layer.norm.buffers().values():
        member.value[...] = rng.uniform(0.5, 2, 3)
    assert_right(layer, shape, rng)
