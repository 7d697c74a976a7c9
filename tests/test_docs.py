"""The documentation: links lead somewhere, lines are short, and the start page answers a stranger's questions."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LONGEST_LINE = 100
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PICTURE = re.compile(r'<img [^>]*src="([^"]+)"')


def prose(page: Path) -> list[tuple[int, str]]:
    """The page's lines with their numbers, without code."""
    lines, fenced = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            lines.append((number, line))
    return lines


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    titles = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    broken = []
    for number, line in prose(page):
        for target in (*LINK.findall(line), *PICTURE.findall(line)):
            path, _, anchor = target.partition("#")
            if "://" in path or path.startswith("mailto:"):
                continue
            file = (page.parent / path) if path else page
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
                broken.append(f"line {number}: {target}")
    assert not broken


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_short(name: str) -> None:
    long = [
        number
        for number, line in prose(ROOT / name)
        if len(line) > LONGEST_LINE and not line.lstrip().startswith("|") and "://" not in line
    ]
    assert not long, f"{name}: break lines {long} at {LONGEST_LINE} characters"


def test_each_page_of_the_site_is_in_its_menu() -> None:
    menu = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs").with_suffix("")) for page in (ROOT / "docs").rglob("*.md")} - {"index"}
    assert {page for page in pages if f"\n{page}\n" not in menu} == set()


def test_a_strangers_questions_are_answered_within_one_click() -> None:
    menu = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").lower()
    for word in ("karma", "dropped", "resume", "own links", "disk", "dataflow", "cite", "robots.txt", "remove a site", "8 gpus"):
        (row,) = [line for line in menu.splitlines() if line.startswith("|") and word in line]
        (target,) = LINK.findall(row)
        assert (ROOT / "docs" / target.partition("#")[0]).exists()
