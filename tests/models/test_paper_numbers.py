"""What the paper's numbers say about themselves: every piece of arithmetic in docs/how-we-read-the-paper.md."""

from math import floor

import numpy as np
import pytest

from models.faces.augment import KINDS
from models.faces.metrics import box_mse
from models.faces.sequences import WINDOW, steps
from models.paper import numbers
from models.paper.numbers import FACES, NEWER, TABLE_2, TABLE_3, TABLE_5, TABLE_6, TABLE_7

LIMIT = 8.0  # percent


def corefan(table, kind):
    return table[f"COREFAN, {kind}"]


def truncated(share):
    """A share as a percentage cut off after two decimals."""
    return floor(1e4 * share + 1e-9) / 100


def rounded(share, digits=2):
    return round(100 * share, digits)


def test_the_tables_add_up():
    """Column sums of the printed tables, added by hand: a slip in one row shows. Each dash counts 0."""
    printed = [TABLE_2, *TABLE_5.values(), TABLE_6, TABLE_7, NEWER]
    sums = [[sum(value or 0 for value in column) for column in zip(*table.values(), strict=True)] for table in printed]
    expected = [
        [5.488, 17.02, 10.422],
        [55.65, 124.94, 74.84],
        [22.34, 43.08, 30.43],
        [445.91, 46.44],
        [31.86, 310.77, 90.42],
        [11.51, 20.1, 13.17],
    ]
    assert sums == [pytest.approx(row) for row in expected]


def test_the_same_numbers_by_subset_and_training_set():
    assert len(numbers.PAPER_COREFAN) == 12 and len(numbers.PAPER_CFPD) == 9
    assert numbers.PAPER_COREFAN["common", "augmented"] == (3.51, 4.87, 56.10, 0.18)
    assert numbers.PAPER_COREFAN["challenging", "original"] == (8.40, 12.15, None, None)
    assert numbers.PAPER_COREFAN["full", "normalised"] == (6.53, 9.19, None, None)
    assert numbers.PAPER_COREFAN["private", "normalised"] == (7.58, None, 23.52, 30.16)
    assert numbers.PAPER_CFPD["challenging", "normalised"] == (8.715, None)
    assert numbers.PAPER_CFPD["private", "original"] == (2.986, None)


def test_the_introductions_failure_rates_are_the_squared_errors_of_table_2():
    """33 % and 61 % fewer: 33.1 and 61.8 by the challenging column. No pair of Table 7's failure rates gives them."""
    original, normalised, augmented = (TABLE_2[kind][1] for kind in KINDS)
    assert truncated(1 - augmented / original) == pytest.approx(33.13)
    assert truncated(1 - augmented / normalised) == pytest.approx(61.81)
    failed = [corefan(TABLE_7, kind)[2] for kind in KINDS]
    assert rounded(1 - failed[2] / failed[0], 1) == 54.4 and rounded(1 - failed[2] / failed[1], 1) == 79.6


def test_one_after_the_other_would_be_faster_than_the_total_of_table_3():
    one_after_the_other = 1 / (1 / TABLE_3["cfpd"] + 1 / TABLE_3["detector"])
    assert one_after_the_other == pytest.approx(6.79, abs=0.005)
    left = 1000 / TABLE_3["together"] - 1000 / one_after_the_other
    assert left == pytest.approx(6.6, abs=0.05)  # ms a frame that neither of the two accounts for


def full_of(row):
    """The full set's mean error from those of its two parts."""
    common, challenging, _ = row
    return (FACES["common"] * common + FACES["challenging"] * challenging) / FACES["full"]


def test_the_full_set_is_the_mean_of_its_parts_in_every_row_but_two():
    """Numbers of two decimals make a mean that is off by less than 0.01; ESR's repeats the line above, PFLD's is not of the paper."""
    assert FACES["full"] == FACES["common"] + FACES["challenging"] == 689
    rows = {(block, name): row for block, table in {**TABLE_5, "newer": NEWER}.items() for name, row in table.items() if None not in row}
    assert len(rows) == 21
    off = {key: full_of(row) - row[2] for key, row in rows.items()}
    assert {name for (_, name), difference in off.items() if abs(difference) >= 0.01} == {"ESR", "PFLD at 112 px (2019)"}
    assert full_of(TABLE_5["inter-pupil"]["ESR"]) == pytest.approx(7.58, abs=0.005)
    assert TABLE_5["inter-pupil"]["ESR"][2] == TABLE_5["inter-pupil"]["SDM"][2] == 7.52
    assert full_of(NEWER["PFLD at 112 px (2019)"]) == pytest.approx(3.98, abs=0.005)


def counts(percent, faces, cut):
    """The numbers of faces whose share is printed like this."""
    return [k for k in range(faces + 1) if cut(k / faces) == pytest.approx(percent, abs=1e-6)]


def test_table_6_counts_corefans_failures_on_the_common_set():
    """74 of 554 are 13.357 %: printed 13.35, so cut off, not rounded, as in Table 7. 0.54 and 0.18 % of 689 faces are no whole number."""
    assert [counts(corefan(TABLE_6, kind)[1], FACES["common"], truncated) for kind in KINDS] == [[3], [74], [1]]
    for kind in ("original", "augmented"):
        assert (
            counts(corefan(TABLE_6, kind)[1], FACES["full"], truncated) == counts(corefan(TABLE_6, kind)[1], FACES["full"], rounded) == []
        )


def test_table_6_counts_the_others_failures_on_the_full_set():
    others = {name: row[1] for name, row in TABLE_6.items() if not name.startswith("COREFAN")}
    of_full = {name: counts(failed, FACES["full"], rounded) for name, failed in others.items()}
    assert of_full == {"SDM": [75], "ESR": [72], "CFSS": [35], "MDM": [29], "DAN": [8], "DAN-Menpo": [4]}
    for cut in (rounded, truncated):
        assert not any(counts(failed, FACES["common"], cut) for failed in others.values())


def test_table_7_cuts_off_what_it_should_round():
    """81, 181 and 37 of 600 faces: 30.1667 is printed 30.16, 6.1667 is printed 6.16."""
    failed = [corefan(TABLE_7, kind)[2] for kind in KINDS]
    assert [counts(percent, FACES["private"], truncated) for percent in failed] == [[81], [181], [37]]
    assert [counts(percent, FACES["private"], rounded) for percent in failed] == [[81], [], []]


def excess(error, area, failed):
    """By how much a failing face's error passes 8 %, on average: AUC - (8 - mean) / 8 = share of failures · excess / 8."""
    return (area / 100 - (LIMIT - error) / LIMIT) * LIMIT / (failed / 100)


def test_the_areas_of_table_6_go_with_the_common_sets_errors():
    """AUC is at least (8 - mean) / 8, and equal to it where no error passes 8 %."""
    bounds = {}
    for kind in KINDS:
        error, (area, _) = corefan(TABLE_5["inter-ocular"], kind)[0], corefan(TABLE_6, kind)
        bounds[kind] = 100 * (LIMIT - error) / LIMIT
        assert area >= bounds[kind] - 100 * 0.01 / LIMIT  # the error has two decimals
    assert bounds == pytest.approx({"original": 51.125, "normalised": 33.75, "augmented": 56.125})
    assert excess(3.91, 51.27, 0.54) == pytest.approx(2.1, abs=0.05)  # three faces at 10.1 % on average
    assert excess(5.30, 38.09, 13.35) == pytest.approx(2.6, abs=0.05)  # 74 faces at 10.6 %


def test_the_areas_of_table_6_do_not_go_with_the_full_sets_errors():
    """Failing faces would be off by more than an eye distance and a half, on average."""
    for kind, off in (("original", 163), ("augmented", 310)):
        error, (area, failed) = corefan(TABLE_5["inter-ocular"], kind)[2], corefan(TABLE_6, kind)
        assert excess(error, area, failed) == pytest.approx(off, abs=1)


def test_the_areas_of_table_7_go_with_its_errors():
    passes = [excess(*corefan(TABLE_7, kind)) for kind in KINDS]
    assert passes == pytest.approx([3.3, 4.8, 4.3], abs=0.05)


def test_the_two_eye_distances_differ_by_one_factor_a_subset():
    """So both columns of Table 5 come from the same predictions, and the corners lie 1.39 pupil distances apart on the common set."""
    factors = []
    for subset in range(3):
        ratios = [corefan(TABLE_5["inter-pupil"], kind)[subset] / corefan(TABLE_5["inter-ocular"], kind)[subset] for kind in KINDS]
        assert max(ratios) / min(ratios) < 1.003
        factors.append(sum(ratios) / 3)
    assert factors == pytest.approx([1.387, 1.445, 1.407], abs=0.001)


def test_fc_2_seeds_five_parts_with_five_points_each():
    assert 5 * 2 * WINDOW == 50 and WINDOW == 5
    assert steps() == (13, 6, 8, 5, 16) and sum(steps()) == 48
    assert sum(steps("point")) == 68


def test_two_pixels_below_a_box_are_as_much_as_the_best_error_of_table_2():
    boxes = np.arange(32.0).reshape(2, 4, 4)
    assert box_mse(boxes, boxes - (0, 0, 0, 2)) == 1.0 < TABLE_2["augmented"][0]


def test_training_on_upright_faces_is_the_worst_in_every_column():
    lower = [[TABLE_2[kind] for kind in KINDS]] + [[corefan(table, kind) for kind in KINDS] for table in TABLE_5.values()]
    lower += [[(100 - area, failed) for area, failed in (corefan(TABLE_6, kind) for kind in KINDS)]]
    lower += [[(error, 100 - area, failed) for error, area, failed in (corefan(TABLE_7, kind) for kind in KINDS)]]
    for original, normalised, augmented in lower:
        assert all(a < o < n for a, o, n in zip(augmented, original, normalised, strict=True))
