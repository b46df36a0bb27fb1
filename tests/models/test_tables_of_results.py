"""The paper's tables with ours beside them: which number stands where, what is absent, and what is never mixed."""

import pytest

from models.paper import tables
from models.paper.document import Section, html, markdown
from models.paper.numbers import TABLE_2, TABLE_5, TABLE_6, TABLE_7

KEYS = ("nme_interocular_percent", "nme_interpupil_percent", "auc_008_percent", "failure_percent")


def landmarks(first, missed=0):
    """Numbers of one subset that tell where they came from: first, first + 1, ..."""
    return {"n": 192, "missed": missed, **{key: first + k for k, key in enumerate(KEYS)}, "auc_008_grid_percent": first + 2.03}


def boxes(error, missed=0):
    return {"n": 192, "missed": missed, "box_mse_px2": error, "box_iou": 0.75}


@pytest.fixture
def results():
    """What a reader without the test sets has for COREFAN, and more of CFPD."""
    return {
        "corefan": {
            "augmented": {"oracle": {"val": landmarks(10)}, "detector": {"val": landmarks(20, missed=7)}},
            "original": {"oracle": {"val": landmarks(30), "drawn": landmarks(40)}},
        },
        "cfpd": {
            "augmented": {"oracle": {"common": boxes(1.25), "private": boxes(2.5), "val": boxes(1.5)}, "detector": {"val": boxes(3.0)}},
        },
    }


def cells(table, name, heading):
    """The cells of a row, by what its first cells say, under a heading."""
    (row,) = [row for row in table.rows if list(row[: len(name)]) == list(name)]
    return row[list(table.headings).index(heading)]


def test_table_2(results):
    table = tables.table2(results)
    assert list(table.headings) == ["method", "common", "challenging", "private", "val"]
    assert table.rows == [
        ["CFPD, original", "1.371", "4.977", "2.986", "–"],
        ["CFPD, normalised", "3.005", "8.715", "4.832", "–"],
        ["CFPD, augmented", "1.112", "3.328", "2.604", "–"],
        ["ours: augmented, oracle", "1.250", "absent", "2.500", "1.500"],
        ["ours: augmented, detector", "absent", "absent", "absent", "3.000"],
    ]
    assert list(table.ours) == [3, 4]
    assert "**absent**: these faces were not in the data" in table.note
    assert "Not comparable to the paper's columns: val (held-out training faces)." in table.note


def test_table_3():
    cpu = {"cfpd": 40.0, "detector": 10.0, "together": 7.75}
    table = tables.table3({"cpu": cpu, "cuda": None})
    assert [list(row[1:]) for row in table.rows] == [
        ["230", "40.0", "not measured"],
        ["7.0", "10.0", "not measured"],
        ["6.5", "7.8", "not measured"],
        ["6.8", "8.0", "not measured"],  # 1 / (1/40 + 1/10)
    ]
    assert "no GPU here" in table.note and "Haar cascade" in table.note and "dlib" in table.note
    with_gpu = tables.table3({"cpu": cpu, "cuda": {"cfpd": 1000.0, "detector": 10.0, "together": 9.0}})
    assert [row[3] for row in with_gpu.rows] == ["1000", "10.0", "9.0", "9.9"] and "no GPU" not in with_gpu.note


def test_table_5(results):
    table = tables.table5(results)
    subsets = ("common", "challenging", "full")
    for block, unit in (("inter-pupil", "pupil"), ("inter-ocular", "ocular")):
        for name, row in TABLE_5[block].items():
            for subset, value in zip(subsets, row, strict=True):
                assert cells(table, [name], f"{subset}, {unit}") == ("–" if value is None else f"{value:.2f}")
            assert cells(table, [name], f"val, {unit}") == cells(table, [name], f"drawn, {unit}") == "–"
    assert cells(table, ["SDM"], "full, ocular") == cells(table, ["MDM"], "full, pupil") == "–"
    assert cells(table, ["STAR (2023)"], "challenging, ocular") == "4.32" and cells(table, ["STAR (2023)"], "challenging, pupil") == "–"
    ours = {"oracle": 10, "detector": 20}
    for crops, first in ours.items():
        name = [f"ours: augmented, {crops}"]
        assert cells(table, name, "val, ocular") == f"{first:.2f}" and cells(table, name, "val, pupil") == f"{first + 1:.2f}"
        assert {cells(table, name, f"{subset}, {unit}") for subset in (*subsets, "drawn") for unit in ("pupil", "ocular")} == {"absent"}
    assert cells(table, ["ours: original, oracle"], "drawn, pupil") == "41.00"
    names = [row[0] for row in table.rows]
    assert "ours: original, detector" not in names and not any("ours: normalised" in name for name in names)
    assert names.index("COREFAN, augmented") + 1 == names.index("ours: augmented, oracle") == names.index("HRNet-W18 (2019)") - 2
    assert [names[k] for k in table.ours] == [name for name in names if "ours" in name]


def test_table_6_keeps_the_two_sets_apart(results):
    results["corefan"]["augmented"]["oracle"] |= {"common": landmarks(50), "full": landmarks(60)}
    table = tables.table6(results)
    for name, (area, failed) in TABLE_6.items():
        theirs, other = ("common", "full") if name.startswith("COREFAN") else ("full", "common")
        assert [cells(table, [name], f"{theirs}, {unit}") for unit in ("AUC", "failed")] == [f"{area:.2f}", f"{failed:.2f}"]
        assert {cells(table, [name], f"{other}, {unit}") for unit in ("AUC", "failed")} == {"–"}
    ours = ["ours: augmented, oracle"]
    assert cells(table, ours, "common, AUC") == "52.00" and cells(table, ours, "common, failed") == "53.00"
    assert cells(table, ours, "full, AUC") == "62.00" and cells(table, ours, "val, failed") == "13.00"
    assert cells(table, ["ours: augmented, detector"], "common, AUC") == "absent"


def test_table_7(results):
    table = tables.table7(results)
    for name, row in TABLE_7.items():
        units = ("ocular", "AUC", "failed")
        assert [cells(table, [name], f"private, {unit}") for unit in units] == ["–" if value is None else f"{value:.2f}" for value in row]
    assert cells(table, ["ours: augmented, detector"], "private, ocular") == "absent"
    assert [cells(table, ["ours: augmented, detector"], f"val, {unit}") for unit in units] == ["20.00", "22.00", "23.00"]


def test_all_of_ours(results):
    table = tables.all_ours(results)
    assert len(table.rows) == 4 + 4
    found = [row for row in table.rows if row[:4] == ["corefan", "augmented", "detector", "val"]]
    assert [row[4:] for row in found] == [["192", "7", "", "", "20.00", "21.00", "22.00", "22.03", "23.00"]]
    found = [row for row in table.rows if row[:4] == ["cfpd", "augmented", "oracle", "private"]]
    assert [row[4:] for row in found] == [["192", "0", "2.500", "0.750", "", "", "", "", ""]]


def test_nothing_was_measured():
    """The paper's rows stand alone."""
    for make, printed in ((tables.table2, TABLE_2), (tables.table6, TABLE_6), (tables.table7, TABLE_7)):
        table = make({})
        assert len(table.rows) == len(printed) and not table.ours
        assert "Not comparable" not in table.note
    assert tables.all_ours({}).rows == []


def test_every_table_can_be_written(results):
    parts = [
        tables.table2(results),
        tables.table3({"cpu": None, "cuda": None}),
        *(make(results) for make in (tables.table5, tables.table6, tables.table7, tables.all_ours)),
    ]
    text = markdown("t", [Section("s", parts)], ".")
    assert "| **ours: augmented, detector** |" in text
    assert html("t", [Section("s", parts)], ".").count('<tr class="ours">') == 2 + 3 * 3
