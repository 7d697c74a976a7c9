"""`webtext verify` accepts a corpus that matches its manifests and names a file that does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit

from pipeline.corpus.verify import TOOL
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
