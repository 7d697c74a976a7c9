"""`webtext verify` accepts a corpus that matches its manifests and names a file that does not."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit

from pipeline.corpus.verify import TOOL
from pipeline.storage.manifest import Books, Input, StageManifest, stage_input
from tokenizer.errors import InputError


@pytest.fixture
def corpus(chosen: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chosen.folder, tmp_path / "corpus"))


def test_undamaged_corpus_gives_one_line_per_stage(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TOOL.run(["--corpus", str(corpus)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["links", "pages", "documents", "dedup", "tokens"]


@pytest.mark.parametrize("stage", ["links", "documents", "tokens"])
def test_file_with_a_flipped_bit_is_named(corpus: Path, stage: str) -> None:
    path = max(
        (file for file in (corpus / stage).rglob("*") if file.suffix in (".parquet", ".arrow")), key=lambda p: p.stat().st_size
    )
    flip_a_bit(path)
    with pytest.raises(InputError, match=path.name):
        TOOL.run(["--corpus", str(corpus)])


def test_folder_without_a_stage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage"):
        TOOL.run(["--corpus", str(tmp_path)])


@pytest.mark.parametrize("missing", ["links", "pages", "documents", "dedup"])
def test_a_partial_copy_is_not_whole(corpus: Path, missing: str) -> None:
    shutil.rmtree(corpus / missing)
    with pytest.raises(InputError, match=rf"its input '{missing}' .* is missing"):
        TOOL.run(["--corpus", str(corpus)])


@pytest.mark.parametrize("changed", ["links", "pages", "documents", "dedup"])
def test_a_mixture_of_two_versions_is_not_whole(corpus: Path, changed: str) -> None:
    manifest = StageManifest.load(str(corpus / changed))
    replace(manifest, settings={"other": True}).save(str(corpus / changed))
    with pytest.raises(InputError, match=rf"its input '{changed}' .* has changed since"):
        TOOL.run(["--corpus", str(corpus)])


def read_elsewhere(corpus: Path, name: str, stage: str) -> Path:
    """A folder outside the corpus that its tokens name as their input."""
    outside = corpus.parent / "months" / "2017-10" / "dedup"
    StageManifest(stage, {}, {}, (), Books()).save(str(outside))
    manifest = StageManifest.load(str(corpus / "tokens"))
    entry = stage_input(str(outside), str(corpus / "tokens"))
    replace(manifest, inputs={**manifest.inputs, name: entry}).save(str(corpus / "tokens"))
    return outside


def test_folders_elsewhere_are_followed_where_a_flag_allows_it(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = read_elsewhere(corpus, "against_0123456789abcdef", "dedup")
    allowed = ["--corpus", str(corpus), "--also-read", str(corpus.parent)]
    TOOL.run(["--corpus", str(corpus)])
    assert "not followed; add --also-read" in capsys.readouterr().out
    TOOL.run(allowed)
    assert "not followed" not in capsys.readouterr().out
    replace(StageManifest.load(str(outside)), settings={"other": True}).save(str(outside))
    TOOL.run(["--corpus", str(corpus)])
    with pytest.raises(InputError, match="has changed since"):
        TOOL.run(allowed)
    shutil.rmtree(outside)
    with pytest.raises(InputError, match="is missing"):
        TOOL.run(allowed)


def test_a_vocabulary_stays_when_its_texts_change(corpus: Path) -> None:
    outside = read_elsewhere(corpus, "vocabulary", "vocabulary")
    manifest = StageManifest.load(str(outside))
    replace(manifest, inputs={"dedup": Input("../gone", "0" * 64)}).save(str(outside))
    entry = stage_input(str(outside), str(corpus / "tokens"))
    tokens = StageManifest.load(str(corpus / "tokens"))
    replace(tokens, inputs={**tokens.inputs, "vocabulary": entry}).save(str(corpus / "tokens"))
    TOOL.run(["--corpus", str(corpus), "--also-read", str(corpus.parent)])


def test_a_single_stage_can_be_verified(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TOOL.run(["--corpus", str(corpus / "tokens")])
    assert capsys.readouterr().out.startswith("tokens: ")
