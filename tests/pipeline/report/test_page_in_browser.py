"""The page in a real browser: light, dark, a phone's width, keyboard, axe-core. Skipped without Chromium."""

import json
import re
import shutil
import subprocess
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.report.stage import STAGE, ReportSettings

QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"
RUN_AXE = """
<script>{axe}</script>
<pre id="answer"></pre>
<script>
addEventListener("load", () => axe.run(document).then(results => {{
  const violations = results.violations.map(v => ({{id: v.id, impact: v.impact, nodes: v.nodes.map(n => n.html.slice(0, 120))}}));
  document.getElementById("answer").textContent = "axe:" + JSON.stringify({{violations, passes: results.passes.length}}) + ":axe";
}}));
</script>
"""
MEASURE_LAYOUT = """
<script>
const reaches = e => { e.focus(); return document.activeElement === e; };
addEventListener("load", () => {
  document.querySelectorAll("details").forEach(e => e.open = true);
  const scrolls = [...document.querySelectorAll("*")].filter(e => {
    const how = getComputedStyle(e).overflowX;
    return (how === "auto" || how === "scroll") && e.scrollWidth > e.clientWidth + 1;
  });
  const reachable = [...document.querySelectorAll("a[href], summary, [tabindex='0']")];
  parent.postMessage(JSON.stringify({
    width: innerWidth, wide: document.documentElement.scrollWidth - innerWidth,
    unfocusable: scrolls.filter(e => e.tabIndex < 0).length,
    reached: reachable.filter(reaches).length, reachable: reachable.length,
    ink: getComputedStyle(document.body).color,
    filter: getComputedStyle(document.querySelector("figure img")).filter,
    broken: [...document.images].filter(e => !e.complete || e.naturalWidth === 0).length,
  }), "*");
});
</script>
"""
FRAME = """<!DOCTYPE html><title>frame</title><link rel="icon" href="data:,"><pre id="answer"></pre>
<script>addEventListener("message", e => document.getElementById("answer").textContent = "layout:" + e.data + ":layout");</script>
<iframe src="with_script.html" style="width:{width}px;height:900px;border:0"></iframe>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium is not installed")
    return found


@pytest.fixture(scope="module")
def page(chosen: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    run = folder / "run"
    run.mkdir()
    lines = [json.dumps({"step": s, "tokens": s, "loss": 9 - s / 9, "val_loss": 9 - s / 10}) for s in range(1, 40)]
    (run / "log.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "samples.txt").write_text("Return the number of\n" + "elements" * 60)
    settings = ReportSettings(run=(str(run),), sample=(str(folder / "samples.txt"),))
    inputs = {name: str(chosen.folder / name) for name in STAGE.inputs}
    STAGE.run(Call(inputs, str(folder / "out"), settings, Engine()))
    return folder / "out" / "report.html"


def load(chromium: str, page: Path, *flags: str) -> tuple[str, str]:
    """The page's DOM after loading, and the browser's console messages."""
    profile = page.parent / "profile"
    fixed = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000")
    command = [chromium, *fixed, *QUIET, f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def with_script(page: Path, folder: Path, script: str) -> Path:
    """A copy of the page with a script at its end."""
    copy = folder / "with_script.html"
    copy.write_text(page.read_text().replace("</body>", script + "</body>"))
    return copy


def answer(dom: str, mark: str) -> Any:
    found = re.search(rf"{mark}:(\{{.*\}}):{mark}</pre>", dom, flags=re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(unescape(found[1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theme", "ink", "filter_"),
    [(LIGHT, "rgb(27, 29, 32)", "none"), (DARK, "rgb(232, 233, 235)", "invert(0.92) hue-rotate(180deg)")],
)
@pytest.mark.parametrize("width", [360, 1280])
def test_both_themes_fit_every_width(
    chromium: str, page: Path, tmp_path: Path, theme: str, ink: str, filter_: str, width: int
) -> None:
    with_script(page, tmp_path, MEASURE_LAYOUT)
    frame = tmp_path / "frame.html"  # headless chromium's own window is never narrower than 500
    frame.write_text(FRAME.format(width=width))
    dom, console = load(chromium, frame, theme, "--window-size=1400,1000")
    layout = answer(dom, "layout")
    assert console == ""
    assert layout["ink"] == ink
    assert layout["wide"] <= 0
    assert layout["unfocusable"] == 0
    assert layout["reached"] == layout["reachable"] > 20
    assert layout["width"] == width
    assert layout["filter"] == filter_
    assert layout["broken"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_axe_finds_no_serious_violation(chromium: str, page: Path, tmp_path: Path, theme: str) -> None:
    package = find_spec("axe_core_python")
    if package is None or not package.submodule_search_locations:
        pytest.skip("axe-core-python is not installed")
    axe = (Path(package.submodule_search_locations[0]) / "axe.min.js").read_text()
    opened = tmp_path / "opened.html"
    opened.write_text(page.read_text().replace("<details>", "<details open>"))
    found = answer(load(chromium, with_script(opened, tmp_path, RUN_AXE.format(axe=axe)), theme)[0], "axe")
    assert found["passes"] > 20
    assert [f for f in found["violations"] if f["impact"] in ("serious", "critical")] == []
