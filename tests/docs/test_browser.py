"""Every page in headless Chromium, at the width of a desk and of a phone: formulas drawn, pictures there, no error, nothing too wide."""

import json
import re
import shutil
import subprocess

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
HARNESS = """<!doctype html><meta charset="utf-8"><body><pre id="report"></pre><script>
const pages = PAGES, widths = [1280, 390], report = [];
function look(page, width) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.style.cssText = "border:0;height:900px;width:" + width + "px";
    frame.onload = () => setTimeout(() => {
      const it = frame.contentDocument, wide = it.documentElement;
      report.push({
        page, width,
        formulas: it.querySelectorAll(".tex").length,
        drawn: it.querySelectorAll(".tex > .katex, .tex > .katex-display").length,
        errors: it.querySelectorAll(".katex-error").length,
        broken: [...it.images].filter(i => i.loading !== "lazy" && !i.naturalWidth).map(i => i.getAttribute("src")),
        over: wide.scrollWidth - wide.clientWidth,
      });
      frame.remove(); done();
    }, 150);
    frame.src = page;
    document.body.append(frame);
  });
}
(async () => {
  for (const page of pages) for (const width of widths) await look(page, width);
  document.getElementById("report").textContent = JSON.stringify(report);
})();
</script>"""


def look(folder, pages):
    """What the browser says of each page at each width, and what it wrote to its console."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell")
    harness = folder / "harness.html"
    harness.write_text(HARNESS.replace("PAGES", json.dumps(pages)), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr", "--dump-dom"]
    command = [browser, *flags, "--virtual-time-budget=300000", "--window-size=1400,1000", harness.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=300)
    harness.unlink()
    found = re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.S)
    assert found and found[1], done.stderr[-2000:]
    report = json.loads(found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
    return report, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def looked(site):
    pages = [str(p.relative_to(site)) for p in sorted(site.rglob("*.html")) if not {"_static", "_modules"} & set(p.parts)]
    return look(site, pages)


def test_faults_are_seen(tmp_path):
    (tmp_path / "bad.html").write_text(
        '<!doctype html><body><div style="width:500px">wide</div><img src="none.png"><span class="tex">\\frac</span>'
        '<span class="tex"><span class="katex-error"></span></span><script>console.error("planted")</script>'
    )
    (desk, phone), console = look(tmp_path, ["bad.html"])
    assert desk["over"] == 0 and phone["over"] > 100
    assert desk["broken"] == ["none.png"] and desk["formulas"] == 2 and desk["drawn"] == 0 and desk["errors"] == 1
    assert any("planted" in line for line in console)


def test_all_pages_were_looked_at(looked):
    report, _ = looked
    assert len(report) >= 2 * 25
    assert sum(row["formulas"] for row in report) > 600


def test_formulas_are_drawn(looked):
    for row in looked[0]:
        assert row["drawn"] == row["formulas"] and row["errors"] == 0, row


def test_pictures_are_there(looked):
    for row in looked[0]:
        assert row["broken"] == [], row


def test_no_page_is_wider_than_its_window(looked):
    assert [row for row in looked[0] if row["over"] > 0] == []


def test_the_console_is_silent(looked):
    assert looked[1] == []
