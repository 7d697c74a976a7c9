"""The dataset card, as Hugging Face's own libraries read it."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from pipeline.report import card
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest


@pytest.fixture(scope="module")
def folder(chosen: Any) -> Path:
    card.TOOL.run(["--corpus", str(chosen.folder), "--contact", "take-down@example.org", "--name", "A: small | WebText"])
    return Path(chosen.folder)


def test_the_header_is_a_dataset_cards(folder: Path) -> None:
    header = DatasetCard.load(folder / card.README).data.to_dict()
    assert header["pretty_name"] == "A: small | WebText"
    assert header["language"] == ["en", "de"]
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "documents/documents-*.parquet"}]


def test_the_figures_are_the_corpus_own(folder: Path, chosen: Any) -> None:
    text = (folder / card.README).read_text()
    unique = len(chosen.documents) - len(chosen.duplicates)
    tokens = sum(len(ids) + 1 for ids in chosen.tokens)
    assert f"{unique} unique documents, 100,000 bytes of text, {tokens:,} tokens" in text
    assert "| links | 40 | 20 low karma, 10 self post |" in text
    assert "take-down@example.org" in text
    assert "| documents | `documents_limit` | `3` |" in text
    for stage in ("links", "pages", "documents", "dedup", "tokens"):
        assert StageManifest.load(str(folder / stage)).sha256 in text


def test_the_sums_are_of_every_file(folder: Path) -> None:
    lines = (folder / card.SUMS).read_text().splitlines()
    found = {name: digest for digest, name in (line.split("  ") for line in lines)}
    for name, digest in found.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert there - set(found) == {card.README, card.SUMS}


def test_the_snippet_loads_documents_and_tokens(
    folder: Path, chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    pytest.importorskip("datasets", reason="no datasets here: the card's snippet was not run")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / card.README).read_text(), flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(code.replace("FOLDER", str(folder)), found)
    assert found["documents"]["text"] == [document.text for document in chosen.documents]
    assert [row[:-1] for row in found["tokens"]["train"]["tokens"]] == chosen.tokens


def test_an_empty_corpus_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage"):
        card.TOOL.run(["--corpus", str(tmp_path), "--contact", "x"])
    assert not (tmp_path / card.README).exists()
