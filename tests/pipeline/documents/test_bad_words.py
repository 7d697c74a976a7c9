from pathlib import Path

import pytest

from pipeline.documents import bad_words, cleaning
from tokenizer.errors import InputError


@pytest.mark.parametrize(("text", "word", "found"), [
    ("これは禁止語彙という言葉を含む文です", "禁止語彙", True), ("这句话里有坏词吗？", "坏词", True), ("นี่คือคำหยาบในประโยค", "คำหยาบ", True),
    ("ཚིག་ངན་འདུག", "ངན", True), ("ここにはありません", "禁止", False),
    ("What a DARN shame", "darn", True), ("He was darning", "darn", False),
        ("a sun\nof a gun", "sun of a gun", True), ("sun  of a gun", "sun of a gun", True), ("गधा", "गध", False), ("वह गधा है", "गधा", True),
    ("كلمة سيئة هنا", "سيئة", True), ("والسيئة", "سيئة", False), ("x-rated film", "x-rated", True), ("Das Wort Mist.", "mist", True),
    ("foo坏词bar", "坏词", True), ("c++ is fine", "c++", True), ("ÉTÉ indien", "été", True),
])  # fmt: skip
def test_a_bad_word_is_found_as_its_script_writes_words(text: str, word: str, found: bool) -> None:
    assert (cleaning.bad_word(text, frozenset({word})) is not None) == found


def test_a_list_of_bad_words_is_read_as_people_save_it(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffDarn\r\n\r\n  Sun  of a\tgun \ncafe\u0301\n".encode())
    assert bad_words.load(str(path)) == {"darn", "sun of a gun", "café"}
    for data, message in ((b"\n\n", "the file has no words"), (b"d\xe4mlich\n", "not UTF-8 at byte 1; save the list as UTF-8")):
        path.write_bytes(data)
        with pytest.raises(InputError, match=message):
            bad_words.load(str(path))
