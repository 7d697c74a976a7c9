"""What join and remove count while they work: everything, so that the bar ends at its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus import checking, join, joined_removal, next_corpus, remove
from pipeline.storage.manifest import FileEntry, StageManifest

Counts = dict[str, tuple[int, int, str]]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Name to (counted, total, unit) of each work whose progress was shown."""
    found: Counts = {}

    @contextmanager
    def counted(name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        done: list[int] = []
        yield done.append
        found[name] = sum(done), total, unit

    for module in (checking, join, joined_removal, next_corpus):
        monkeypatch.setattr(module, "counted", counted)
    return found


def bytes_of(*folders: Path) -> int:
    return sum(entry.bytes for folder in folders for entry in StageManifest.load(str(folder)).files)


@pytest.mark.parametrize("flags", [["--sites", "example.org"], ["--urls", "https://news.bbc.co.uk/0", "--keep-pages"]])
def test_remove_counts_all_bytes_and_files(chosen: Any, tmp_path: Path, counts: Counts, flags: list[str]) -> None:
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(tmp_path / "next"), *flags])
    stages = [path.parent for path in chosen.folder.glob("*/manifest.json")]
    assert counts["remove check"] == (bytes_of(*stages), bytes_of(*stages), "bytes")
    done, total, unit = counts["remove write"]
    written = [stage.name for stage in (tmp_path / "next").iterdir() if (stage / "manifest.json").exists()]
    assert done == total == sum(len(StageManifest.load(str(chosen.folder / name)).files) for name in written)
    assert unit == "files"


def test_join_and_the_removal_from_its_set_count_all_shards(chosen: Any, tmp_path: Path, counts: Counts) -> None:
    folders = []
    for name, sites in (("first", ("example.org", "127.0.0.1")), ("second", ("bbc.co.uk", "nytimes.com"))):
        remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(tmp_path / name), "--sites", *sites])
        folders.append(tmp_path / name / "tokens")
        with_tokenizer(folders[-1])
    counts.clear()
    join.TOOL.run(["--tokens", *map(str, folders), "--output", str(tmp_path / "joined")])
    shards = sum(len(StageManifest.load(str(folder)).of_kind("tokens")) for folder in folders)
    assert counts == {
        "join check": (bytes_of(*folders), bytes_of(*folders), "bytes"),
        "join write": (shards, shards, "shards"),
    }


def with_tokenizer(folder: Path) -> None:
    """Name a tokenizer file in a manifest."""
    manifest = StageManifest.load(str(folder))
    (folder / "tokenizer.json").write_text("{}")
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    entry = FileEntry("tokenizer.json", "tokenizer", 1, 2, digest)
    files = tuple(sorted((entry, *manifest.files), key=lambda one: one.name))
    StageManifest(
        manifest.stage, manifest.settings, manifest.inputs, files, manifest.books, manifest.counters, manifest.dataset
    ).save(str(folder))
