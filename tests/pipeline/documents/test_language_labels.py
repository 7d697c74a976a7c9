import pytest

from pipeline.documents import language
from pipeline.documents.language_labels import LANGUAGES, check_labels
from pipeline.documents.settings import DocumentsSettings


def test_the_labels_are_those_of_the_model() -> None:
    assert set(language._model().labels) == LANGUAGES


@pytest.mark.parametrize("label", ["english", "EN", "En", "eng", "zh-cn", "en_US", "xx", "", "en,de", "nb", "deutsch"])
def test_a_label_that_no_page_can_have_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="--languages"):
        DocumentsSettings(languages=("en", label))


@pytest.mark.parametrize("labels", [("en",), ("en", "de", "zh"), ("all",), ("nn", "no")])
def test_labels_of_the_model_are_taken(labels: tuple[str, ...]) -> None:
    assert DocumentsSettings(languages=labels).languages == labels


def test_the_message_names_the_label_that_was_meant() -> None:
    with pytest.raises(ValueError, match="english: no page has this language; write en"):
        check_labels(["english"])
