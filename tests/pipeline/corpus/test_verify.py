"""`python -m pipeline verify`: what a folder holds is what its manifests say, or the file is named."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit

from pipeline.corpus.verify import TOOL
from pipeline.storage.files import InputError


@pytest.fixture
def corpus(chosen: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chosen.folder, tmp_path / "corpus"))


def test_a_whole_corpus_is_told_stage_by_stage(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TOOL.run(["--corpus", str(corpus)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["links", "pages", "documents", "dedup", "tokens"]


@pytest.mark.parametrize("stage", ["links", "documents", "tokens"])
def test_a_flipped_bit_is_named(corpus: Path, stage: str) -> None:
    victim = max(
        (path for path in (corpus / stage).rglob("*") if path.suffix in (".parquet", ".arrow")), key=lambda p: p.stat().st_size
    )
    flip_a_bit(victim)
    with pytest.raises(InputError, match=victim.name):
        TOOL.run(["--corpus", str(corpus)])


def test_a_folder_without_a_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage"):
        TOOL.run(["--corpus", str(tmp_path)])
