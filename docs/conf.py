"""Sphinx: `faceseed docs`, or `python -m sphinx -W -c docs . OUT` in the repository's folder."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

project = "faceseed"
author = "the faceseed authors"
copyright = "the faceseed authors, MIT licence"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "chapters", "equations", "docstrings", "house"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "tutorials/ch*.py", "models/weights/README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"]
source_suffix = {".md": "markdown", ".py": "chapter"}
exclude_patterns = ["docs/_build", "**/__pycache__"]

myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_block", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
html_math_renderer = "katex"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
viewcode_follow_imported_members = False
pygments_style = "default"
highlight_language = "default"

html_theme = "furo"
html_title = "faceseed"
html_static_path = ["_static"]
html_css_files = ["katex/katex.min.css", "site.css"]
html_js_files = [("katex/katex.min.js", {"defer": "defer"}), ("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
