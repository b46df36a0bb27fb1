"""The paper's figures: what stands in them is what was given, or what a second computation says."""

from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from models.corefan import Corefan
from models.faces.augment import Augmentation, view
from models.faces.boxes import part_boxes
from models.faces.crops import Faces
from models.faces.draw import DPI, PART_COLOURS, PREDICTED, WRONG
from models.faces.head import MEAN
from models.faces.landmarks import MIRROR, PARTS, POLYLINES
from models.paper import diagram as figure_6
from models.paper.outcome import ced_figure, extremes, extremes_figure, landmark_errors_figure, pose_figure
from models.paper.preparation import augmentation_figure, parts_figure, rotation_figure
from models.paper.windows import windows_figure


@pytest.fixture
def faces(rng):
    """Seven faces that are not symmetrical, turned by -12, -8, ... degrees but the fifth, which is turned by -31."""
    landmarks = []
    for angle in np.radians([-12, -8, -4, 0, -31, 8, 12]):
        cos, sin = np.cos(angle), np.sin(angle)
        landmarks.append((MEAN + rng.normal(size=MEAN.shape)) * 0.5 @ [[cos, sin], [-sin, cos]] + 127.5)
    images = rng.integers(256, size=(7, 256, 256)).astype(np.uint8)
    names = [f"face {n}" for n in range(7)]
    return Faces(images, np.stack(landmarks), names, ["drawn"] * 7, names, [""] * 7)


@pytest.fixture
def answered(faces, rng):
    """Images, true landmarks, and predicted ones that are wrong by more and more, in no order; one face was not found."""
    images, true = view(faces, np.arange(7), "original", None)
    wrong = np.array([3.0, 1.0, 9.0, 4.0, 0.5, 7.0, 2.0])[:, None, None]
    predicted = true + wrong * rng.normal(size=true.shape)
    predicted[3] = np.nan
    return images, predicted, true


def size_of(path):
    height, width = cv2.imread(str(path)).shape[:2]
    return width, height


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def points_of(ax):
    """The 68 landmarks of the lines that draw them."""
    points = np.full((68, 2), np.nan)
    for line, (indices, closed) in zip(ax.lines, POLYLINES, strict=False):
        xy = np.asarray(line.get_xydata())
        points[indices] = xy[:-1] if closed else xy
    return points


@pytest.mark.parametrize("count", [1, 3, 7])
def test_figure_1_shows_the_boxes_and_the_2_px_below(tmp_path, faces, drawn, count):
    parts_figure(tmp_path / "1.png", faces[:count])
    axes = drawn[0].axes
    shown = min(count, 4)
    assert len(axes) == 2 * shown and size_of(tmp_path / "1.png")[0] == (528 if count == 1 else 1056)
    _, points = view(faces, np.arange(shown), "original", None)
    parts = ([*range(17, 22), *range(36, 42)], [*range(22, 27), *range(42, 48)], range(27, 36), range(48, 68))
    for n in range(shown):
        left, right = axes[2 * n : 2 * n + 2]
        strips = [p.get_bbox().extents for p in right.patches if p.get_fill()]
        outlines = [p.get_bbox().extents for p in right.patches if not p.get_fill()]
        tight = [p.get_bbox().extents for p in left.patches]
        for k, part in enumerate(parts):
            x, y = points[n, list(part)].T
            np.testing.assert_allclose(tight[k], [x.min(), y.min(), x.max(), y.max()], rtol=1e-6)
            np.testing.assert_allclose(outlines[k], [x.min(), y.min(), x.max(), y.max() + 2], rtol=1e-6)
            np.testing.assert_allclose(strips[k], [x.min(), y.max(), x.max(), y.max() + 2], rtol=1e-6)
            assert to_hex(left.lines[k].get_color()) == PART_COLOURS[k]
            low, high = right.get_xlim(), right.get_ylim()[::-1]
            assert low[0] < x.min() and x.max() < low[1] and high[0] < y.min() and y.max() + 2 < high[1]  # nothing is cut off


@pytest.mark.parametrize("count", [1, 7])
def test_figure_2_takes_the_most_tilted_face_and_levels_it(tmp_path, faces, drawn, count):
    rotation_figure(tmp_path / "2.png", faces[:count])
    left, right = drawn[0].axes
    eyes = [faces.landmarks[4 if count == 7 else 0][part].mean(0) for part in (slice(36, 42), slice(42, 48))]
    angle = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    assert [text.get_text() for text in left.texts] == [
        f"the line between the eye centres: θ = {angle:.1f}°\n(positive where the right eye is lower)",
        f"{angle:.1f}°",
    ]
    (x0, y0), (x1, y1) = left.lines[1].get_xydata()
    assert np.degrees(np.arctan2(y1 - y0, x1 - x0)) == pytest.approx(angle, abs=1e-3)
    level = right.lines[1].get_xydata()
    assert level[0, 1] == pytest.approx(level[1, 1], abs=1e-3) and level[1, 0] - level[0, 0] > 40
    arc = next(p for p in left.patches if not isinstance(p, Rectangle))
    assert (arc.theta1, arc.theta2) == pytest.approx((min(0, angle), max(0, angle)), abs=1e-3)
    assert size_of(tmp_path / "2.png")[0] == 1056


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(angle=40, copies=0), Augmentation(mirror=False, scale=0.3)])
def test_figure_3_says_what_was_drawn(tmp_path, faces, drawn, augmentation):
    """Angle, scale, shift and mirroring of each caption, against the affine map that takes the normalised landmarks to the copy's."""
    augmentation_figure(tmp_path / "3.png", faces, augmentation, np.random.default_rng(3))
    axes = drawn[0].axes
    assert len(axes) == 18 and size_of(tmp_path / "3.png")[0] == 1080
    seen = Counter()
    for row in range(3):
        original, normal, *copies = axes[6 * row : 6 * row + 6]
        for ax, kind in ((original, "original"), (normal, "normalised")):
            assert ax.texts[0].get_text() == kind
            np.testing.assert_allclose(points_of(ax), view(faces, np.array([row]), kind, None)[1][0], atol=1e-4)
        for ax in copies:
            caption = ax.texts[0].get_text()
            before = points_of(normal)[MIRROR] if "mirrored" in caption else points_of(normal)
            system = np.c_[before - 55.5, np.ones(68)]
            solution, *_ = np.linalg.lstsq(system, points_of(ax) - 55.5, rcond=None)
            np.testing.assert_allclose(system @ solution, points_of(ax) - 55.5, atol=1e-3)
            linear, moved = solution[:2].T, solution[2]
            mirrored = np.linalg.det(linear) < 0
            assert mirrored == ("mirrored" in caption)
            linear = linear @ np.diag([-1, 1]) if mirrored else linear
            turn, scale = np.degrees(np.arctan2(linear[1, 0], linear[0, 0])), np.sqrt(np.linalg.det(linear))
            start = f"{round(turn):+d}°, × {scale:.2f}\n{round(moved[0]):+d}, {round(moved[1]):+d} px"
            assert caption == start + (", mirrored" if mirrored else "")
            seen[bool(mirrored)] += 1
    assert seen[False] > 0 and (seen[True] > 0) == augmentation.mirror


def test_figure_3_of_one_face(tmp_path, faces, drawn):
    augmentation_figure(tmp_path / "3.png", faces[:1], Augmentation(), np.random.default_rng(3))
    assert len(drawn[0].axes) == 6


@pytest.mark.parametrize("kind", ["landmarks", "boxes"])
def test_figures_4_and_8_show_the_lowest_and_the_highest(tmp_path, answered, drawn, kind):
    images, predicted, true = answered
    if kind == "boxes":
        predicted, true = part_boxes(predicted), part_boxes(true)
    errors = np.square(predicted - true).mean((1, 2))
    extremes_figure(tmp_path / "4.png", images, predicted, true, errors, "{:.3f} px²".format, np.random.default_rng(0))
    (figure,) = drawn
    assert [text.get_text() for text in figure.texts] == [
        "drawn at random (1 of all 7 not found)",
        "lowest errors",
        "highest errors, the highest first",
    ]
    captions = texts(figure)
    in_order = sorted(float(error) for error in errors if error == error)
    assert captions[5:10] == [f"{error:.3f} px²" for error in in_order[:5]]
    assert captions[10:] == [f"{error:.3f} px²" for error in reversed(in_order[-5:])]
    assert len(set(captions[:5])) == 5 and set(captions[:5]) <= {"not found", *captions[5:]}
    for ax, caption in zip(figure.axes, captions, strict=True):
        crossed = sum(to_hex(line.get_color()) == WRONG for line in ax.lines)
        assert crossed == (2 if caption == "not found" else 0)
        shown = ax.images[0].get_array()
        (n,) = [n for n in range(7) if np.array_equal(shown, images[n, :, :, 0])]
        assert caption == ("not found" if n == 3 else f"{errors[n]:.3f} px²")
        if kind == "landmarks" and n != 3:
            (dots,) = [line for line in ax.lines if line.get_marker() == "."]
            np.testing.assert_array_equal(dots.get_xydata(), predicted[n])
        if kind == "boxes" and n != 3:
            np.testing.assert_allclose([patch.get_bbox().extents for patch in ax.patches[0::2]], predicted[n], rtol=1e-5)
    assert size_of(tmp_path / "4.png")[0] == 1080


@pytest.mark.parametrize(("picked", "rows"), [([0], 3), ([3], 1), ([3, 5], 3)])
def test_figure_8_of_few_faces(tmp_path, answered, drawn, picked, rows):
    images, predicted, true = (array[picked] for array in answered)
    errors = np.abs(predicted - true).mean((1, 2))
    extremes_figure(tmp_path / "8.png", images, predicted, true, errors, "{:.1f}".format, np.random.default_rng(0))
    assert len(drawn[0].texts) == rows and texts(drawn[0]).count("not found") == picked.count(3)


def test_random_faces_depend_on_the_generator():
    rows = [tuple(next(iter(extremes(np.arange(50.0), np.random.default_rng(seed)).values()))) for seed in (0, 0, 1, 2)]
    assert rows[0] == rows[1] and len(set(rows)) == 3
    assert all(len(set(row)) == 5 and list(row) == sorted(row) for row in rows)


OPTIONS = [
    {},
    {"feed": "window"},
    {"injection": "first"},
    {"readout": "newest", "seeding": "window"},
    {"readout": "point"},
]


@pytest.mark.parametrize(("options", "width", "units", "size"), [(o, 3 + k % 2, 5 + k, 32 + 16 * (k % 2)) for k, o in enumerate(OPTIONS)])
def test_figure_6_reads_the_model(tmp_path, drawn, rng, options, width, units, size):
    model = Corefan(width, units, size=size, rng=rng, **options)
    figure_6.diagram(tmp_path / "6.png", model)
    (figure,) = drawn
    found = Counter(texts(figure))
    point = options.get("readout") == "point"
    steps = [n if point else n - 4 for n in (17, 10, 12, 9, 20)]
    for k in range(4):
        side, depth = size // 2**k, width * 2**k
        assert found[f"{side} × {side} × {depth}"] == 2  # two convolutions
        assert found[f"{side // 2} × {side // 2} × {depth}"] == 1  # a pooling
    assert found[f"1 × 1 × {8 * width}"] == found[f"{8 * width}"] == found["1 × 1 × 50"] == 1  # fc-1, f_ih, fc-2
    assert found["10"] == 5 and found[f"{units} × {8 * width}"] == 5  # S_part and W_ih of each part
    for n, part in zip(steps, (17, 10, 12, 9, 20), strict=True):
        assert found[f"{n} steps × {2 if point else 10} numbers"] == found[f"→ {part} landmarks"] == 1
    said = " ".join(found)
    depths = [1] + [width * 2**k for k in (0, 0, 1, 1, 2, 2, 3, 3)]
    cnn = sum(9 * c * o + 2 * o for c, o in pairwise(depths)) + (size**2 // 256 * 8 * width + 3 + 50) * 8 * width + 50
    weights = cnn + 4 * units * (units + 10 + 1) + 5 * units * (8 * width + 1) + (units + 1) * (2 if point else 10)
    assert f"COREFAN, {weights} weights" in found
    assert f"({4 * units} × {units + 10})" in said and f"LSTM of {units} units" in said and f"of the {size}-px frame" in said
    choices = {"feed": "constant", "injection": "every", "readout": "mean", "seeding": "free"} | options
    assert " · ".join(f"{name} {value}" for name, value in choices.items()) in found
    assert ("each window is what the next step reads" in said) == (choices["feed"] == "window")
    assert ("is a window too" in said) == (choices["seeding"] == "window")
    assert ("read by the first step" in said) == (choices["feed"] == "window")
    assert ("at the first step of a part" in said) == (choices["injection"] == "first")
    ax = figure.axes[0]
    assert sum(isinstance(patch, Rectangle) for patch in ax.patches) == sum(steps)  # a square a step
    for colour, every in ((figure_6.SEEDS, choices["feed"] == "constant"), (figure_6.FEATURES, choices["injection"] == "every")):
        upright = [line for line in ax.lines if to_hex(line.get_color()) == colour and len(line.get_xdata()) == 2]
        upright = [line for line in upright if line.get_xdata()[0] == line.get_xdata()[1]]
        assert len(upright) == (sum(steps) if every else 5)
    bent = [patch for patch in ax.patches if to_hex(patch.get_edgecolor()) == figure_6.SEEDS and not hasattr(patch, "get_boxstyle")]
    assert len(bent) == (sum(steps) - 5 if choices["feed"] == "window" else 0)  # a window goes to the next step of its part
    assert size_of(tmp_path / "6.png") == (1104, 1008)


def test_figure_6_keeps_its_texts_apart(tmp_path, drawn, rng):
    """No text runs into another or out of the picture, not with the paper's long numbers and every option that adds a line."""
    model = Corefan(64, 512, feed="window", injection="first", seeding="window", rng=rng)
    figure_6.diagram(tmp_path / "6.png", model)
    figure = drawn[0]
    assert "COREFAN, 19.95 million weights" in texts(figure)
    figure.set_dpi(DPI)
    frames = [text.get_window_extent() for text in figure.axes[0].texts]
    whole = figure.bbox
    for n, frame in enumerate(frames):
        assert whole.x0 <= frame.x0 and frame.x1 <= whole.x1 and whole.y0 <= frame.y0 and frame.y1 <= whole.y1, texts(figure)[n]
        for other in frames[:n]:
            assert not frame.overlaps(other), texts(figure)[n]


@pytest.mark.parametrize("given", [False, True])
def test_figure_7_counts_the_windows_of_each_landmark(tmp_path, faces, drawn, given):
    windows_figure(tmp_path / "7.png", faces.landmarks[0] if given else None)
    left, example, places, ours = drawn[0].axes
    for ax, first, points in ((example, 0, 2), (ours, 17, 5)):
        windows = [range(first + t, first + t + points) for t in range(10 - points + 1)]
        counts = [sum(k in window for window in windows) for k in range(first, first + 10)]
        found = [text.get_text() for text in ax.texts]
        assert found == [str(k) for window in windows for k in window] + [str(count) for count in counts]
        dark = [patch.get_x() + 0.45 for patch in ax.patches if to_hex(patch.get_facecolor()) == "#3d85c6"]
        np.testing.assert_allclose(dark, range(points, 10))  # one new landmark a window
    for line, low in zip(places.lines, (17, 18), strict=False):
        np.testing.assert_array_equal(line.get_xydata(), (faces.landmarks[0] if given else MEAN)[low : low + 5])
    assert len(left.lines[2].get_xydata()) == 10
    assert size_of(tmp_path / "7.png")[0] == 1080


def test_errors_of_landmarks_lie_on_a_mean_face(tmp_path, answered, drawn):
    _, predicted, true = answered
    landmark_errors_figure(tmp_path / "l.png", predicted, true)
    left, right = drawn[0].axes[:2]
    expected = [
        100 * np.mean([np.hypot(*(predicted[n, k] - true[n, k])) / np.hypot(*(true[n, 45] - true[n, 36])) for n in range(7) if n != 3])
        for k in range(68)
    ]
    (dots,) = left.collections
    np.testing.assert_allclose(dots.get_array(), expected, rtol=1e-5)
    areas = dots.get_sizes()
    assert np.array_equal(np.argsort(areas), np.argsort(expected))
    places = np.asarray(dots.get_offsets())
    assert places[36:42, 1].mean() == pytest.approx(places[42:48, 1].mean(), abs=1e-4)  # the eyes are level
    np.testing.assert_allclose(np.ptp(places, axis=0).max(), 56, atol=3)
    worst = sorted(range(68), key=lambda k: -expected[k])[:3]
    assert {text.get_text() for text in left.texts} == {f"{k}: {expected[k]:.1f} %" for k in worst}
    assert left.get_title() == "6 faces"
    widths = [patch.get_width() for patch in right.patches]
    np.testing.assert_allclose(widths, [np.mean([expected[k] for k in part]) for part in PARTS.values()], rtol=1e-5)
    assert size_of(tmp_path / "l.png") == (1080, 576)


def test_bars_of_head_pose(tmp_path, drawn):
    yaw = [("below 10°", 12, 3.25), ("more", 0, None)]
    roll = [("below 10°", 1, 4.5), ("more", 2, 6.125)]
    pose_figure(tmp_path / "p.png", {"yaw": yaw, "roll": roll})
    for ax, angle, rows in zip(drawn[0].axes, ("yaw", "roll"), (yaw, roll), strict=True):
        assert ax.get_title() == angle
        assert [patch.get_width() for patch in ax.patches] == [error or 0 for _, _, error in rows]
        assert [text.get_text() for text in ax.texts] == [f"{error:.2f} %" if error else "" for _, _, error in rows]
    names = [[label.get_text() for label in ax.get_yticklabels()] for ax in drawn[0].axes]
    assert names == [["below 10°\n12 faces", "more\n0 faces"], ["below 10°\n1 face", "more\n2 faces"]]
    assert size_of(tmp_path / "p.png")[0] == 1080


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_panel_of_error_curves_a_subset(tmp_path, drawn, rng, count):
    names = ("common", "challenging", "private")[:count]
    panels = {name: {kind: np.append(rng.gamma(4, 0.011, 20), np.nan) for kind in ("original", "augmented")} for name in names}
    ced_figure(tmp_path / "c.png", panels)
    axes = drawn[0].axes
    assert [ax.get_title() for ax in axes] == [f"{name}: 21 faces" for name in names]
    for ax, errors in zip(axes, panels.values(), strict=True):
        for line, (kind, values) in zip(ax.lines, errors.items(), strict=True):
            x, y = line.get_xydata().T
            reached = [100 * sum(value <= limit / 100 for value in values) / 21 for limit in x]
            np.testing.assert_allclose(y, reached, atol=1e-9)
            assert (
                line.get_label().startswith(f"{kind}: AUC ")
                and f"failures {100 * sum(not v < 0.08 for v in values) / 21:.1f} %" in line.get_label()
            )
    assert size_of(tmp_path / "c.png")[0] == (552 if count == 1 else 1104)


def test_a_copy_of_a_face_is_drawn_where_it_is(tmp_path, faces, drawn):
    """Figure 3's landmarks are those of `view` with the same seed: what the caption is about is what is trained on."""
    augmentation_figure(tmp_path / "3.png", faces[:1], Augmentation(copies=10**9), np.random.default_rng(5))
    images, points = view(faces, np.zeros(4, int), "augmented", np.random.default_rng(5), Augmentation(copies=10**9))
    for ax, image, face in zip(drawn[0].axes[2:], images, points, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image[:, :, 0])
        np.testing.assert_allclose(points_of(ax), face, rtol=1e-6)
        assert all(to_hex(line.get_color()) == PREDICTED for line in ax.lines)
