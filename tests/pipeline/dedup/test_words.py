"""Words that readers take for equal have equal folded forms."""

import unicodedata

import pyarrow as pa
import pytest

from pipeline.dedup import words
from pipeline.dedup.shingles import hash_shingles
from pipeline.dedup.spans import SpanRules, spans

ARABIC = "كَانَتِ المَنَارَةُ القَدِيمَةُ تَقِفُ عَلَى الصَّخْرَةِ وَتَحْرُسُ السُّفُنَ"
HEBREW = "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ"
LATIN = "The office found five fine figures of fish that flowed off the cliff, first of all the staff"


def bare(text: str) -> str:
    return "".join(character for character in unicodedata.normalize("NFD", text) if not unicodedata.combining(character))


PAIRS = [
    (ARABIC, bare(ARABIC)), (HEBREW, bare(HEBREW)), ("كـــتـاب جميل", "كتاب جميل"), ("ܫܠܳܡܳܐ ܠܟ݂ܽܘܢ", bare("ܫܠܳܡܳܐ ܠܟ݂ܽܘܢ")),
    (LATIN.replace("ffi", "ﬃ").replace("fi", "ﬁ").replace("fl", "ﬂ").replace("ff", "ﬀ"), LATIN), ("ﬆone ﬅone", "stone stone"),
    ("Straße", "STRASSE"), ("Ĳsselmeer ĳs", "IJsselmeer ijs"), ("ﻻ إله", "لا اله"), ("ﬔ ﬓ", "մե մն"), ("Ǉubav ǌ", "LJubav nj"),
    ("Crème brûlée", "creme brulee"), ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"), ("soft\u00adhyphen", "softhyphen"),
    ("ᾳδης", "αδης"), ("☂️x", "☂x"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=range(len(PAIRS)))
def test_marks_that_writers_leave_out_and_ligatures_make_no_difference(one: str, other: str) -> None:
    one, other = unicodedata.normalize("NFC", one), unicodedata.normalize("NFC", other)
    assert words.words(one) == words.words(other)
    first, second = hash_shingles(pa.array([one]), 1), hash_shingles(pa.array([other]), 1)
    assert first.hashes.tolist() == second.hashes.tolist()
    numbers = pa.array([0], pa.uint32()).to_numpy()
    found = [spans(pa.array([text]), numbers, SpanRules(1, 0))["hash"].tolist() for text in (one, other)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("one", "other"), [("कि", "का"), ("কি", "কা"), ("กิ", "กา"), ("ですか", "てすか"), ("œuvre", "ouvre"), ("ŋ", "n"), ("ต้น", "ตน")]
)
def test_vowel_signs_that_make_the_word_stay(one: str, other: str) -> None:
    assert words.words(one) != words.words(other)
