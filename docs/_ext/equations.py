r"""Formulas, and the paper's equations: `\tag{4}` in a chapter, `# Eq. (4)` in the code, linked both ways.

Formulas stay TeX in the page and are drawn by the copy of KaTeX in docs/_static. Below a tagged one stand links to the functions whose
lines carry its number; a tag without such a line warns, and so fails the build. In coloured code `Eq. (4)` links back to the formula.
"""

import html
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
TAG = re.compile(r"\\tag\{(\d+)\}")
CODE = re.compile(r"\bEq\. \((\d+)\)")
log = logging.getLogger(__name__)


def tagged_functions():
    """{"4": ["nn.reference.lstm.lstm", ...]}: the functions that hold a comment `# Eq. (4)`."""
    found = {}
    for path in sorted(p for folder in ("nn", "models") for p in (ROOT / folder).rglob("*.py")):
        module, scope = ".".join(path.relative_to(ROOT).with_suffix("").parts), []
        for line in path.read_text("utf-8").splitlines():
            if match := re.match(r"( *)(?:def|class) (\w+)", line):
                scope = [*scope[: len(match[1]) // 4], match[2]]
            if "#" in line and (match := CODE.search(line.split("#", 1)[1])):
                name = ".".join([module, *scope])
                if name not in found.setdefault(match[1], []):
                    found[match[1]].append(name)
    return found


class Tagged(SphinxTransform):
    """Links from a tagged formula to the code."""

    default_priority = 400

    def apply(self):
        where = self.env.__dict__.setdefault("paper_equations", {})
        for block in list(self.document.findall(nodes.math_block)):
            if not (match := TAG.search(block.astext())):
                continue
            block["paper"], where[match[1]] = match[1], self.env.docname
            names = tagged_functions().get(match[1], [])
            if not names:
                log.warning("no line of the code is marked Eq. (%s)", match[1], location=block)
            line = nodes.paragraph("", "In code: ", classes=["in-code"])
            for name in names:
                link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=name, refexplicit=True, refwarn=True)
                link["refdoc"] = self.env.docname
                link += nodes.literal("", name)
                line += [*([nodes.Text(", ")] if len(line) > 1 else []), link]
            block.parent.insert(block.parent.index(block) + 1, line)


def inline(self, node):
    self.body.append(f'<span class="tex">{html.escape(node.astext())}</span>')
    raise nodes.SkipNode


def block(self, node):
    place = f' id="eq-{node["paper"]}"' if "paper" in node else ""
    self.body.append(f'<div class="tex formula"{place}>{html.escape(node.astext())}</div>\n')
    raise nodes.SkipNode


def link_back(app, page, template, context, doctree):
    """`Eq. (4)` in coloured code becomes a link."""
    where = getattr(app.env, "paper_equations", {})

    def linked(match):
        if match[1] not in where:
            return match[0]
        return f'<a href="{app.builder.get_relative_uri(page, where[match[1]])}#eq-{match[1]}">{match[0]}</a>'

    if context.get("body"):
        context["body"] = re.sub(r'<span class="c1">.*?</span>', lambda comment: CODE.sub(linked, comment[0]), context["body"])


def setup(app):
    app.add_html_math_renderer("katex", (inline, None), (block, None))
    app.add_transform(Tagged)
    app.connect("html-page-context", link_back, priority=900)
    return {"parallel_read_safe": False, "version": "1"}
