"""Docstrings as they are written: ours are plain text with equations and tables in columns, no markup.

A paragraph of prose flows; one that is indented, or has columns, keeps its layout.
"""

import re


def as_written(app, what, name, thing, options, lines):
    found = []
    for paragraph in re.split(r"\n[ ]*\n", "\n".join(lines).strip("\n")):
        rows = paragraph.split("\n")
        if any(row.startswith(" ") or "   " in row or row.startswith("- ") for row in rows):
            found += [".. code-block:: none", "", *(f"   {row.rstrip()}" for row in rows), ""]
        else:
            found += [re.sub(r"([\\*`|_])", r"\\\1", row) for row in rows] + [""]
    lines[:] = found


def setup(app):
    app.connect("autodoc-process-docstring", as_written)
    return {"parallel_read_safe": True, "version": "1"}
