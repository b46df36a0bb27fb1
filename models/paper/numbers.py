"""What the paper reports, table by table, and newer results for the same faces.

Rows are as printed, misprints included (docs/how-we-read-the-paper.md discusses them); None where the paper prints a dash.
"""

from models.faces.augment import KINDS

Row = tuple[float | None, ...]

FACES = {"common": 554, "challenging": 135, "full": 689, "private": 600}  # faces of 300-W's test sets; full = common + challenging

# Table 2, CFPD: mean squared error of the boxes, px², by training images; common, challenging, private (printed "W300").
TABLE_2: dict[str, Row] = {
    "original": (1.371, 4.977, 2.986),
    "normalised": (3.005, 8.715, 4.832),
    "augmented": (1.112, 3.328, 2.604),
}

# Table 3: frames a second on a GTX 1050 Ti with a camera; the detector is dlib's.
TABLE_3 = {"cfpd": 230.0, "detector": 7.0, "together": 6.5}

# Table 5: mean error in percent of the eye distance; common, challenging, full.
TABLE_5: dict[str, dict[str, Row]] = {
    "inter-pupil": {
        "SDM": (5.60, 15.40, 7.52),
        "ESR": (5.28, 17.00, 7.52),
        "LBF": (4.95, 11.98, 6.32),
        "CFSS": (4.73, 9.98, 5.76),
        "Kowalski et al.": (4.62, 9.48, 5.57),
        "DAN": (4.42, 7.57, 5.03),
        "DAN-Menpo": (4.29, 7.05, 4.83),
        "RAR": (4.12, 8.35, 4.94),
        "cGPRT": (None, None, 5.71),
        "COREFAN, original": (5.42, 12.15, 6.73),
        "COREFAN, normalised": (7.35, 16.74, 9.19),
        "COREFAN, augmented": (4.87, 9.24, 5.72),
    },
    "inter-ocular": {
        "MDM": (None, None, 4.05),
        "Kowalski et al.": (3.34, 6.56, 3.97),
        "DAN": (3.19, 5.24, 3.59),
        "DAN-Menpo": (3.09, 4.88, 3.44),
        "COREFAN, original": (3.91, 8.40, 4.78),
        "COREFAN, normalised": (5.30, 11.60, 6.53),
        "COREFAN, augmented": (3.51, 6.40, 4.07),
    },
}

# Table 6: AUC at 0.08 and failure rate, percent, inter-ocular. COREFAN's rows are the common set's, the others' the full set's.
TABLE_6: dict[str, Row] = {
    "SDM": (42.94, 10.89),
    "ESR": (43.12, 10.45),
    "CFSS": (49.87, 5.08),
    "MDM": (52.12, 4.21),
    "DAN": (55.33, 1.16),
    "DAN-Menpo": (57.07, 0.58),
    "COREFAN, original": (51.27, 0.54),
    "COREFAN, normalised": (38.09, 13.35),
    "COREFAN, augmented": (56.10, 0.18),
}

# Table 7, 300-W private: mean inter-ocular error, AUC at 0.08, failure rate, percent.
TABLE_7: dict[str, Row] = {
    "MDM": (5.05, 45.32, 6.80),
    "DAN": (4.30, 47.00, 2.67),
    "DAN-Menpo": (3.97, 50.84, 1.83),
    "ESR": (None, 32.35, 17.00),
    "CFSS": (None, 39.81, 12.30),
    "COREFAN, original": (5.84, 32.61, 13.5),
    "COREFAN, normalised": (7.58, 23.52, 30.16),
    "COREFAN, augmented": (5.12, 39.32, 6.16),
}

# Published since, with the year: inter-ocular error in percent; common, challenging, full.
NEWER: dict[str, Row] = {
    "HRNet-W18 (2019)": (2.91, 5.11, 3.34),
    "PFLD at 112 px (2019)": (3.49, 6.01, 3.97),
    "SPIGA (2022)": (2.59, 4.66, 2.99),
    "STAR (2023)": (2.52, 4.32, 2.87),
}


def _corefan(kind: str) -> dict[tuple[str, str], Row]:
    """COREFAN's printed numbers for one training set: (inter-ocular, inter-pupil, AUC, failures) by (subset, training set)."""
    name = f"COREFAN, {kind}"
    ocular, pupil = TABLE_5["inter-ocular"][name], TABLE_5["inter-pupil"][name]
    error, *area_and_failures = TABLE_7[name]
    return {
        ("common", kind): (ocular[0], pupil[0], *TABLE_6[name]),
        ("challenging", kind): (ocular[1], pupil[1], None, None),
        ("full", kind): (ocular[2], pupil[2], None, None),
        ("private", kind): (error, None, *area_and_failures),
    }


# Tables 5, 6 and 7 by (subset, training set): inter-ocular error, inter-pupil error, AUC at 0.08, failure rate, in percent.
PAPER_COREFAN = {key: row for kind in KINDS for key, row in _corefan(kind).items()}
# Table 2 by (subset, training set): mean squared error in px², and IoU, which the paper does not report.
PAPER_CFPD = {
    (subset, kind): (error, None)
    for kind in KINDS
    for subset, error in zip(("common", "challenging", "private"), TABLE_2[kind], strict=True)
}
