from pathlib import Path

import pytest
from page_folders import STORY, html_page, write_pages

from pipeline.documents.settings import DocumentsSettings
from pipeline.documents.stage import STAGE
from tokenizer.errors import InputError


def test_explain_lists_what_each_step_does_to_a_page(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1), b"<p>Too short.</p>"])
    settings = DocumentsSettings()
    assert STAGE.explain_input is not None
    kept = STAGE.explain_input(str(pages), "http://example.org/0", settings).splitlines()
    steps = [line.split()[0] for line in kept]
    assert steps == ["page", "fetched", "archived", "decode", "extract", "title", "boilerplate", "language", "kept", "text"]
    assert kept[-1].endswith(f"{STORY} 1."[-50:])
    dropped = STAGE.explain_input(str(pages), "http://example.org/1", settings).splitlines()
    assert dropped[-1] == "dropped      too_short: 10 characters, at least 128"
    with pytest.raises(InputError, match=r"http://nowhere\.org/: not among the pages"):
        STAGE.explain_input(str(pages), "http://nowhere.org/", settings)
