"""Docstrings as they are written: ours are plain text with equations and tables in columns, no markup. A single line becomes a
paragraph, more lines keep their layout."""

import re


def as_written(app, what, name, thing, options, lines):
    text = [line.rstrip() for line in lines]
    while text and not text[-1]:
        text.pop()
    if len(text) == 1:
        lines[:] = [re.sub(r"([\\*`|_])", r"\\\1", text[0]), ""]
    elif text:
        lines[:] = [".. code-block:: none", "", *(f"   {line}" for line in text), ""]


def setup(app):
    app.connect("autodoc-process-docstring", as_written)
    return {"parallel_read_safe": True, "version": "1"}
