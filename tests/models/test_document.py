"""Reports: what a hostile title does to Markdown and HTML, links, pictures inside the page, and HTML that closes what it opens."""

import base64
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.paper.document import Figure, Section, Table, html, markdown

PNG = bytes.fromhex("89504e470d0a1a0a") + b"not much of a picture"
HOSTILE = [
    '<script>alert("1")</script>',
    "a | b",
    "\"quoted\" & 'quoted' &lt;",
    "Łódź – 68 точек ☺",
    "[x](http://a.b) ![y](z) **_`",
    "# 1. -",
]
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Reads a page as a browser does: text by element, attributes, and whether every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.images, self.texts, self.elements = [], [], [], [], {}, []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        self.elements.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.images += [(attributes["alt"], attributes["src"])] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.texts[tag][-1] += data


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a curve.png").write_bytes(PNG)
    return tmp_path


def report(title):
    return [
        Section(
            title,
            [
                title,
                Table(title, [title, "n"], [[title, "1"], ["last", "2"]], note=title, ours=[0]),
                Figure(title, "pictures/a curve.png", note=title),
            ],
        ),
        Section("The end", ["Nothing more."]),
    ]


def check(page, title):
    """What holds for any title: balanced (Page saw to that), loading nothing, each id once and each link alive."""
    assert set(page.elements) <= set(
        "html head meta title style body h1 nav ul li a main section h2 h3 p code strong div table thead tr th tbody td figure img".split()
    )
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} == set(page.ids)
    assert all(link.startswith(("#", "https://")) for link in page.links)
    assert all(source.startswith("data:image/png;base64,") for _, source in page.images)
    assert page.texts["title"] == page.texts["h1"] == [title]
    assert page.texts["h2"] == [title, "The end"] and page.texts["h3"] == [title, title]
    assert [alt for alt, _ in page.images] == [title]


@pytest.mark.parametrize("title", HOSTILE)
def test_html_of_hostile_titles(folder, title):
    text = html(title, report(title), folder)
    check(Page(text), title)
    assert not re.search(r"url\(|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_html_of_any_title(tmp_path_factory, title):
    folder = tmp_path_factory.mktemp("report", numbered=True)
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a curve.png").write_bytes(PNG)
    check(Page(html(title, report(title), folder)), title)


def test_the_picture_is_in_the_page(folder):
    ((_, source),) = Page(html("t", report("t"), folder)).images
    assert base64.b64decode(source.partition(",")[2]) == PNG
    (folder / "x.jpg").write_bytes(b"jpeg")
    assert 'src="data:image/jpeg;base64,' in html("t", [Section("s", [Figure("f", folder / "x.jpg")])], folder)


def test_marks_in_html():
    paragraph = "Run `a < b` for **all & more**, see https://doi.org/10.2478/fcds-2019-0017. **Left `open"
    text = html("t", [Section("s", [paragraph])], ".")
    page = Page(text)
    assert page.texts["code"] == ["a < b"] and page.texts["strong"] == ["all & more"]
    assert page.links[-1] == "https://doi.org/10.2478/fcds-2019-0017"
    assert page.texts["p"] == ["Run a < b for all & more, see https://doi.org/10.2478/fcds-2019-0017. **Left `open"]
    assert "<code>a &lt; b</code>" in text


def test_a_table_in_html():
    page = Page(html("t", [Section("s", [Table("a table", ["x", "y"], [["1 < 2", ""], ["`k`", "3"]], ours=[1])])], "."))
    assert page.texts["th"] == ["x", "y"] and page.texts["td"] == ["1 < 2", "", "k", "3"]
    assert len(page.texts["tr"]) == 3
    text = html("t", [Section("s", [Table("a table", ["x"], [["1"], ["2"]], ours=[1])])], ".")
    assert "<tr><td>1</td></tr>" in text and '<tr class="ours"><td>2</td></tr>' in text


def test_markdown_as_it_is_written(folder):
    sections = [
        Section(
            "One",
            [
                "Run `x | y`\n  for **all**: see https://a.org/b_c.",
                Table("A table", ["name", "n"], [["a | b", "1"], ["`c | d`", "22"]], "A note.", ours=[1]),
                Figure("A curve", folder / "pictures" / "a curve.png"),
            ],
        )
    ]
    expected = r"""# A \| title

## One

Run `x | y` for **all**: see <https://a.org/b_c>.

### A table

| name         |   n |
| :----------- | --: |
| a \| b       |   1 |
| **`c \| d`** |  22 |

A note.

### A curve

![A curve](pictures/a%20curve.png)
"""
    assert markdown("A | title", sections, folder) == expected


# What a reader of Markdown takes for a mark, unless there is a backslash before it.
UNESCAPED = re.compile(r"(?<!\\)(?:\\\\)*(?:[*_<>|`\[\]]|&#?\w+;)")


@pytest.mark.parametrize("title", HOSTILE)
def test_markdown_of_hostile_titles(folder, title):
    lines = markdown(title, report(title), folder).splitlines()
    assert lines[0].startswith("# ") and not UNESCAPED.search(lines[0][2:])
    assert re.sub(r"\\(.)", r"\1", lines[0]) == f"# {title}"
    header, rule, first, last = [line for line in lines if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line) for line in (header, rule, first, last)]
    assert {len(row) for row in cells} == {4}  # two cells, and nothing before and after
    assert re.sub(r"\\(.)", r"\1", cells[0][1]).strip() == title
    assert [line for line in lines if line.startswith("![")] == [f"![{lines[0][2:]}](pictures/a%20curve.png)"]
    assert sum(line.startswith("#") for line in lines) == 5  # no paragraph turns into a heading


@pytest.mark.parametrize(
    "start",
    ["# no heading", "- no list", "+ no list", "1. no list", "2019) no list", "* no list", "> no quote", "=== no rule", "~~~ no code"],
)
def test_no_paragraph_turns_into_something_else(start):
    paragraph = markdown("t", [Section("s", [start])], ".").splitlines()[-1]
    assert re.match(r"\d*\\", paragraph)
    assert re.sub(r"\\(.)", r"\1", paragraph) == start


def test_wrong_parts_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"a table: 2 headings, but a row of 1 cells: \['1'\]"):
        Table("a table", ["x", "y"], [["1"]])
    with pytest.raises(ValueError, match=r"x\.svg: a report shows \.png and \.jpg and \.gif files"):
        html("t", [Section("s", [Figure("f", "x.svg")])], tmp_path)
