"""The sliding window: its classifier's gradient, where its windows lie, how its mistakes are counted, and whether it finds anything."""

import cv2
import matplotlib.figure
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import sliding
from models.faces.augment import normalise_gray, view
from models.faces.boxes import iou, part_boxes
from models.faces.draw import PART_COLOURS
from models.faces.hog import hog
from models.faces.synthetic import drawn_faces
from models.paper.calls import judge, picture, rows, story
from models.sliding import Detection, LinearSvm, PartFinder, find, suppress, train
from nn.gradcheck import check

LEFT, RIGHT, NOSE, MOUTH, NOTHING = range(5)


def svm(inputs, rng):
    """With weights and biases that are not near 0."""
    layer = LinearSvm(inputs, rng=rng)
    layer.dense.weight.value[...] = rng.normal(size=(4, inputs))
    layer.dense.bias.value[...] = rng.normal(size=4)
    return layer


def test_the_loss_agrees_with_loops(rng):
    layer, x, signs = svm(3, rng), rng.normal(size=(5, 3)).astype(np.float32), rng.integers(-1, 2, (5, 4)).astype(np.float32)
    weight, bias = layer.dense.weight.value, layer.dense.bias.value
    hinges = [max(0, 1 - signs[n, p] * (weight[p] @ x[n] + bias[p])) ** 2 for n in range(5) for p in range(4) if signs[n, p]]
    assert 0 < len(hinges) < 20
    assert layer.forward(x, signs) == pytest.approx(sum(hinges) / 5 + LinearSvm.DECAY * (weight**2).sum(), rel=1e-5)


def test_the_gradient_of_the_hinge_and_of_the_decay(rng, monkeypatch):
    monkeypatch.setattr(LinearSvm, "DECAY", 0.3)  # so that it weighs as much as the hinge
    report = check(svm(7, rng), rng.normal(size=(6, 7)), rng=rng, constants=[rng.integers(-1, 2, (6, 4)).astype(float)])
    assert report.ok(1e-6), report


boxes = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12)), max_size=15)


@given(boxes, st.permutations(range(15)))
def test_suppression_leaves_no_two_alike_and_drops_nothing_without_a_better_one(boxes, order):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], float).reshape(-1, 4)
    scores = np.array(order[: len(boxes)])
    kept = suppress(boxes, scores)
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    for k in range(len(boxes)):
        rivals = [j for j in kept if j != k and scores[j] > scores[k] and iou(boxes[j], boxes[k]) > 0.3]
        assert (k in kept) != bool(rivals)
    np.testing.assert_array_equal(suppress(boxes, scores, most=2), kept[:2])


@pytest.mark.parametrize("scale", sliding.SCALES)
@pytest.mark.parametrize("size", [112, 84])
def test_a_window_knows_where_it_is(rng, scale, size):
    """A patch is pasted into noise, 1/scale times as large; the classifier is the patch itself, so the best call must lie on it.

    The grid of windows has 2 px at its own scale, and the patch is on it only by chance: within 1 px on each axis, and a little.
    """
    noise = cv2.GaussianBlur(rng.normal(size=(112, 112)), None, 1.5)
    patch = cv2.GaussianBlur(rng.normal(size=(32, 32)), None, 1.5)
    side = round(32 / scale)
    noise[51 : 51 + side, 37 : 37 + side] = cv2.resize(patch, (side, side))
    frame = cv2.resize(noise, (size, size))
    unit, sizes = size / 112, np.array([[20, 12], [20, 12], [10, 20], [22, 10]]) * size / 112
    weight = np.zeros((4, 7, 7, 36), np.float32)
    weight[NOSE] = hog(50 * patch[None], cell=4)[0]
    windows = sliding._window_boxes(sizes, size, cells=8)
    finder = PartFinder(weight, np.full(4, -0.5 * np.square(weight).sum(), np.float32), windows, size)

    (calls,) = find(finder, normalise_gray(50 * frame)[None, :, :, None])
    part, (x0, y0, x1, y1), _ = calls[0]
    assert part == NOSE
    np.testing.assert_allclose([x1 - x0, y1 - y0], np.array([10, 20]) * unit / scale, rtol=0.01)
    middle = (np.array([37, 51]) + side / 2) * unit - 0.5
    np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], middle, atol=1.3 / scale * unit)


@pytest.fixture
def true() -> np.ndarray:
    """The parts of a face as boxes, none near another."""
    return np.array([[20, 20, 40, 30], [60, 20, 80, 30], [45, 30, 55, 50], [40, 60, 60, 70]], float)


def call(part, box, by=0.0, score=1.0):
    """A call of a part at a box that is moved to the right by a share of its width: IoU (1 - by) / (1 + by)."""
    box = np.array(box) + np.array([1, 0, 1, 0]) * by * (box[2] - box[0])
    return Detection(part, box, score)


def test_each_kind_of_call_is_counted_once(true):
    left, right, _, mouth = true
    face = [
        call(LEFT, left, 0.1),  # right
        call(LEFT, left, 0.2),  # a duplicate
        call(LEFT, left, 0.45),  # one as well, IoU 0.38
        call(RIGHT, right, 0.45),  # loose: near enough to be meant, not to be right
        call(RIGHT, left),  # a confusion
        call(MOUTH, mouth, 0.6),  # IoU 0.25: on nothing
        call(MOUTH, mouth),  # right, but not the best of its part
        call(MOUTH, (90, 90, 110, 100)),  # on nothing
    ]
    tally = judge([face, []], np.stack([true, true]))
    assert [truth for _, truth in tally.calls[0]] == [LEFT, LEFT, LEFT, RIGHT, LEFT, NOTHING, MOUTH, NOTHING] and tally.calls[1] == []
    np.testing.assert_array_equal(tally.found, [[True, False, False, True], [False] * 4])
    np.testing.assert_array_equal(tally.first, [[True, False, False, False], [False] * 4])
    np.testing.assert_array_equal(tally.loose, [[False, True, False, False], [False] * 4])
    np.testing.assert_array_equal(tally.confusion, [[3, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 2]])
    assert [tally.false(n) for n in range(2)] == [3, 0]

    headings, table = rows({"HOG": tally})
    assert headings[2:] == ["found %", "best call right %", "missed %", "duplicates", "calls on another part", "calls on nothing"]
    assert table == [
        ["HOG", "left eye", "50.0", "50.0", "50.0", "1.00", "0.00", "0.00"],
        ["HOG", "right eye", "0.0", "0.0", "100.0", "0.00", "0.50", "0.00"],
        ["HOG", "nose", "0.0", "0.0", "100.0", "0.00", "0.00", "0.00"],
        ["HOG", "mouth", "50.0", "0.0", "50.0", "0.00", "0.00", "1.00"],
        ["HOG", "all", "25.0", "12.5", "75.0", "1.00", "0.50", "1.00"],
    ]


def test_a_call_between_two_parts_goes_to_its_own_where_it_is_near(true):
    """An eye box that overlaps both eyes: its own wins from an IoU of 0.3, even against a greater one."""
    true[RIGHT] = true[LEFT] + [8, 0, 8, 0]
    (judged,) = judge([[call(RIGHT, true[LEFT]), call(NOSE, true[LEFT])]], true[None]).calls
    assert iou(true[LEFT], true[RIGHT]) == pytest.approx(12 / 28)
    assert [truth for _, truth in judged] == [RIGHT, LEFT]


@pytest.fixture(scope="module")
def drawn():
    """What a network sees of drawn faces, 40 to learn from and 12 others."""
    faces = drawn_faces(52, seed=9)
    images, points = view(faces, np.arange(52), "original", None)
    return images[:40], points[:40], images[40:], points[40:]


@pytest.fixture(scope="module")
def finder(drawn) -> PartFinder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sliding, "STEPS", 300)
        return train(*drawn[:2], seed=0)


@pytest.fixture(scope="module")
def drawn_story(finder, drawn):
    """CFPD is played by the true boxes; it missed the second face."""
    boxes = part_boxes(drawn[3])
    boxes[1] = np.nan
    return story(finder, *drawn[2:], boxes)


def test_it_finds_parts_of_faces_it_never_saw(drawn_story, drawn):
    """About half of them after 40 faces; of the windows of a frame, about one in two hundred is right on a part."""
    tally = drawn_story["HOG"]
    assert tally.found.mean() > 0.4 and tally.first.mean() > 0.4
    assert all(score > 0 for face in tally.calls for (_, _, score), _ in face)
    for face in tally.calls:
        assert [c.score for c, _ in face] == sorted((c.score for c, _ in face), reverse=True)


def test_the_network_is_judged_by_the_same_rules(drawn_story):
    tally = drawn_story["CFPD"]
    assert tally.found.sum() == 44 and tally.calls[1] == [] and not tally.loose.any()
    np.testing.assert_array_equal(tally.confusion, np.eye(4, 5) * 11)


def test_the_seed_decides(drawn, monkeypatch):
    monkeypatch.setattr(sliding, "STEPS", 5)
    images, points = drawn[0][:6], drawn[1][:6]
    first, again, other = (train(images, points, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weight, again.weight)
    np.testing.assert_array_equal(first.bias, again.bias)
    assert not np.array_equal(first.weight, other.weight)


def test_it_learns_again_from_its_false_calls(drawn, monkeypatch):
    """Each window that is added is one that a classifier puts on the wrong side of its margin, or on it, where its part is not."""
    monkeypatch.setattr(sliding, "STEPS", 20)
    seen, learn = [0], LinearSvm.learn

    def watch(self, x, signs, rng):
        new = slice(seen[-1], None)
        scores = x[new] @ self.dense.weight.value.T + self.dense.bias.value
        if len(seen) == 1:
            assert (signs == 1).any(0).all() and (signs == -1).any(0).all()
        else:
            assert ((signs[new] == -1) & (scores > -1.001)).any(1).all()
        seen.append(len(x))
        learn(self, x, signs, rng)

    monkeypatch.setattr(LinearSvm, "learn", watch)
    train(drawn[0][:20], drawn[1][:20], seed=0)
    assert len(seen) == 4 and seen[1] + 16 <= seen[2] and seen[2] + 16 <= seen[3]  # 8 faces a time, 12 windows each at most


def test_thresholds_let_nine_of_ten_pass(drawn, monkeypatch):
    """Of the faces that set them: a tenth of the best scores on a part lies below 0."""
    monkeypatch.setattr(sliding, "STEPS", 20)
    held = {}

    def keep(finder, images, true, index):
        held["index"] = index  # the last call is the one for the thresholds
        return faces(finder, images, true, index)

    faces = sliding._faces
    monkeypatch.setattr(sliding, "_faces", keep)
    images, points = (np.concatenate([drawn[k], drawn[k + 2]])[:51] for k in range(2))
    finder = train(images, points, seed=0)
    assert len(held["index"]) == 11  # a fifth, rounded up
    true = part_boxes(points)[held["index"]]
    scores = finder.scores(sliding._features(images[held["index"]]))
    best = [[scores[n, iou(finder.boxes[:, p], true[n, p]) >= 0.5, p].max() for p in range(4)] for n in range(11)]
    np.testing.assert_allclose(np.sort(best, axis=0)[1], 0, atol=1e-5)  # the 10 % quantile of 11 numbers is the second


def test_what_does_not_fit_is_refused(finder, drawn):
    with pytest.raises(ValueError, match=r"find expects images \(N, 112, 112, 1\) as in training, got \(2, 64, 64, 1\)"):
        find(finder, np.zeros((2, 64, 64, 1), np.float32))
    with pytest.raises(ValueError, match="train expects 2 faces or more, got 1"):
        train(drawn[0][:1], drawn[1][:1], seed=0)
    assert find(finder, drawn[0][:0]) == []


def test_the_picture_shows_right_calls_and_false_ones(tmp_path, drawn, drawn_story, monkeypatch):
    figures = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k)))
    picture(tmp_path / "story.png", drawn[2], drawn_story)
    assert cv2.imread(str(tmp_path / "story.png")).shape[1] == 900
    (figure,) = figures
    panels = [ax for ax in figure.axes if not ax.get_xticklabels() or not ax.texts or ax.images[0].get_array().shape == (112, 112)]
    assert len(figure.axes) == 8 and len(panels) == 6
    hog_tally = drawn_story["HOG"]
    order = sorted(range(12), key=hog_tally.false)
    for ax, n in zip(panels, [order[3], order[6], order[10]], strict=False):  # 25, 50 and 90 % of 11 steps, rounded
        calls = hog_tally.calls[n]
        assert len(ax.patches) == len(calls) and len(ax.lines) == hog_tally.false(n)
        for patch, (found, truth) in zip(ax.patches, reversed(calls), strict=True):
            np.testing.assert_allclose(patch.get_bbox().extents, found.box, rtol=1e-5)
            assert patch.get_edgecolor() == matplotlib.colors.to_rgba(PART_COLOURS[found.part])
            assert (patch.get_linestyle() == "solid") == (found.part == truth)
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), hog_tally.confusion / 12)
    np.testing.assert_allclose(figure.axes[7].images[0].get_array(), np.eye(4, 5) * 11 / 12)
