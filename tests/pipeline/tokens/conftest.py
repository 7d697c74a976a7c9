"""A corpus of Python's documentation and a vocabulary trained on it, for all tests of the room."""

import pytest
from corpora import TOPICS, documents_folder

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.vocabulary.settings import VocabularySettings
from pipeline.vocabulary.stage import STAGE as VOCABULARY


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return documents_folder(tmp_path_factory.mktemp("documents"), [*TOPICS, ""])


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory, corpus: str) -> str:
    folder = str(tmp_path_factory.mktemp("vocabulary"))
    VOCABULARY.run(Call({"dedup": corpus}, folder, VocabularySettings(vocab_size=1_000), Engine()))
    return folder
