"""CFPD and COREFAN against Tables 1 and 4 of the paper, row by row, and their sizes against the tables' arithmetic."""

from math import prod

import numpy as np
import pytest

from models.cfpd import cfpd
from models.corefan import Corefan
from nn import Conv2D, MaxPool2D

# Name, input, output, filter and its stride, as printed but for four hyphens ("conv6" and the like). A pooling's "2 x 2 x 1" is a
# window that looks at one channel at a time.
TRUNK = [
    ("conv-1", (112, 112, 1), (112, 112, 64), (3, 3, 1), 1),
    ("conv-2", (112, 112, 64), (112, 112, 64), (3, 3, 64), 1),
    ("maxpool-1", (112, 112, 64), (56, 56, 64), (2, 2, 1), 2),
    ("conv-3", (56, 56, 64), (56, 56, 128), (3, 3, 64), 1),
    ("conv-4", (56, 56, 128), (56, 56, 128), (3, 3, 128), 1),
    ("maxpool-2", (56, 56, 128), (28, 28, 128), (2, 2, 1), 2),
    ("conv-5", (28, 28, 128), (28, 28, 256), (3, 3, 128), 1),
    ("conv-6", (28, 28, 256), (28, 28, 256), (3, 3, 256), 1),
    ("maxpool-3", (28, 28, 256), (14, 14, 256), (2, 2, 1), 2),
]
TABLE_1 = [
    *TRUNK,
    ("fc-1", (14, 14, 256), (1, 1, 128), None, None),
    ("fc-2", (1, 1, 128), (1, 1, 16), None, None),
]
TABLE_4 = [
    *TRUNK,
    ("conv-7", (14, 14, 256), (14, 14, 512), (3, 3, 256), 1),
    ("conv-8", (14, 14, 512), (14, 14, 512), (3, 3, 512), 1),
    ("maxpool-4", (14, 14, 512), (7, 7, 512), (2, 2, 1), 2),
    ("fc-1", (7, 7, 512), (1, 1, 512), None, None),
    ("fc-2", (1, 1, 512), (1, 1, 50), None, None),
]


def passes(model, x):
    """What goes through every layer in one forward pass: {name: (shapes of the inputs, shape of the output)}, without N."""
    seen = {}

    def watch(name, layer, forward):
        def watched(*inputs):
            y = forward(*inputs)
            seen[name] = tuple(z.shape[1:] for z in inputs), y.shape[1:]
            return y

        layer.forward = watched

    for name, layer in model.layers():
        watch(name, layer, layer.forward)
    model.evaluate().forward(x)
    return seen


def rows(model, seen):
    """The model as the paper's tables write it. Flattening is no row: fc-1 reads a map."""
    names = {"conv": "conv-", "pool": "maxpool-", "fc": "fc-"}
    table = []
    flat = None
    for path, layer in model.layers():
        name = path.rsplit(".", 1)[-1]
        kind = name.rstrip("0123456789")
        if path in seen and name == "flatten":
            flat = seen[path][0][0]
        if path in seen and kind in names and name != kind:
            (before,), after = seen[path]
            if kind == "fc":
                before, after = flat or (1, 1, *before), (1, 1, *after)
                flat = None
            table.append((names[kind] + name.removeprefix(kind), before, after, *filter_of(layer)))
    return table


def filter_of(layer):
    """Height, width and depth of a filter, and the stride."""
    if isinstance(layer, MaxPool2D):
        return (layer.size, layer.size, 1), layer.size
    if convolutions := [inner for _, inner in layer.layers() if isinstance(inner, Conv2D)]:
        (conv,) = convolutions
        assert conv.stride[0] == conv.stride[1]
        return conv.weight.value.shape[1:], conv.stride[0]
    return None, None


def scaled(table, width):
    """The table with `width` in place of 64 channels; the gray image and the outputs keep theirs."""

    def channels(shape):
        return shape and (*shape[:2], shape[2] if shape[2] in (1, 16, 50) else shape[2] * width // 64)

    return [(name, channels(before), channels(after), channels(filters), stride) for name, before, after, filters, stride in table]


def weights(model):
    return sum(parameter.value.size for parameter in model.parameters().values())


def weights_of(table):
    """Trained numbers by arithmetic: convolutions without bias; γ and β of a batch norm a channel after each and after fc-1."""
    total = 0
    for name, before, after, filters, _ in table:
        if name.startswith("conv"):
            total += prod(filters) * after[2] + 2 * after[2]
        elif name.startswith("fc"):
            total += (prod(before) + 1) * after[2] + (2 * after[2] if name == "fc-1" else 0)
    return total


@pytest.fixture(scope="module")
def paper_cfpd():
    model = cfpd(64, rng=np.random.default_rng(0))
    return model, passes(model, np.zeros((1, 112, 112, 1), np.float32))


@pytest.fixture(scope="module")
def paper_corefan():
    model = Corefan(64, 512, rng=np.random.default_rng(0))
    return model, passes(model, np.zeros((1, 112, 112, 1), np.float32))


def test_table_1(paper_cfpd):
    assert rows(*paper_cfpd) == TABLE_1


def test_table_4(paper_corefan):
    assert rows(*paper_corefan) == TABLE_4


def test_cfpd_has_the_papers_7_57_million_weights(paper_cfpd):
    model, _ = paper_cfpd
    assert weights(model) == weights_of(TABLE_1) == 7_570_128
    assert round(weights(model) / 1e6, 2) == 7.57


def test_corefans_weights(paper_corefan):
    model, _ = paper_corefan
    lstm = 4 * 512 * (512 + 10 + 1)  # four gates read h, a seed of 10 numbers, and a bias
    per_part = 5 * 512 * (512 + 1)  # W_ih_n and b_ih_n
    window = (512 + 1) * 10  # h_t -> five points
    assert weights(model) == weights_of(TABLE_4) + lstm + per_part + window == 19_947_900


def test_every_convolution_is_followed_by_batch_norm_and_relu(paper_cfpd, paper_corefan):
    for model, _ in (paper_cfpd, paper_corefan):
        blocks = [layer for name, layer in model.layers() if name.rsplit(".", 1)[-1] in {f"conv{k}" for k in range(1, 9)}]
        assert len(blocks) in (6, 8)
        for block in blocks:
            assert [type(layer).__name__ for _, layer in block.children()] == ["Conv2D", "BatchNorm"]
            assert block.norm.relu and not block.conv.bias


def test_fc_1_is_dropout_dense_relu_batch_norm(paper_cfpd, paper_corefan):
    for fc1 in (paper_cfpd[0].fc1, paper_corefan[0].cnn.fc1):
        assert [type(layer).__name__ for _, layer in fc1.children()] == ["Dropout", "Dense", "ReLU", "BatchNorm"]
        assert fc1.drop.rate == 0.5


@pytest.mark.parametrize("width", [2, 16])
def test_width_scales_every_row(width, rng):
    x = np.zeros((1, 112, 112, 1), np.float32)
    narrow = cfpd(width, rng=rng)
    assert rows(narrow, passes(narrow, x)) == scaled(TABLE_1, width)
    assert weights(narrow) == weights_of(scaled(TABLE_1, width))
    narrow = Corefan(width, 3, rng=rng)
    assert rows(narrow, passes(narrow, x)) == scaled(TABLE_4, width)
    others = 4 * 3 * (3 + 10 + 1) + 5 * 3 * (8 * width + 1) + (3 + 1) * 10
    assert weights(narrow) == weights_of(scaled(TABLE_4, width)) + others


def test_what_enters_and_leaves_the_lstm(paper_corefan):
    """fc-2's 50 numbers are 5 seeds of l = 10; f_ih is fc-1's output; 48 hidden states become 48 windows of five points."""
    model, seen = paper_corefan
    assert seen["cnn"] == (((112, 112, 1),), (512,))
    assert seen["fc2"] == (((512,),), (50,))
    assert seen["lstm"] == (((5, 10), (512,)), (48, 512))
    assert seen["window"] == (((512,),), (10,))
    assert seen[""] == (((112, 112, 1),), (68, 2))
    assert model.lstm.steps == (13, 6, 8, 5, 16)
    assert model.lstm.feature_weight.value.shape == (5, 512, 512)  # a W_ih_n a part
    assert model.lstm.feature_bias.value.shape == (5, 512)
    assert model.lstm.weight.value.shape == (4 * 512, 512 + 10)  # shared by all parts


@pytest.mark.parametrize(
    ("readout", "steps", "numbers"), [("mean", (13, 6, 8, 5, 16), 10), ("newest", (13, 6, 8, 5, 16), 10), ("point", (17, 10, 12, 9, 20), 2)]
)
def test_steps_of_each_readout(readout, steps, numbers, rng):
    model = Corefan(2, 4, size=16, readout=readout, rng=rng)
    seen = passes(model, rng.normal(size=(3, 16, 16, 1)).astype(np.float32))
    assert model.lstm.steps == steps
    assert seen["lstm"][1] == (sum(steps), 4)
    assert seen["window"][1] == (numbers,)
    assert seen[""][1] == (68, 2)


def test_defaults_are_the_papers(rng):
    assert cfpd.__defaults__ == (64,) and cfpd.__kwdefaults__["size"] == 112
    assert Corefan.__init__.__defaults__ == (64, 512)
    choices = Corefan.__init__.__kwdefaults__
    assert [choices[name] for name in ("size", "feed", "injection", "readout", "seeding")] == [112, "constant", "every", "mean", "free"]


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_batches_of_any_size(batch, rng):
    x = rng.normal(size=(batch, 16, 16, 1)).astype(np.float32)
    for model, shape in ((cfpd(2, size=16, rng=rng), (16,)), (Corefan(2, 4, size=16, rng=rng), (68, 2))):
        y = model.forward(x)
        assert y.shape == (batch, *shape) and y.dtype == np.float32
        dx = model.backward(np.ones_like(y))
        assert dx.shape == x.shape and np.isfinite(dx).all()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"feed": "both"}, r'COREFAN expects feed "constant" or "window", got \'both\''),
        ({"injection": "never"}, r'SeededLSTM expects injection "every" or "first", got \'never\''),
        ({"readout": "last"}, r"readout 'last' is unknown: choose one of mean, newest, point"),
        ({"seeding": ""}, r'COREFAN expects seeding "free" or "window", got \'\''),
        ({"readout": "point", "feed": "window"}, r'no windows with readout "point": it goes with feed "constant" and seeding "free"'),
        ({"readout": "point", "seeding": "window"}, r'no windows with readout "point"'),
        ({"dropout": 1.0}, r"Dropout expects a rate in \[0, 1\), got 1.0"),
    ],
)
def test_unknown_options_are_named(options, complaint, rng):
    with pytest.raises(ValueError, match=complaint):
        Corefan(2, 4, size=16, rng=rng, **options)


@pytest.mark.parametrize("size", [0, -16, 8, 100, 113])
def test_a_size_that_four_poolings_cannot_halve_is_refused(size, rng):
    with pytest.raises(ValueError, match=rf"COREFAN expects a size that divides by 16 \(four poolings\), got {size}"):
        Corefan(2, 4, size=size, rng=rng)


@pytest.mark.parametrize("size", [0, -8, 4, 100, 113])
def test_a_size_that_three_poolings_cannot_halve_is_refused(size, rng):
    with pytest.raises(ValueError, match=rf"cfpd expects a size that divides by 8 \(three poolings\), got {size}"):
        cfpd(2, size=size, rng=rng)


def test_an_image_of_another_size_is_refused(rng):
    for model in (cfpd(2, size=32, rng=rng), Corefan(2, 4, size=32, rng=rng)):
        with pytest.raises(ValueError, match="Dense expects"):
            model.forward(np.zeros((1, 48, 48, 1), np.float32))
