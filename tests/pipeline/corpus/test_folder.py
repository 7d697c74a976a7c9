"""The list of stages, and the corpus folder."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.registry import RUN, STAGES
from pipeline.corpus.folder import DATA_STAGES, STAGE_NAMES, CorpusFolder, stage_folders
from tokenizer.errors import InputError


def test_every_stage_has_the_name_of_its_package() -> None:
    packages = {path.parent.name for path in Path(__file__).parents[3].glob("pipeline/*/stage.py")} - {"engine"}
    assert set(STAGE_NAMES) == packages
    assert [stage.name for stage in STAGES.values()] == list(STAGE_NAMES)


def test_every_stage_comes_after_the_stages_that_it_reads() -> None:
    for place, (name, stage) in enumerate(STAGES.items()):
        assert set(stage.inputs) <= set(STAGE_NAMES[:place]), name


def test_run_and_report_know_the_same_stages() -> None:
    assert set(STAGE_NAMES) - set(RUN) == {"overlap"}
    assert STAGES["report"].inputs == DATA_STAGES
    assert set(STAGE_NAMES) - set(DATA_STAGES) == {"report"}


def test_only_finished_stages_are_opened(chosen: Any) -> None:
    corpus = CorpusFolder.open(stage_folders(str(chosen.folder)))
    assert list(corpus.folders) == ["links", "pages", "documents", "dedup", "tokens"]
    assert corpus.rows("documents", "documents") == len(chosen.documents)
    assert corpus.paths("overlap", "overlap") == []


def test_folder_without_a_finished_stage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage in any of"):
        CorpusFolder.open(stage_folders(str(tmp_path)))
