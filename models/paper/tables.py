"""Tables 2, 3, 5, 6 and 7 with our numbers beside the paper's.

Everything is built from results[model][training set][crops][subset], a dict of numbers: "cfpd" or "corefan"; original, normalised or
augmented; crops "oracle" (placed by the true landmarks, as the paper's are) or "detector" (placed by a found face).
"""

from collections.abc import Iterator, Mapping, Sequence

from models.faces.augment import KINDS
from models.paper.document import Table
from models.paper.numbers import NEWER, TABLE_2, TABLE_3, TABLE_5, TABLE_6, TABLE_7, Row
from models.subsets import CROPS

Results = dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]
Column = tuple[str, str]  # subset, key of its numbers

OWN = {"val": "held-out training faces", "other": "faces of unknown origin", "drawn": "drawn faces"}  # subsets that the paper has not
ABSENT, UNMEASURED, NONE = "absent", "not measured", "–"
SQUARED, OVERLAP, OCULAR, PUPIL = "box_mse_px2", "box_iou", "nme_interocular_percent", "nme_interpupil_percent"
AREA, ON_GRID, FAILED = "auc_008_percent", "auc_008_grid_percent", "failure_percent"
NAMES = {SQUARED: "MSE", OVERLAP: "IoU", OCULAR: "ocular", PUPIL: "pupil", AREA: "AUC", ON_GRID: "AUC, grid", FAILED: "failed"}
DIGITS = {SQUARED: 3, OVERLAP: 3}  # elsewhere 2, as the paper prints


def table2(results: Results) -> Table:
    """CFPD's boxes: mean squared error in px²."""
    columns = [(subset, SQUARED) for subset in ("common", "challenging", "private", *_own(results, "cfpd"))]
    printed = {f"CFPD, {kind}": row for kind, row in TABLE_2.items()}
    return _compared("Table 2: CFPD, mean squared error of the boxes, px²", "cfpd", printed, results, columns)


def table3(speeds: Mapping[str, dict[str, float] | None]) -> Table:
    """Frames a second: speeds["cpu"] and speeds["cuda"] hold "cfpd", "detector" and "together", or are None where not measured."""
    sides = {"the paper, GTX 1050 Ti": TABLE_3, "ours, CPU": speeds["cpu"], "ours, GPU": speeds["cuda"]}
    columns = [[UNMEASURED] * 4 if side is None else _rates(side) for side in sides.values()]
    names = ["CFPD", "face detector", "together", "1 / (1 / CFPD + 1 / detector)"]
    note = (
        "The paper's detector is dlib's, on the frames of a camera; ours is OpenCV's Haar cascade: only the row of CFPD compares like "
        "with like, on different machines. The last row is computed from the first two."
    )
    if speeds["cuda"] is None:
        note += f" **{UNMEASURED}**: no GPU here."
    return Table("Table 3: CFPD, frames a second", ["", *sides], [[*row] for row in zip(names, *columns, strict=True)], note)


def _rates(side: dict[str, float]) -> list[str]:
    rates = [side["cfpd"], side["detector"], side["together"], 1 / (1 / side["cfpd"] + 1 / side["detector"])]
    return [f"{rate:.{0 if rate >= 100 else 1}f}" for rate in rates]


def table5(results: Results) -> Table:
    """COREFAN and others: mean error by both eye distances, percent."""
    subsets = ("common", "challenging", "full", *_own(results, "corefan"))
    columns = [(subset, key) for key in (PUPIL, OCULAR) for subset in subsets]
    pupil, ocular, nothing = TABLE_5["inter-pupil"], TABLE_5["inter-ocular"] | NEWER, (None, None, None)
    gap = (None,) * (len(subsets) - 3)
    names = [*dict.fromkeys([*pupil, *TABLE_5["inter-ocular"]])]
    order = [*sorted(names, key=lambda name: name.startswith("COREFAN")), *NEWER]
    printed = {name: (*pupil.get(name, nothing), *gap, *ocular.get(name, nothing)) for name in order}
    note = "pupil, ocular: over the distance of the pupils, of the outer eye corners. Rows with a year are newer than the paper. "
    return _compared("Table 5: mean error, % of the eye distance, 300-W public", "corefan", printed, results, columns, note)


def table6(results: Results) -> Table:
    """COREFAN and others: area under the error curve and failure rate on the public test set, percent."""
    columns = [(subset, key) for subset in ("full", "common", *_own(results, "corefan")) for key in (AREA, FAILED)]
    printed = {name: (None, None, *row) if name.startswith("COREFAN") else row for name, row in TABLE_6.items()}
    note = (
        "Inter-ocular. The paper prints one pair of columns for all. The failure rates show that the other methods' rows are the full "
        "set's (each is a whole number of its 689 faces) and COREFAN's the common set's (0.18 % is 1 face of 554); so they stand here. "
    )
    return _compared("Table 6: AUC at 8 % and failure rate, %, 300-W public", "corefan", printed, results, columns, note)


def table7(results: Results) -> Table:
    """COREFAN and others on 300-W private: mean error, area under the error curve, failure rate, percent."""
    columns = [(subset, key) for subset in ("private", *_own(results, "corefan")) for key in (OCULAR, AREA, FAILED)]
    title = "Table 7: mean error, AUC at 8 % and failure rate, %, 300-W private"
    return _compared(title, "corefan", TABLE_7, results, columns, "Inter-ocular. ")


def all_ours(results: Results) -> Table:
    """Every number of ours: a row a model, training set, kind of crops and subset."""
    rows = []
    for model in results:
        for kind in KINDS:
            for crops, numbers in _runs(results, model, kind):
                for subset, row in numbers.items():
                    values = [_number(row[key], key) if key in row else "" for key in NAMES]
                    rows.append([model, kind, crops, subset, str(row["n"]), str(row["missed"]), *values])
    headings = ["model", "trained on", "crops", "subset", "faces", "missed", *NAMES.values()]
    note = (
        "MSE in px², ocular to failed in percent. AUC is the exact area under the step curve; on a grid of 0.0001, as others integrate it, "
        "it may differ by up to 0.06. Errors of detector crops are means over the faces that were found; a missed face is a "
        "failure, in AUC as in the failure rate."
    )
    return Table("All of our numbers", headings, rows, note)


def _compared(title: str, model: str, printed: Mapping[str, Row], results: Results, columns: Sequence[Column], note: str = "") -> Table:
    """Methods as printed; under each row of the model ours of the same training set."""
    one_key = len({key for _, key in columns}) == 1
    headings = ["method", *(subset if one_key else f"{subset}, {NAMES[key]}" for subset, key in columns)]
    rows, ours = [], []
    for name, row in printed.items():
        values = [*row, *(None,) * (len(columns) - len(row))]  # the paper has no number for subsets of our own
        rows.append([name, *(NONE if value is None else _number(value, key) for value, (_, key) in zip(values, columns, strict=True))])
        kind = name.rpartition(", ")[2]
        for crops, numbers in _runs(results, model, kind):
            ours.append(len(rows))
            found = [_number(numbers[subset][key], key) if subset in numbers else ABSENT for subset, key in columns]
            rows.append([f"ours: {kind}, {crops}", *found])
    return Table(title, headings, rows, note + _note(results, model), ours)


def _runs(results: Results, model: str, kind: str) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """What was measured of one training set: (crops, numbers by subset), oracle crops first."""
    runs = results.get(model, {}).get(kind, {})
    return ((crops, runs[crops]) for crops in CROPS if crops in runs)


def _own(results: Results, model: str) -> list[str]:
    """Subsets measured beside the paper's."""
    measured = {subset for kind in KINDS for _, numbers in _runs(results, model, kind) for subset in numbers}
    return [subset for subset in OWN if subset in measured]


def _number(value: float, key: str) -> str:
    return f"{value:.{DIGITS.get(key, 2)}f}"


def _note(results: Results, model: str) -> str:
    """What the reader of a table with our rows must know."""
    own = [f"{subset} ({OWN[subset]})" for subset in _own(results, model)]
    columns = f" Not comparable to the paper's columns: {', '.join(own)}." if own else ""
    return (
        f"Crops of ours: oracle, placed by the true landmarks as the paper's are; detector, placed by a face detector's box, errors over "
        f"the faces it found. **{ABSENT}**: these faces were not in the data. {NONE}: no number.{columns}"
    )
