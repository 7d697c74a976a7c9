"""Token shards of several months are joined into one dataset."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit

from pipeline.corpus import join, remove
from pipeline.storage.manifest import Books, FileEntry, StageManifest
from tokenizer.errors import InputError
from tokenizer.shards import Manifest as Dataset
from tokenizer.shards import sha256_of


@pytest.fixture
def months(chosen: Any, tmp_path: Path) -> list[str]:
    """Two tokens folders with different documents: of the corpus, each has the documents of half the sites."""
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(tmp_path / "half"), "--sites", "example.org", "127.0.0.1"])
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(tmp_path / "second"), "--sites", "bbc.co.uk", "nytimes.com"])
    shutil.copytree(tmp_path / "half" / "tokens", tmp_path / "first")
    folders = [tmp_path / "first", tmp_path / "second" / "tokens"]
    for folder in folders:
        add_tokenizer(folder)
    return [str(folder) for folder in folders]


def add_tokenizer(folder: Path) -> None:
    """Name a tokenizer file in a manifest."""
    (folder / "tokenizer.json").write_text("{}")
    manifest = StageManifest.load(str(folder))
    path = folder / "tokenizer.json"
    entry = FileEntry("tokenizer.json", "tokenizer", 1, path.stat().st_size, sha256_of(path))
    replace(manifest, files=(entry, *manifest.files)).save(str(folder))


def joined(output: Path, months: list[str]) -> Dataset:
    join.TOOL.run(["--tokens", *months, "--output", str(output)])
    return Dataset.load(output)


def documents(dataset: Dataset) -> list[tuple[bytes, list[int]]]:
    return [(key, ids.tolist()) for shard in dataset.open("train") for key, ids in shard.documents()]


def test_join_holds_all_months_in_order(tmp_path: Path, months: list[str]) -> None:
    dataset = joined(tmp_path / "joined", months)
    parts = [Dataset.load(folder) for folder in months]
    assert documents(dataset) == [row for part in parts for row in documents(part)]
    assert dataset.split("train").tokens == sum(part.split("train").tokens for part in parts)
    assert dataset.split("train").text_bytes == sum(part.split("train").text_bytes for part in parts)
    assert 0 < dataset.unigram_entropy_nats["train"] < 6
    manifest = StageManifest.load(str(tmp_path / "joined"))
    assert [entry.sha256 for entry in manifest.inputs.values()] == [StageManifest.load(folder).sha256 for folder in months]


def test_shards_are_linked_and_a_second_join_gives_the_same_bytes(tmp_path: Path, months: list[str]) -> None:
    joined(tmp_path / "joined", months)
    first = (tmp_path / "joined" / "manifest.json").read_bytes()
    assert (tmp_path / "joined" / "tokens-train-00000-of-00002.arrow").stat().st_nlink > 1
    joined(tmp_path / "joined", months)
    assert (tmp_path / "joined" / "manifest.json").read_bytes() == first


def test_different_tokenizers_are_an_error(tmp_path: Path, months: list[str]) -> None:
    dataset = Dataset.load(months[1])
    other = replace(dataset, tokenizer_sha256="cd" * 32)
    replace(StageManifest.load(months[1]), dataset=other.section()).save(months[1])
    with pytest.raises(InputError, match=r"second/tokens: made with tokenizer cdcd.*one --vocabulary"):
        joined(tmp_path / "joined", months)


def test_damaged_shard_is_an_error(tmp_path: Path, months: list[str]) -> None:
    flip_a_bit(Path(months[1], "tokens-train-00000-of-00001.arrow"))
    with pytest.raises(InputError, match=r"second/tokens/tokens-train-00000-of-00001\.arrow: damaged"):
        joined(tmp_path / "joined", months)
    assert not (tmp_path / "joined").exists()


def test_output_of_a_stage_is_not_overwritten(tmp_path: Path, months: list[str]) -> None:
    with pytest.raises(InputError, match="holds the output of a stage"):
        joined(Path(months[0]), months[1:])
    with pytest.raises(InputError, match=r"no manifest\.json: the stage"):
        joined(tmp_path / "joined", [str(tmp_path / "none")])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_refused_join_leaves_the_standing_dataset(tmp_path: Path, months: list[str]) -> None:
    output = tmp_path / "joined"
    joined(output, months)
    before = contents(output)
    (tmp_path / "same").symlink_to(months[0])
    for folders, message in (
        ([*months, str(tmp_path / "typo")], "typo: no manifest"),
        ([*months, str(output)], "is among --tokens and the --output"),
        ([*months, months[0]], "named twice among --tokens"),
        ([*months, f"{months[1]}/../tokens"], "named twice among --tokens"),
        ([*months, str(tmp_path / "same")], "named twice among --tokens"),
    ):
        with pytest.raises(InputError, match=message):
            joined(output, folders)
        assert contents(output) == before


def test_a_join_that_fails_midway_leaves_the_standing_dataset(
    tmp_path: Path, months: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "joined"
    joined(output, months)
    before = contents(output)

    def fail(_: object) -> dict[str, float]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(join, "unigram_entropies", fail)
    with pytest.raises(OSError, match="No space left"):
        joined(output, months[:1])
    assert contents(output) == before


def test_a_smaller_join_leaves_no_shard_of_the_larger_one(tmp_path: Path, months: list[str]) -> None:
    output = tmp_path / "joined"
    joined(output, months)
    joined(output, months[:1])
    named = {entry.name for entry in StageManifest.load(str(output)).files}
    assert set(contents(output)) == {*named, "manifest.json"}
    assert documents(Dataset.load(output)) == documents(Dataset.load(months[0]))


def test_a_folder_of_something_else_is_refused(tmp_path: Path, months: list[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for command in (
        ["--tokens", *months, "--output", str(tmp_path / "mine")],
        ["--tokens", *months, "--output", str(tmp_path / "mine" / "notes.txt")],
    ):
        with pytest.raises((InputError, NotADirectoryError)):
            join.TOOL.run(command)
    with pytest.raises(InputError, match=r"holds files that no stage made \(notes\.txt\)"):
        remove.TOOL.run(["--corpus", str(tmp_path / "second"), "--output", str(tmp_path / "mine"), "--sites", "nytimes.com"])
    assert contents(tmp_path / "mine") == {"notes.txt": b"mine"}


def test_a_document_of_two_months_is_refused_with_both_named(tmp_path: Path, months: list[str]) -> None:
    again = tmp_path / "again"
    shutil.copytree(months[0], again)
    manifest = StageManifest.load(str(again))
    replace(manifest, settings={**manifest.settings, "run": "another"}).save(str(again))
    with pytest.raises(
        InputError, match=r"again: \d+ of its documents are in earlier months too, as in .*first; .*--drop-repeated"
    ):
        joined(tmp_path / "joined", [*months, str(again)])
    assert not (tmp_path / "joined").exists()


def test_an_empty_month_joins(tmp_path: Path, months: list[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "tokenizer.json").write_bytes(Path(months[0], "tokenizer.json").read_bytes())
    first = Dataset.load(months[0])
    none = replace(first, folder=str(empty), splits={}, unigram_entropy_nats={})
    entry = StageManifest.load(months[0]).of_kind("tokenizer")
    StageManifest("tokens", {}, {}, tuple(entry), Books(), {}, none.section()).save(str(empty))
    for order in ([str(empty), *months], [*months, str(empty)]):
        assert documents(joined(tmp_path / "joined", order)) == documents(joined(tmp_path / "without", months))
