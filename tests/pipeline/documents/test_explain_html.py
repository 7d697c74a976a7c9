"""The page that --explain --html writes: each block with its verdict, everything escaped, nothing from outside."""

import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from page_folders import STORY, html_page, write_pages

from pipeline.cli.main import run
from pipeline.documents import explain_html
from pipeline.documents.account import PageAccount, removed_lines
from pipeline.documents.explain_html import render
from pipeline.documents.extract import extract
from pipeline.documents.limits import DEFAULT_LIMITS
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.trail import Trail
from pipeline.records import Drop, RawPage

LINES = [f"{STORY[:150]} {number}." for number in range(6)]
FURNITURE = "<nav><ul><li><a href=/a>Home</a><li><a href=/b>About the company</a></ul></nav>"
ITEM = re.compile(
    r'<li class="(\w+)" value="\d+"><div class="about">(.*?)</div><div class="block" dir="auto">(.*?)</div></li>', re.DOTALL
)


def page(inside: str = "", title: str = "Lighthouse notes", around: str = FURNITURE) -> str:
    first, last = ("".join(f"<p>{line}</p>" for line in lines) for lines in (LINES[:3], LINES[3:]))
    return f"<html><head><title>{title}</title></head><body>{around}<article><h1>{title}</h1>{first}{inside}{last}</article></body></html>"


def account_of(markup: str, url: str = "http://example.org/a", **rules: object) -> str:
    trail = Trail(account=PageAccount())
    result = extract(RawPage(url, markup.encode()), replace(DEFAULT_RULES, **rules), trail)  # type: ignore[arg-type]
    return render(url, trail.steps, result, trail.account)


def items(shown: str) -> list[tuple[str, str, str]]:
    """Kind, what is said about it, and text of each block."""
    return [
        (kind, unescape(re.sub(r"<[^>]*>", " ", about)).strip(), unescape(re.sub(r"<[^>]*>", "", text)))
        for kind, about, text in ITEM.findall(shown)
    ]


def kinds(shown: str) -> dict[str, str]:
    return {text: kind for kind, _, text in items(shown)}


def about(shown: str, text: str) -> str:
    return next(about for _, about, found in items(shown) if text in found)


def test_blocks_stand_in_order_with_their_verdicts() -> None:
    shown = account_of(page("<p>Read more »</p><p hidden>Never seen.</p>"))
    texts = [text for _, _, text in items(shown)]
    assert texts[:3] == ["Home", "About the company", "Lighthouse notes"]
    assert texts[3:] == [*LINES[:3], "Read more »", "Never seen.", *LINES[3:]]
    assert kinds(shown)["Home"] == "dropped"
    assert {kinds(shown)[line] for line in LINES} == {"kept"}
    assert about(shown, "Never seen").endswith("hidden")
    assert "not above the cut of 0.5" in about(shown, "Home")
    assert re.search(r"0\.\d\d +above the cut of 0\.5", about(shown, LINES[0]))
    assert "blocks: the forests chose the blocks" in shown
    assert '<p class="verdict kept">Kept</p>' in shown
    assert re.search(r"<dt>Confidence</dt><dd>.*?<b>[01]\.\d\d</b>", shown)


@pytest.mark.parametrize(("inside", "step"), [
    (f"<p>{LINES[0]}<br>Advertisement<br>{LINES[1]}</p>", "boilerplate"), ("<p>Share this article</p>", "boilerplate"),
])  # fmt: skip
def test_lines_that_a_later_rule_removes_are_struck(inside: str, step: str) -> None:
    shown = account_of(page(inside), min_confidence=0.0)
    if "<del>" not in shown:  # the forests dropped the line before the rule came to it
        assert kinds(shown)["Share this article"] == "dropped"
        return
    assert "<del>Advertisement</del>" in shown or "<del>Share this article</del>" in shown
    assert f"then removed by the step {step}" in shown


def test_title_line_is_struck() -> None:
    body = "".join(f"<p>{line}</p>" for line in ["Lighthouse notes", *LINES])
    shown = account_of(f"<html><head><title>Lighthouse notes</title></head><body>{body}")
    assert kinds(shown)["Lighthouse notes"] in ("cut", "dropped")
    if kinds(shown)["Lighthouse notes"] == "cut":
        assert "then removed by the step title" in about(shown, "Lighthouse notes")


@pytest.mark.parametrize(("rules", "path"), [
    ({"min_confidence": 1.0}, r"the slow path, since the expected F1 of 0\.\d\d is below 1"),
    ({"extractor": "cascade"}, "--extractor cascade"), ({"extractor": "trafilatura"}, "--extractor trafilatura"),
])  # fmt: skip
def test_the_slow_path_says_why_it_was_taken(rules: dict[str, object], path: str) -> None:
    shown = account_of(page(), **rules)
    assert re.search(path, unescape(shown))
    assert about(shown, LINES[0]).endswith("other extractor's text")
    assert kinds(shown)["Home"] == "dropped"


@pytest.mark.parametrize(("markup", "words"), [
    ("<p>Too short.</p>", "the slow path, since the"), ("<p>", "the slow path, since the page has no block"),
    ("<div>" * 600 + f"<p>{LINES[0]}", "nest deeper than 512 levels"),
    (page() + "<svg><p>x", "skipped content never ends"),
])  # fmt: skip
def test_each_way_to_the_slow_path_has_its_words(markup: str, words: str) -> None:
    assert words in unescape(account_of(markup, min_characters=0, languages=frozenset()))


@pytest.mark.parametrize(("markup", "rules", "reason"), [
    ("<p>Too short.</p>", {}, "too_short (10 characters, at least 128)"),
    (page(), {"languages": frozenset({"de"})}, "language (en 1.00)"),
    ("<p>x", {"excluded_sites": frozenset({"example.org"})}, "excluded_site (example.org)"),
])  # fmt: skip
def test_a_dropped_page_says_why(markup: str, rules: dict[str, object], reason: str) -> None:
    assert f'<p class="verdict dropped">Dropped: {reason}</p>' in account_of(markup, **rules)


HOSTILE = (
    "</title><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u202egnp.exe", "a\x1b[2Jb", "'\" onload='x", "&amp;lt;b&amp;gt;",
    "</div></li><li class=kept>", "\u2066\u2067x", "<!-- ", "]]>", "{}</style><style>*{display:none}", "\u0000",
)  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_values_are_escaped(words: str) -> None:
    escaped = words.replace("&", "&amp;").replace("<", "&lt;")
    hostile_page = page(f"<p>{escaped} {LINES[0]}</p>", title=escaped)
    shown = account_of(hostile_page, f"http://example.org/{words}")
    plain = account_of(page(f"<p>x {LINES[0]}</p>", title="x"), "http://example.org/x")
    assert re.findall(r"<(\w+)", shown).count("script") == 0
    assert set(re.findall(r"<(\w+)", shown)) <= set(re.findall(r"<(\w+)", plain)) | {"del"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", shown)
    assert not re.search(r"<[^>]*\son\w+=", shown)


def test_a_page_of_very_many_blocks_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_html, "MOST_BLOCKS", 4)
    shown = account_of(page())
    assert len(items(shown)) == 4
    assert "<p>5 more blocks are not shown.</p>" in shown


def test_nothing_comes_from_outside() -> None:
    shown = account_of(page("<p><img src=http://evil.org/x.png><a href=http://evil.org/>link</a></p>"))
    assert not re.search(r"(?:src|href|url|@import)\s*[=(](?!\"#|\"data:)", shown)
    assert "default-src 'none'" in shown


def test_sandbox_gives_the_account_that_this_process_gives() -> None:
    trail = Trail(account=PageAccount())
    raw_page = RawPage("http://example.org/a", page("<p>Read more »</p>").encode())
    result = extract(raw_page, DEFAULT_RULES, trail)
    with Sandbox(accounts=True) as sandbox:
        extraction = sandbox.extract(raw_page)
    assert extraction.account == trail.account
    assert not isinstance(result, Drop)
    assert trail.account is not None
    assert trail.account.text == result.text
    with Sandbox(ExtractionRules(), DEFAULT_LIMITS) as sandbox:
        assert sandbox.extract(raw_page).account is None


@pytest.mark.parametrize(("before", "after", "removed"), [
    ("a\nb\nc", "a\nc", ["b"]), ("a\nb", "a\nb", []), ("a\n\nb\n", "b", ["a"]), ("x\nx\ny", "x\ny", ["x"]), ("a", "", ["a"]),
    ("", "", []), ("a\nb", "masked\nb", []), ("  a \nb", "b", ["a"]), ("t\na\nt\nb", "a\nb", ["t", "t"]), ("a\nb\na", "b\na", ["a"]),
])  # fmt: skip
def test_removed_lines_are_what_is_missing(before: str, after: str, removed: list[str]) -> None:
    assert removed_lines(before, after) == removed


def explain(*arguments: str) -> int:
    return run(["documents", *arguments])


def test_command_writes_the_page_once_more_but_over_no_other_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1)])
    out = tmp_path / "account.html"
    for _ in range(2):
        assert explain("--input", str(pages), "--explain", "https://www.example.org/0/#top", "--html", str(out)) == 0
        assert capsys.readouterr().out == f"{out}\n"
    assert "1 kept" in re.sub(r"<[^>]*>", "", out.read_text())
    other = tmp_path / "mine.html"
    other.write_text("mine")
    assert explain("--input", str(pages), "--explain", "http://example.org/0", "--html", str(other)) == 2
    assert "exists and is no page of this command" in capsys.readouterr().err
    assert other.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_html_without_explain_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        explain("--input", str(tmp_path), "--output", str(tmp_path / "out"), "--html", "x.html")
    assert "--html goes with --explain URL" in capsys.readouterr().err


def test_a_file_of_html_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "page.html", tmp_path / "account.html"
    file.write_text(page())
    assert explain("--input", str(file), "--explain", "example.org/a") == 0
    assert f"file         {file}\n" in capsys.readouterr().out
    assert explain("--input", str(file), "--explain", "example.org/a", "--html", str(out)) == 0
    assert LINES[0] in out.read_text()
    assert explain("--input", str(file), "--explain", "example.org/a", "--html", str(file)) == 2
    assert file.read_text() == page()


QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
MEASURE = """<script>addEventListener("load", () => parent.postMessage(
  innerWidth + " " +
  Math.max(0, document.documentElement.scrollWidth - innerWidth) + " " + getComputedStyle(document.body).color, "*"));</script>"""
FRAME = """<!DOCTYPE html><title>frame</title><pre id="answer"></pre>
<script>addEventListener("message", e => document.getElementById("answer").textContent = "layout:" + e.data + ":layout");</script>
<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe>"""


@pytest.mark.slow
@pytest.mark.parametrize(("theme", "ink"), [(1, "rgb(27, 29, 32)"), (0, "rgb(232, 233, 235)")])
@pytest.mark.parametrize("width", [360, 1280])
def test_both_themes_fit_every_width(tmp_path: Path, theme: int, ink: str, width: int) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("Chromium is not installed")
    long_word = "x" * 400
    shown = account_of(
        page(f"<p>{long_word} {LINES[0]}</p><pre>{long_word}</pre>", title=long_word), f"http://example.org/{long_word}"
    )
    shown = shown.replace("; style-src", "; script-src 'unsafe-inline'; style-src").replace("</body>", f"{MEASURE}</body>")
    (tmp_path / "page.html").write_text(shown)
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width))
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=20000",
        f"--blink-settings=preferredColorScheme={theme}",
    )
    command = [
        chromium,
        *flags,
        *QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1400,1000",
        "--dump-dom",
        frame.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert f"layout:{width} 0 {ink}:layout" in dom
