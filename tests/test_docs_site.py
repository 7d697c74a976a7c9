"""The site in a real browser: axe-core finds nothing serious, pages are small, search works from files. Skipped without Chromium."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import pytest
from doc_blocks import ROOT

pytestmark = pytest.mark.slow
LARGEST_PAGE = 300_000
"""Bytes of a page without its pictures."""
WIDEST_HELP = 90
"""Characters of a line of help that a page shows without scrolling."""
MOST_RESULTS = 10
QUESTIONS = {
    "karma": "how-to/vary",
    "dropped": "how-to/dropped",
    "resume": "how-to/resume",
    "own links": "how-to/own-links",
    "disk time": "how-to/real-corpus",
    "Dataflow": "scale",
    "cite": "reference/citation",
    "robots.txt": "how-to/politeness",
    "remove site": "how-to/take-down",
    "eight GPUs": "how-to/gpus",
}
"""What a stranger types, and the page that must be among the first results."""
THREE = ("index", "reference/commands", "benchmarks")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
RUN_AXE = """<script src="{axe}"></script><pre id="answer"></pre><script>
addEventListener("load", () => axe.run(document).then(results => {{
  const found = results.violations.map(v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 120)]);
  document.getElementById("answer").textContent = "axe:" + JSON.stringify(found) + ":axe";
}}));
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(folder / "trees"), "docs"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    built = subprocess.run(
        [*command, str(folder / "html")], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-3000:]
    return folder / "html"


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium is not installed")
    return found


def dom(chromium: str, address: str, folder: Path, *flags: str) -> str:
    """The page's DOM after its scripts have run."""
    command = [chromium, *QUIET, *flags, f"--user-data-dir={folder}", "--virtual-time-budget=20000", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_no_page_is_large(site: Path) -> None:
    sizes = {str(page.relative_to(site)): page.stat().st_size for page in site.rglob("*.html")}
    assert len(sizes) > 30
    assert {name: size for name, size in sizes.items() if size > LARGEST_PAGE} == {}


def test_help_fits_into_the_page(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text()
    lines = [
        unescape(re.sub("<[^>]+>", "", line))
        for pre in re.findall("<pre>(.*?)</pre>", text, re.DOTALL)
        for line in pre.split("\n")
    ]
    assert len(lines) > 500
    assert [line for line in lines if len(line) > WIDEST_HELP] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", THREE)
def test_axe_finds_nothing_serious(site: Path, chromium: str, tmp_path: Path, name: str, scheme: str) -> None:
    spec = find_spec("axe_core_python")
    assert spec is not None
    assert spec.submodule_search_locations
    axe = next(Path(spec.submodule_search_locations[0]).rglob("axe.min.js"))
    page = site / f"{name}.html"
    looked = page.with_name(f"{page.stem}_axe_{scheme}.html")
    looked.write_text(page.read_text().replace("</body>", RUN_AXE.format(axe=axe.as_uri()) + "</body>"))
    answer = dom(chromium, looked.as_uri(), tmp_path, f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    looked.unlink()
    found = re.search(r"axe:(\[.*?\]):axe", unescape(answer), re.DOTALL)
    assert found, "axe gave no answer"
    assert [entry for entry in json.loads(found[1]) if entry[0] in ("serious", "critical")] == []


@pytest.mark.parametrize("words", QUESTIONS)
def test_search_answers_a_strangers_questions_without_a_server(site: Path, chromium: str, tmp_path: Path, words: str) -> None:
    answer = dom(chromium, (site / "search.html").as_uri() + f"?q={words.replace(' ', '+')}", tmp_path)
    found = re.findall(r'<li[^>]*><a href="([^"?#]+)', answer)
    assert f"{QUESTIONS[words]}.html" in found[:MOST_RESULTS], found[:MOST_RESULTS]
