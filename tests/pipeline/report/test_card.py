"""The dataset card, as Hugging Face's own libraries read it."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from pipeline.report import card
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError


@pytest.fixture(scope="module")
def folder(chosen: Any) -> Path:
    card.TOOL.run(["--corpus", str(chosen.folder), "--contact", "take-down@example.org", "--name", "A: small | WebText"])
    return Path(chosen.folder)


def test_hugging_face_reads_the_header(folder: Path) -> None:
    header = DatasetCard.load(folder / card.README).data.to_dict()
    assert header["pretty_name"] == "A: small | WebText"
    assert header["language"] == ["en", "de"]
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "documents/documents-*.parquet"}]


def test_figures_match_the_corpus(folder: Path, chosen: Any) -> None:
    text = (folder / card.README).read_text()
    unique = len(chosen.documents) - len(chosen.duplicates)
    tokens = sum(len(ids) + 1 for ids in chosen.tokens)
    assert f"{unique} unique documents, 100,000 bytes of text, {tokens:,} tokens" in text
    assert "| links | 40 | 20 low karma, 10 self post |" in text
    assert "take-down@example.org" in text
    assert "| documents | `documents_limit` | `3` |" in text
    for stage in ("links", "pages", "documents", "dedup", "tokens"):
        assert StageManifest.load(str(folder / stage)).sha256 in text


def test_checksums_cover_every_file(folder: Path) -> None:
    lines = (folder / card.CHECKSUMS).read_text().splitlines()
    checksums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    for name, digest in checksums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert names - set(checksums) == {card.README, card.CHECKSUMS}


def test_loading_snippet_loads_documents_and_tokens(
    folder: Path, chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    pytest.importorskip("datasets", reason="package datasets is not installed")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / card.README).read_text(), flags=re.DOTALL)
    loaded: dict[str, Any] = {}
    exec(code.replace("FOLDER", str(folder)), loaded)
    assert loaded["documents"]["text"] == [document.text for document in chosen.documents]
    assert [row[:-1] for row in loaded["tokens"]["train"]["tokens"]] == chosen.tokens


def test_empty_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage"):
        card.TOOL.run(["--corpus", str(tmp_path), "--contact", "x"])
    assert not (tmp_path / card.README).exists()


def test_a_readme_of_the_users_own_is_kept(chosen: Any, tmp_path: Path) -> None:
    (tmp_path / "links").symlink_to(Path(chosen.folder) / "links")
    (tmp_path / card.README).write_text("# My notes on this corpus")
    with pytest.raises(InputError, match=r"README\.md: not a card of this command"):
        card.TOOL.run(["--corpus", str(tmp_path), "--contact", "a@b.example"])
    assert (tmp_path / card.README).read_text() == "# My notes on this corpus"
    assert not (tmp_path / card.CHECKSUMS).exists()
