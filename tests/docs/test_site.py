"""The built site: pages, links, formulas; and nothing that a network would have to bring."""

import re
import shutil
import subprocess
from html import unescape
from urllib.parse import unquote

import pytest

from tutorials.cells import chapters
from tutorials.exercise import of_chapter


def pages(site):
    return [page for page in sorted(site.rglob("*.html")) if "_static" not in page.parts]


def test_every_chapter_has_its_page(site):
    for one in chapters().values():
        text = (site / "tutorials" / f"{one.path.stem}.html").read_text("utf-8")
        assert f"{int(one.number)} " in text and text.count("<summary>Solution</summary>") == len(of_chapter(one.number))
        assert text.count('class="printed') > 3 and text.count(f"{one.path.stem}-") >= 3


def test_nothing_comes_from_a_network(site):
    loaded = re.compile(r'<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)="((?:https?:)?//[^"]*)"')
    for page in pages(site):
        found = [url for url in loaded.findall(page.read_text("utf-8"))]
        assert found == [], page
    for style in site.rglob("*.css"):
        assert not re.findall(r"url\(\s*['\"]?(?:https?:)?//|@import", style.read_text("utf-8")), style


def test_links_lead_somewhere(site):
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text("utf-8"))) for page in pages(site)}
    for page in anchors:
        for target in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', page.read_text("utf-8")):
            if re.match(r"(https?|mailto):|#$|$", target):
                continue
            path, _, anchor = unquote(unescape(target)).partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), (page, target)
            if anchor and there in anchors:
                assert anchor in anchors[there], (page, target)


def test_equations_and_code_are_linked_both_ways(site):
    homes = {"1": "ch06_faces", "2": "ch06_faces", "3": "ch02_dense", "4": "ch10_corefan"}
    for number, chapter in homes.items():
        text = (site / "tutorials" / f"{chapter}.html").read_text("utf-8")
        after = text.split(f'id="eq-{number}"')[1]
        assert re.search(r'class="in-code">.{0,300}?<a ', after, re.S)
    back = "".join(page.read_text("utf-8") for page in (site / "_modules").rglob("*.html"))
    for number, chapter in homes.items():
        assert re.search(rf'{chapter}\.html#eq-{number}">Eq\. \({number}\)', back), number


def formulas(site):
    for page in pages(site):
        for display, tex in re.findall(r'class="tex( formula)?"[^>]*>([^<]*)<', page.read_text("utf-8")):
            yield bool(display), unescape(tex)


def test_every_formula_parses(site, tmp_path):
    """By the very KaTeX that the pages use."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing: tests/docs/test_browser.py looks at the drawn formulas")
    found = sorted(set(formulas(site)))
    assert len(found) > 300
    script = tmp_path / "parse.js"
    calls = "\n".join(f"check({str(display).lower()}, {tex_literal(tex)});" for display, tex in found)
    script.write_text(
        f"const katex = require({tex_literal(str(site / '_static/katex/katex.min.js'))});\n"
        "function check(display, tex) {\n"
        "  try { katex.renderToString(tex, {displayMode: display, throwOnError: true, strict: false}); }\n"
        "  catch (error) { console.log(tex + ': ' + error.message); }\n}\n" + calls,
        "utf-8",
    )
    assert subprocess.run([node, str(script)], capture_output=True, text=True, check=True).stdout == ""


def tex_literal(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def test_search_works_from_a_file(site):
    assert (site / "searchindex.js").read_text("utf-8").startswith("Search.setIndex(")
