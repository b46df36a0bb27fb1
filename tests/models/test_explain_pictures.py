"""What the pictures of `faceseed explain` show, read back from the figures."""

from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from models.corefan import Corefan
from models.explain import drawing, seeds
from models.explain.activations import TILE, feature_maps, filters_figure, first_filters, liveliest, maps_figure, tile
from models.explain.errors import errors_figure, landmark_errors
from models.explain.face import COLOURS, Face, face_figure
from models.explain.gates import gates_figure
from models.explain.gif import colours
from models.explain.recurrent import seeds_and_features, settled, trace
from models.explain.saliency import saliency_figure
from models.explain.seeds import effect, moved, seeds_figure
from models.faces.head import MEAN
from models.faces.landmarks import PARTS
from models.faces.sequences import READOUTS, window_indices


def small_corefan(**reading):
    return Corefan(2, 6, size=32, rng=np.random.default_rng(3), **reading).astype("float64").evaluate()


@pytest.fixture
def image(rng):
    return rng.normal(size=(1, 32, 32, 1))


@pytest.fixture
def face(image):
    """A face about the middle of a frame of 32 px, cut out of a photo that is twice as large."""
    return Face(np.zeros((64, 64), np.uint8), np.diag([0.5, 0.5, 1]), image, MEAN * 0.09 + 15.5, None)


@pytest.fixture
def film(monkeypatch):
    """Frames that the animations would shoot: title, how often, and per line its colour and points."""
    shots = []

    class Stage:
        ax = Figure().subplots()

        def shoot(self, title, times=1):
            shots.append((title, times, [(to_hex(line.get_color()), line.get_xydata().copy()) for line in self.ax.lines]))
            for line in list(self.ax.lines):
                line.remove()

    @contextmanager
    def stage(*_):
        yield Stage()

    for module in (drawing, seeds):
        monkeypatch.setattr(module, "stage", stage)
    return shots


@pytest.mark.parametrize("readout", READOUTS)
def test_the_window_slides_and_landmarks_stay(film, face, readout):
    model = small_corefan(readout=readout)
    found = trace(model, *seeds_and_features(model, face.image))
    drawing.drawing_gif("", model, face, found, readout)
    *frames, (last, times, lines) = film
    indices = window_indices(readout)
    assert len(frames) == len(indices) and (last, times) == ("68 landmarks", drawing.LAST)
    for t, (title, _, drawn) in enumerate(frames):
        np.testing.assert_array_equal(drawn[0][1], found.points[0, indices[t]])  # the band
        np.testing.assert_array_equal(drawn[-1][1], found.windows[0, t])  # the crosses
        part = next(name for name, own in PARTS.items() if indices[t, 0] in own)
        assert drawn[-1][0] == COLOURS[part]
        assert title == f"step {t + 1} of {len(indices)}: {part}, landmarks {' '.join(map(str, indices[t]))}"
        shown = {tuple(point) for _, points in drawn[1:-1] for point in points if np.isfinite(point).all()}
        assert shown == {tuple(point) for point in found.points[0, settled(model, t + 1)]}
    assert {tuple(point) for _, points in lines for point in points} == {tuple(point) for point in found.points[0]}


def test_the_sweep_goes_there_and_back(film, face):
    model = small_corefan()
    unit = np.full((5, 10), 0.1)
    best = np.array([3, 0, 9, 4, 4])
    seeds.sweep_gif("", model, face, unit, best)
    titles = [title for title, _, _ in film]
    assert len(titles) == 5 * seeds.SWEEP
    for part, name in enumerate(PARTS):
        swing = [0, 2, 3.46, 4, 3.46, 2, 0, -2, -3.46, -4, -3.46, -2]
        own = titles[part * seeds.SWEEP : (part + 1) * seeds.SWEEP]
        assert own == [f"{name}, seeding number {best[part] + 1}: {amount:+.1f} standard deviations" for amount in swing]
        drawn = moved(model, face, unit, np.array([-4.0, 4.0]))[part, best[part]]
        for points, frame in ((drawn[1], 3), (drawn[0], 9)):
            lines = film[part * seeds.SWEEP + frame][2]
            shown = {tuple(point) for _, line in lines for point in line.round(9)}
            assert shown == {tuple(point) for point in points.round(9)}


def test_heat_maps_hold_the_gates(image):
    model = small_corefan()
    found = trace(model, *seeds_and_features(model, image))
    axes = gates_figure(found, "mean").axes[:6]
    drawn = [np.asarray(ax.images[0].get_array()) for ax in axes]  # (U, T) each
    values = [*np.moveaxis(found.gates[0], 1, 0), found.cell[0], found.hidden[0]]
    peaks = np.abs(drawn[5] - drawn[5].mean(1, keepdims=True)).argmax(1)
    assert (np.diff(peaks) >= 0).all()
    rows = [next(k for k in range(6) if np.array_equal(values[5][:, k], row)) for row in drawn[5]]
    assert sorted(rows) == list(range(6))
    for shown, each in zip(drawn, values, strict=True):
        np.testing.assert_array_equal(shown, each.T[rows])
    labels = [label.get_text() for label in axes[-1].get_xticklabels()]
    assert labels[:14] == [*map(str, range(4, 17)), "21"] and len(labels) == 48
    bounds = [line.get_xdata()[0] for line in axes[0].lines]
    assert bounds == [12.5, 18.5, 26.5, 31.5]
    assert [text.get_text() for text in axes[-1].texts] == list(PARTS)


def test_tiles_stand_where_they_belong(image):
    model = small_corefan()
    maps, filters = feature_maps(model, image), first_filters(model)
    (ax,) = filters_figure(filters, maps["conv1"]).axes
    canvas = np.asarray(ax.images[0].get_array())
    first, second = liveliest(maps["conv1"], 2)
    assert [text.get_text() for text in ax.texts] == [str(first), str(second)]
    x, y = (int(number) for number in ax.texts[1].get_position())
    y += 2
    expected = tile(filters[second] / np.abs(filters[second]).max() / 2 + 0.5, "RdBu_r")
    np.testing.assert_array_equal(canvas[y : y + TILE, x : x + TILE], expected)
    brightest = canvas[y : y + TILE, x + TILE : x + 2 * TILE].sum(-1)
    peak = np.unravel_index(brightest.argmax(), brightest.shape)
    assert maps["conv1"][peak[0] * 32 // TILE, peak[1] * 32 // TILE, second] == maps["conv1"][..., second].max()

    texts = [text.get_text() for text in maps_figure(maps).axes[0].texts]
    assert texts[0] == "conv-1\n32 × 32\n× 2" and texts[-1] == "pool-4\n2 × 2\n× 16" and len(texts) == 9


def test_a_dead_map_is_black_and_no_error(image):
    model = small_corefan()
    maps = {name: np.zeros_like(values) for name, values in feature_maps(model, image).items()}
    canvas = np.asarray(maps_figure(maps).axes[0].images[0].get_array())
    assert canvas[TILE // 2, 3 * TILE // 2].max() < 0.02


def test_the_grid_of_seeding_numbers_says_how_far(face):
    drawn = moved(small_corefan(), face, np.full((5, 10), 0.3))
    (ax,) = seeds_figure(drawn).axes
    far = effect(drawn)
    expected = {f"{name} {k + 1}: {far[part, k]:.1f} px" for part, name in enumerate(PARTS) for k in range(10)}
    assert {text.get_text() for text in ax.texts} == expected
    assert len(ax.collections) == 5 * 10 * 5


def test_circles_stand_at_the_true_landmarks(face, rng):
    true = face.points + rng.normal(size=(68, 2))
    axes = errors_figure(face, true).axes
    (circles,) = axes[0].collections
    np.testing.assert_array_equal(circles.get_offsets(), true)
    np.testing.assert_array_equal(circles.get_array(), landmark_errors(face.points, true))
    assert [bar.get_width() for bar in axes[1].patches[:17]] == landmark_errors(face.points, true)[:17].tolist()


def test_the_square_on_the_photo_is_the_frame(face):
    left, right = face_figure(face).axes
    np.testing.assert_allclose(left.patches[0].get_xy()[:4], [[-1, -1], [63, -1], [63, 63], [-1, 63]])
    assert {to_hex(line.get_color()) for line in right.lines} == set(COLOURS.values())


def test_saliency_is_drawn_by_part(face):
    maps = np.zeros((5, 32, 32))
    for part in range(5):
        maps[part, 5 * part + 3, 4] = part + 1
    axes = saliency_figure(face, maps).axes
    assert [ax.get_title() for ax in axes] == [*PARTS, "all five"]
    peaks = [np.unravel_index(np.asarray(ax.images[1].get_array()).argmax(), (32, 32)) for ax in axes[:5]]
    assert peaks == [(5 * part + 3, 4) for part in range(5)]


def test_the_palette_holds_the_parts_colours_and_grays():
    palette = {tuple(colour) for colour in colours().tolist()}
    assert len(colours()) <= 256 and (0, 0, 0) in palette and (255, 255, 255) in palette
    assert {tuple(bytes.fromhex(colour[1:])) for colour in COLOURS.values()} <= palette
