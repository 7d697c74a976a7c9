import json
import lzma
from pathlib import Path

import pytest

from pipeline.documents.language import identify


@pytest.mark.parametrize(("text", "label"), [
    ("The ship came in with the tide and nobody saw it.", "en"),
    ("Das Schiff kam mit der Flut, und niemand hat es gesehen.", "de"),
    ("Le navire est arrivé avec la marée et personne ne l'a vu.", "fr"),
    ("Корабль пришёл с приливом, и никто его не видел.", "ru"),
    ("船は潮とともに入ってきて、誰もそれを見なかった。", "ja"),
])  # fmt: skip
def test_language_of_a_sentence(text: str, label: str) -> None:
    answer, confidence = identify(text)
    assert answer == label
    assert 0.5 < confidence <= 1


@pytest.mark.parametrize("text", ["", " ", "12345", "\U0010ffff", "a" * 100_000])
def test_any_text_has_a_label(text: str) -> None:
    label, confidence = identify(text)
    assert label
    assert 0 <= confidence <= 1


def test_only_the_first_characters_count() -> None:
    english = "The ship came in with the tide and nobody saw it. " * 50
    assert identify(english) == identify(english + "Das Schiff kam mit der Flut. " * 500)


def test_english_is_distinguished_from_74_languages(shared_data: Path) -> None:
    with lzma.open(shared_data / "langid" / "sentences.jsonl.xz", "rt") as lines:
        sentences = [json.loads(line) for line in lines][::6]
    labels = [(s["lang"], identify(s["text"])[0]) for s in sentences]
    true_of_english_answers = [true for true, answer in labels if answer == "en"]
    answers_of_true_english = [answer for true, answer in labels if true == "en"]
    assert true_of_english_answers.count("en") / len(true_of_english_answers) > 0.95
    assert answers_of_true_english.count("en") / len(answers_of_true_english) > 0.95
    assert sum(true == answer for true, answer in labels) / len(labels) > 0.9
