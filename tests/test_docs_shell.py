"""The commands of README and site that need neither the internet nor a GPU run as printed, on a corpus of a replayed web.

A block that needs more says so: `<!-- needs: the internet -->` stands before it.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_blocks import ROOT, Block, blocks, commands_of, is_shell, site_pages
from servers.library import pages, write_dump
from servers.replay import ReplayServer

from pipeline.cli.main import run
from trainer.cli import main as train

pytestmark = pytest.mark.slow
NOT_RUN = (
    "docs/measurements.md",
    "docs/log.md",
    "docs/benchmarks.md",
    "docs/experiments.md",
    "docs/scale.md",
    "docs/gpu.md",
    "docs/a-year.md",
)
"""Records of runs and experiments, the plan of a first session on GPUs, and the year, which the DAGs' and the months' own tests run."""
RUNNABLE = ("webtext", "webtext-train")


IN_LIBRARY = "docs/library.md"
"""Its Python is run by tests/test_library_docs.py."""
FROM_NOTHING = ("docs/how-to/own-links.md", "docs/how-to/real-corpus.md")
"""Pages that build the corpus. All others begin with a finished one."""


def chosen() -> dict[str, list[Block]]:
    """The blocks that run, by their page."""
    found: dict[str, list[Block]] = {}
    for page in site_pages():
        for block in blocks(page):
            runs = is_shell(block) and any(words[0] in RUNNABLE for _, words in commands_of(block))
            if runs and block.needs is None and block.page not in NOT_RUN:
                found.setdefault(block.page, []).append(block)
    return found


@pytest.fixture(scope="module")
def web() -> Iterator[ReplayServer]:
    with ReplayServer(pages(30)) as server:
        yield server


@pytest.fixture(scope="module")
def made(web: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages name: a dump, a list, a corpus, the demo's corpus."""
    folder = tmp_path_factory.mktemp("docs")
    write_dump(folder / "RS_2017-07.zst.jsonl", web.pages)
    (folder / "RS_2017-07.zst.jsonl").rename(folder / "RS_2017-07.zst")
    (folder / "links.txt").write_text("".join(f"{url}\n" for url in sorted(web.pages)[:12]))
    (folder / "requests.txt").write_text(f"{sorted(web.pages)[2]} asked by mail\n")
    saved = next(body for _, body in sorted(web.pages.items()) if isinstance(body, bytes))
    (folder / "saved.html").write_bytes(saved)
    assert run(["run", "--output", str(folder / "corpus"), "--submissions", str(folder / "RS_2017-07.zst"), *flags(web)]) == 0
    shutil.copytree(folder / "corpus", folder / "demo" / "corpus")
    return folder


def flags(web: ReplayServer) -> list[str]:
    """How to reach the replayed web, and settings for so little text."""
    reach = ["--proxy", web.proxy_url, "--ca-bundle", str(web.ca_bundle), "--host-delay", "0", "--contact", "you@example.com"]
    return [*reach, "--vocab-size", "600", "--validation-share", "0.1", "--workers", "1"]


def fitted(words: list[str], folder: Path, web: ReplayServer) -> list[str]:
    """The words as a shell would give them, for the replayed web: patterns expanded, its first page and site in place of examples."""
    url = sorted(web.pages)[2]
    examples = {"https://example.com/article": url, "example.com": url.split("/")[2], "URL": url}
    found: list[str] = []
    for word in words[1:]:
        word = examples.get(word, word)
        matches = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if re.search(r"[*?]", word) else []
        found += matches or [word]
    if words[1] == "run":
        added = flags(web)
        found += [flag for at in range(0, len(added), 2) if added[at] not in found for flag in added[at : at + 2]]
    return found


@pytest.mark.parametrize("page", chosen())
def test_the_commands_of_a_page_run_in_their_order(
    page: str, made: Path, web: ReplayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "there"
    shutil.copytree(made, folder)
    shutil.copytree(folder / "corpus" / "pages", folder / "pages")
    if page in FROM_NOTHING:
        shutil.rmtree(folder / "corpus")
    monkeypatch.chdir(folder)
    for block in chosen()[page]:
        for number, words in commands_of(block):
            if words[0] not in RUNNABLE:
                continue
            try:
                code = (run if words[0] == "webtext" else train)(fitted(words, folder, web))
            except SystemExit as stop:
                code = int(stop.code or 0)
            assert code == 0, f"{page}:{number}: {' '.join(words)}\n{capsys.readouterr().err[-2000:]}"


def test_the_python_of_the_pages_runs(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(made)
    ran = [block for page in site_pages() for block in blocks(page) if block.language == "python" and block.page != IN_LIBRARY]
    for block in ran:
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), {})
    assert [block.page for block in ran] == ["docs/how-to/dropped.md"]
    assert "not_html" in capsys.readouterr().out


def test_every_page_says_what_its_other_blocks_need() -> None:
    unmarked = [
        f"{block.page}:{block.line}"
        for page in site_pages()
        for block in blocks(page)
        if is_shell(block)
        and block.needs is None
        and block.page not in NOT_RUN
        and not any(words[0] in RUNNABLE for _, words in commands_of(block))
    ]
    assert unmarked == []
    assert (ROOT / "README.md").read_text().count("<!-- needs:") >= 3
