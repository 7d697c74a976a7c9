"""The dataset card, as Hugging Face's own libraries read it."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from pipeline.corpus import remove
from pipeline.report import card
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError
from tokenizer.labels import printable


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


def load(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the card's own code loads."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(home))
    pytest.importorskip("datasets", reason="package datasets is not installed")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / card.README).read_text(), flags=re.DOTALL)
    loaded: dict[str, Any] = {}
    exec(code.replace("FOLDER", str(folder)), loaded)
    return loaded


def test_loading_snippet_loads_documents_and_tokens(
    folder: Path, chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(folder, tmp_path, monkeypatch)
    assert loaded["documents"]["text"] == [document.text for document in chosen.documents]
    assert [row[:-1] for row in loaded["tokens"]["train"]["tokens"]] == chosen.tokens


def test_every_reader_counts_what_the_manifest_counts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(folder, tmp_path, monkeypatch)
    rows = StageManifest.load(str(folder / "documents")).books.items_out
    tokens = StageManifest.load(str(folder / "tokens")).dataset
    assert tokens is not None
    assert (len(loaded["documents"]), loaded["table"].height, loaded["relation"].shape[0]) == (rows, rows, rows)
    assert {name: len(split) for name, split in loaded["tokens"].items()} == {
        name: split["documents"] for name, split in tokens["splits"].items()
    }


def test_a_card_after_a_removal_names_no_emptied_split(chosen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after = tmp_path / "after"
    sites = ["bbc.co.uk", "nytimes.com", "example.org", "127.0.0.1"]
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(after), "--sites", *sites[:3]])
    card.TOOL.run(["--corpus", str(after), "--contact", "a@b.example"])
    loaded = load(after, tmp_path / "home", monkeypatch)
    assert len(loaded["documents"]) == StageManifest.load(str(after / "documents")).books.items_out
    empty = tmp_path / "empty"
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(empty), "--sites", *sites])
    card.TOOL.run(["--corpus", str(empty), "--contact", "a@b.example"])
    text = (empty / card.README).read_text()
    assert "This version holds no document." in text
    assert DatasetCard.load(empty / card.README).data.to_dict()["configs"] == []


NAMES = (
    *(
        "WebText \x7f of ours",
        "tab\tnew\nline\r",
        "nul\x00 bell\x07",
        "c1 \x80\x85\x9f",
        "lines \u2028 \u2029",
        "mark \ufeff",
        "\ufffe \uffff",
    ),
    *(
        "日本語のコーパス",
        "Корпус текстов",
        "मराठी मजकूर",
        "مجموعة نصوص",
        "ᓄᓇᕗᑦ",
        "𐎠𐎡𐎢 𠀀𠀁",
        "🗂️ text 👩‍👩‍👧",
        "e\u0301 combining",
    ),
    *(
        "colon: dash - # hash",
        "'quotes' \"double\" \\ back",
        "{brace} [bracket] & * ! | > % @ `",
        "- yes",
        "null",
        "1e3",
        "~",
        "--- ...",
    ),
)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_is_read_back_from_the_header(name: str) -> None:
    for value in (printable(name), name):
        header = DatasetCard(f"---\npretty_name: {card.yaml_value(value)}\n---\n").data.to_dict()
        assert header == {"pretty_name": value}


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
