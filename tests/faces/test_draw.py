"""Pictures: what is drawn is where it should be, and odd numbers of faces fit."""

from io import BytesIO

import cv2
import numpy as np
import pytest

from models.faces import draw
from models.faces.augment import view
from models.faces.boxes import part_boxes
from models.faces.metrics import auc, ced


@pytest.mark.parametrize("count", [1, 2, 6, 7])
def test_a_sheet_shows_every_face_with_its_lines(tmp_path, some_faces, drawn, rng, count):
    images, true = view(some_faces, np.arange(count) % 6, "original", None)
    predicted = true + rng.normal(size=true.shape)
    predicted[0] += 40  # some landmarks lie beyond the frame: the picture keeps its size
    draw.landmark_sheet(tmp_path / "sheet.png", images, predicted, true, [f"face {n}" for n in range(count)])
    (figure,) = drawn
    assert len(figure.axes) == count
    for n, ax in enumerate(figure.axes):
        drawn_points = {tuple(point) for line in ax.lines for point in line.get_xydata()}
        assert drawn_points == {tuple(p) for p in true[n].astype(float)} | {tuple(p) for p in predicted[n].astype(float)}
        assert ax.texts[0].get_text() == f"face {n}" and ax.get_xlim() == (-0.5, 111.5) and ax.get_ylim() == (111.5, -0.5)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true", "predicted"]
    height, width = cv2.imread(str(tmp_path / "sheet.png")).shape[:2]
    assert width == max(264 * min(count, 6), 528) and height == (336 if count < 7 else 630)


def test_a_sheet_of_gray_crops_without_truth_or_captions(tmp_path, some_faces, drawn):
    draw.landmark_sheet(tmp_path / "sheet.png", some_faces.images[:2], some_faces.landmarks[:2], None)
    (figure,) = drawn
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["predicted"]
    assert figure.axes[0].images[0].get_clim() == (0, 255) and not figure.axes[0].texts


def test_gray_levels_keep_their_brightness(tmp_path, some_faces, drawn):
    """The network's picture is shown from black to white, not stretched."""
    images, points = view(some_faces, np.arange(1), "original", None)
    draw.landmark_sheet(tmp_path / "sheet.png", images, points, points)
    np.testing.assert_allclose(drawn[0].axes[0].images[0].get_clim(), [-0.485 / 0.229, 0.515 / 0.229], rtol=1e-6)


def test_boxes_stand_where_they_are(tmp_path, some_faces, drawn, rng):
    images, points = view(some_faces, np.arange(3), "original", None)
    true = part_boxes(points)
    predicted = true + rng.normal(size=true.shape)
    draw.box_sheet(tmp_path / "boxes.png", images, predicted, true, ["a", "b", "c"])
    (figure,) = drawn
    for n, ax in enumerate(figure.axes):
        extents = [patch.get_bbox().extents for patch in ax.patches]
        np.testing.assert_allclose(extents[0::2], predicted[n], rtol=1e-5)
        np.testing.assert_allclose(extents[1::2], true[n], rtol=1e-5)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["left eye and brow", "right eye and brow", "nose", "mouth", "true"]
    draw.box_sheet(tmp_path / "boxes.png", images, predicted, None)
    assert len(figure.axes[0].patches) == 8 and len(drawn[1].axes[0].patches) == 4


@pytest.mark.parametrize("kind", ["landmarks", "boxes"])
def test_a_face_that_was_not_found_is_crossed_out(tmp_path, some_faces, drawn, kind):
    images, points = view(some_faces, np.arange(4), "original", None)
    points[3] = np.nan  # where the frame came from a detector, the truth of a missed face may be nowhere
    true, write = (points, draw.landmark_sheet) if kind == "landmarks" else (part_boxes(points), draw.box_sheet)
    predicted = true.copy()
    predicted[1, 2, 0] = predicted[2:] = np.nan
    write(tmp_path / "sheet.png", images, predicted, true)
    for n, ax in enumerate(drawn[0].axes):
        cross = [line for line in ax.lines if line.get_color() == draw.WRONG]
        assert len(cross) == (0 if n == 0 else 2) and all(line.get_transform() == ax.transAxes for line in cross)
        if kind == "landmarks":
            assert {line.get_color() for line in ax.lines} == {draw.TRUE, draw.PREDICTED if n == 0 else draw.WRONG}
        else:
            assert len(ax.patches) == (8 if n == 0 else 4)
        assert ax.get_xlim() == (-0.5, 111.5) and ax.get_ylim() == (111.5, -0.5)


def test_rows_of_a_sheet_have_titles_and_their_own_lengths(some_faces):
    """Titles, captions and pictures stand clear of each other, and the legend above them all; a long legend takes two lines."""
    captions = ["one", "three\nlines\nof it", "three", "four"]
    rows = [list(some_faces.images[:3]), list(some_faces.images[3:4])]
    figure, axes = draw.sheet(rows, captions, draw.box_legend(), ["first", "second"], side=1.5)
    figure.savefig(BytesIO(), dpi=draw.DPI)
    figure.set_dpi(draw.DPI)
    assert [np.array_equal(ax.images[0].get_array(), image) for ax, image in zip(axes, some_faces.images, strict=False)] == [True] * 4
    titles = [text.get_window_extent() for text in figure.texts]
    frames = [ax.get_window_extent() for ax in axes]
    written = [ax.texts[0].get_window_extent() for ax in axes]
    legend = figure.legends[0].get_window_extent()
    assert [text.get_text() for text in figure.texts] == ["first", "second"] and [ax.texts[0].get_text() for ax in axes] == captions
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in (legend, *titles, *frames, *written))
    assert figure.bbox.y1 >= legend.y1 and legend.y0 >= titles[0].y1 and titles[0].y0 >= frames[0].y1 and frames[0].y0 >= written[1].y1
    assert written[1].y0 >= titles[1].y1 and titles[1].y0 >= frames[3].y1 and written[3].y0 >= 0
    assert frames[3].x0 == frames[0].x0 < frames[1].x0 < frames[2].x0


def test_the_error_curve_is_the_distribution(tmp_path, drawn, rng):
    errors = {"one": rng.gamma(4, 0.011, 100), "two": rng.gamma(4, 0.02, 30)}
    draw.ced_plot(tmp_path / "ced.png", errors)
    ax = drawn[0].axes[0]
    for line, (name, values) in zip(ax.lines, errors.items(), strict=True):
        x, y = line.get_xydata().T
        assert x[0] == 0 and x[-1] == pytest.approx(8)
        np.testing.assert_allclose(y, 100 * ced(values, x / 100), atol=1e-9)
        assert line.get_label().startswith(f"{name}: AUC {100 * auc(values):.1f} %, failures {100 * (values >= 0.08).mean():.1f} %")


@pytest.mark.parametrize("epochs", [1, 5, 40])
@pytest.mark.parametrize("fall", [1.0, 0.7])
def test_the_loss_curve_marks_the_best_epoch(tmp_path, drawn, epochs, fall):
    rows = [{"epoch": k + 1, "loss": 3.0 * fall**k, "nme_percent": 5 + (k - 3) ** 2, "auc": 0.5, "lr": 0.001} for k in range(epochs)]
    draw.loss_plot(tmp_path / "loss.png", rows)
    left, right = drawn[0].axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [row["loss"] for row in rows])
    np.testing.assert_allclose(right.lines[0].get_xydata(), [(row["epoch"], row["nme_percent"]) for row in rows])
    best = min(epochs, 4)
    assert right.get_title().endswith(f"nme percent: best {rows[best - 1]['nme_percent']:.4g}, epoch {best}")
    assert (left.get_yscale() == "log") == (fall < 1 and epochs > 4)
