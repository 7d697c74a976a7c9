"""Codes of languages in every usual spelling; what the language model cannot say is refused."""

import pytest

from pipeline.documents.language import _model
from pipeline.documents.language_codes import LABELS, label_of, labels_of
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.settings import DocumentsSettings


def test_the_labels_are_the_models() -> None:
    assert set(LABELS) == set(_model().labels)
    assert all(label_of(label) == label for label in LABELS)


@pytest.mark.parametrize(("code", "label"), [
    ("EN", "en"), ("en-US", "en"), ("en_GB", "en"), ("en_US.UTF-8", "en"), ("eng", "en"), (" en ", "en"), ("nb", "no"), ("nob", "no"),
    ("nb-NO", "no"), ("nn", "nn"), ("zh-cn", "zh"), ("zh-Hant-TW", "zh"), ("cmn", "zh"), ("chi", "zh"), ("zho", "zh"), ("zh-yue", "yue"),
    ("deu", "de"), ("ger", "de"), ("de-DE-1996", "de"), ("iw", "he"), ("in", "id"), ("fil", "tl"), ("pt-BR", "pt"), ("sr-Latn", "sr"),
    ("sr_RS@latin", "sr"), ("mo", "ro"), ("FRE", "fr"), ("arb", "ar"), ("ar-arz", "arz"), ("ca-valencia", "ca"), ("pes", "fa"),
])  # fmt: skip
def test_iso_codes_and_bcp_47_tags_are_the_models_labels(code: str, label: str) -> None:
    assert label_of(code) == label
    assert DocumentsSettings(languages=(code,)).languages == (label,)
    assert DocumentsSettings(languages=(code, label)).rules().languages == frozenset({label})
    assert ExtractionRules(languages=frozenset({code})).languages == frozenset({label})


@pytest.mark.parametrize(
    "code",
    ["english", "xx", "", "e", "tlh", "i-klingon", "x-private", "und", "mul", "en us", "en,de", "*", "zh--cn", "русский", "12"],
)
def test_an_unknown_language_is_refused_with_the_list(code: str) -> None:
    with pytest.raises(
        ValueError, match=r"--languages .*: not a language that the language model knows; .*\ben, .*\bzh, .*or 'all'"
    ):
        DocumentsSettings(languages=(code,))
    with pytest.raises(ValueError, match="not a language"):
        ExtractionRules(languages=frozenset({code}))


@pytest.mark.parametrize("code", ["all", "ALL", " All "])
def test_all_means_every_language(code: str) -> None:
    assert DocumentsSettings(languages=("en", code)).rules().languages == frozenset()
    assert labels_of([code], "--languages") == ("all",)
