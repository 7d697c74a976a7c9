from pathlib import Path

import pytest
from page_folders import STORY, html_page, run, write_pages

from pipeline.documents.extract import document_id
from pipeline.documents.settings import DocumentsSettings
from pipeline.engine.runner import Engine
from pipeline.storage.manifest import Books
from tokenizer.errors import InputError


def test_takedown_list_drops_pages_by_url_domain_and_document_id(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(3)])
    takedown = tmp_path / "takedown.txt"
    takedown.write_text(f"# asked for on 4 May\nhttp://example.org/0\n{document_id(f'{STORY} 1.').hex()}\n")
    manifest = run(pages, tmp_path / "documents", engine, DocumentsSettings(takedown=str(takedown)))
    assert manifest.books == Books(3, 1, {"taken_down": 2})
    takedown.write_text("example.org\n")
    manifest = run(pages, tmp_path / "none", engine, DocumentsSettings(takedown=str(takedown)))
    assert manifest.books == Books(3, 0, {"taken_down": 3})
    takedown.write_text("no such thing\n")
    with pytest.raises(InputError, match=r"takedown\.txt, line 1: 'no such thing' is neither a URL, nor a domain"):
        run(pages, tmp_path / "neither", engine, DocumentsSettings(takedown=str(takedown)))
