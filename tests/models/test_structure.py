"""Tables 1 and 4, read from the models, against the printed ones and against the arithmetic of shapes."""

import numpy as np
import pytest

from models.cfpd import cfpd
from models.corefan import Corefan
from models.paper.structure import PAPER_TABLE_1, PAPER_TABLE_4, Row, difference, structure


def by_arithmetic(size, depths, features, outputs):
    """(layer, input, output, filter, stride) of pairs of convolutions, each pair followed by a pooling, and two dense layers."""
    rows = [("input", (size, size, 1), (size, size, 1), None, None)]
    depth = 1
    for stage, wider in enumerate(depths):
        for k in (1, 2):
            rows.append((f"conv-{2 * stage + k}", (size, size, depth), (size, size, wider), (3, 3, depth), 1))
            depth = wider
        rows.append((f"maxpool-{stage + 1}", (size, size, depth), (size // 2, size // 2, depth), (2, 2, 1), 2))
        size //= 2
    rows.append(("fc-1", (size, size, depth), (1, 1, features), None, None))
    return [*rows, ("fc-2", (1, 1, features), (1, 1, outputs), None, None)]


def test_the_printed_tables_follow_from_arithmetic():
    assert list(PAPER_TABLE_1) == by_arithmetic(112, (64, 128, 256), 128, 16)
    in_order = by_arithmetic(112, (64, 128, 256, 512), 512, 50)
    assert list(PAPER_TABLE_4) == in_order


def test_our_models_have_the_printed_structure(rng):
    for model, printed in ((cfpd(64, rng=rng), PAPER_TABLE_1), (Corefan(64, 512, rng=rng), PAPER_TABLE_4)):
        rows = structure(model, 112)
        assert rows == list(printed)
        assert difference(rows, printed) == []


@pytest.mark.parametrize(("width", "size"), [(2, 32), (5, 48), (4, 64)])
def test_any_width_and_size(width, size, rng):
    assert structure(cfpd(width, size=size, rng=rng), size) == by_arithmetic(size, (width, 2 * width, 4 * width), 2 * width, 16)
    depths = (width, 2 * width, 4 * width, 8 * width)
    for options in ({}, {"feed": "window", "injection": "first", "seeding": "window"}, {"readout": "point"}):
        model = Corefan(width, 3, size=size, rng=rng, **options)
        assert structure(model, size) == by_arithmetic(size, depths, 8 * width, 50)


def test_looking_changes_nothing_but_the_mode(rng):
    model = Corefan(2, 4, size=16, rng=rng)
    before = {name: array.copy() for name, array in model.state().items()}
    structure(model, 16)
    assert all(np.array_equal(before[name], array) for name, array in model.state().items())
    assert not any("forward" in vars(layer) for _, layer in model.layers())
    assert not any(layer.training for _, layer in model.layers())


def test_the_texts_are_the_papers():
    texts = {row.layer: row.texts()[1:] for row in PAPER_TABLE_4}
    assert texts["conv-5"] == ("28 × 28 × 128", "28 × 28 × 256", "3 × 3 × 128, 1")
    assert texts["maxpool-4"] == ("14 × 14 × 512", "7 × 7 × 512", "2 × 2 × 1, 2")
    assert texts["fc-2"] == ("1 × 1 × 512", "1 × 1 × 50", "-")


def test_every_difference_is_said():
    rows = list(PAPER_TABLE_1)
    changed = [row._replace(output=(56, 56, 32), stride=2) if row.layer == "conv-3" else row for row in rows]
    assert difference(changed, rows) == [
        "conv-3: output 56 × 56 × 32, the paper prints 56 × 56 × 128",
        "conv-3: filter 3 × 3 × 64, 2, the paper prints 3 × 3 × 64, 1",
    ]
    assert difference(rows[:-1], rows) == ["fc-2: the model has no such layer"]
    assert difference([*rows, Row("fc-3", (1, 1, 16), (1, 1, 8))], rows) == ["fc-3: the paper has no such layer"]
    (order,) = difference([rows[0], rows[2], rows[1], *rows[3:]], rows)
    assert order.startswith("the order is input, conv-2, conv-1, maxpool-1") and "the paper's input, conv-1" in order
    assert len(difference(rows, PAPER_TABLE_4)) == 3 + 4  # conv-7, conv-8, maxpool-4; input and output of fc-1 and fc-2
