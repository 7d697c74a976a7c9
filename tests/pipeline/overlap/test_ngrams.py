import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_overlap import count_naively

from pipeline.overlap.ngrams import build_index, words


@given(
    st.lists(st.text("ab ,.é1_\n", max_size=40), min_size=1, max_size=4),
    st.lists(st.text("ab ,.É1_\n", max_size=60), max_size=4),
    st.integers(1, 3),
)
@settings(deadline=None, max_examples=150)
def test_index_finds_the_n_grams_that_a_naive_search_finds(tests: list[str], corpus: list[str], size: int) -> None:
    index, (occurrences,) = build_index([tests], size)
    found = {int(number) for text in corpus for number in index.find(text)}
    assert (len(occurrences.grams), sum(int(g) in found for g in occurrences.grams)) == count_naively([tests], corpus, size)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Don't  STOP_it!", ["don", "t", "stop", "it"]), ("Caf\u00c9 4,5", ["caf\u00e9", "4", "5"]), ("--", [])],
)
def test_words_are_lower_cased_and_alphanumeric(text: str, expected: list[str]) -> None:
    assert words(text) == expected
