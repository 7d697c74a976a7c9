import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.bpe import count_table
from tokenizer.characters import LETTER, NUMBER, SPACE, classes
from tokenizer.counting import PreTokenCounter
from tokenizer.pre_tokens import pre_token_end, pre_tokenize
from tokenizer.simd import WINDOW

LIBRARY = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
AWKWARD = [
    *" \t\n\r\x0b\x0c\x85\xa0\u2028\u3000'",
    "'s",
    "'re",
    "'ll",
    "'ve",
    "'D",
    " '",
    "  ",
    "a",
    "1",
    "!",
    "é",
    "中",
    "²",
    "٣",
    "́",
]


def library_split(text: str) -> list[str]:
    return [text[start:stop] for _, (start, stop) in LIBRARY.pre_tokenize_str(text)]


def test_example() -> None:
    assert pre_tokenize("We've 2 cats,  and\n\n dogs!? ") == [
        "We",
        "'ve",
        " 2",
        " cats",
        ",",
        " ",
        " and",
        "\n\n",
        " dogs",
        "!?",
        " ",
    ]


@given(
    st.text(
        st.one_of(st.sampled_from([c for c in AWKWARD if len(c) == 1]), st.characters(exclude_categories=["Cs"])), max_size=30
    )
)
@settings(max_examples=500, deadline=None)
def test_any_text_is_split_as_in_the_library(text: str) -> None:
    assert pre_tokenize(text) == library_split(text)


def split_by_character(text: str) -> list[str]:
    """Pre-tokens of a text, found one character at a time."""
    data = np.frombuffer(text.encode(), np.uint8)
    ends = [0]
    while ends[-1] < len(data):
        ends.append(int(pre_token_end(data, ends[-1], len(data), classes())))
    return [data[start:stop].tobytes().decode() for start, stop in pairwise(ends)]


@pytest.mark.parametrize("longest", [15, 150])
def test_awkward_strings_are_split_as_in_the_library(longest: int) -> None:
    generator = random.Random(5)
    for _ in range(3_000):
        text = "".join(generator.choice(AWKWARD) for _ in range(generator.randint(1, longest)))
        assert pre_tokenize(text) == split_by_character(text) == library_split(text), ascii(text)


@pytest.mark.parametrize("part", ["'s", "'re", " '", "  ", "\xa0", "\u3000", " \u3000 ", "é", "中", "𝒜", "!", "1", "a", "\n \n"])
def test_pre_tokens_across_the_end_of_a_window_are_whole(part: str) -> None:
    for before in range(WINDOW + 2):
        for text in ("a" * before + part + "b", " a" * (before // 2) + part + "b", "a " * (before // 2) + part):
            assert pre_tokenize(text) == split_by_character(text) == library_split(text), (before, text)


def test_following_texts_do_not_change_a_texts_pre_tokens() -> None:
    generator = random.Random(6)
    texts = ["".join(generator.choice(AWKWARD) for _ in range(generator.randint(0, 30))) for _ in range(3_000)]
    together, alone = PreTokenCounter(), Counter(pre_token.encode() for text in texts for pre_token in library_split(text))
    together.add(pa.array(texts))
    table = together.table()
    assert dict(zip(table.column("piece").to_pylist(), table.column("count").to_pylist(), strict=True)) == alone


@pytest.mark.parametrize(("kind", "pattern"), [(LETTER, r"\p{L}"), (NUMBER, r"\p{N}"), (SPACE, r"\s")])
def test_character_classes_equal_the_librarys(kind: int, pattern: str) -> None:
    points = [point for point in range(0x3100) if not 0xD800 <= point < 0xE000] + list(range(0x1F000, 0x1FC00))
    text = "".join(map(chr, points))
    rest = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "removed").pre_tokenize_str(text)
    others = {position for _, (start, stop) in rest for position in range(start, stop)}
    table = classes()
    assert [point for position, point in enumerate(points) if position not in others] == [p for p in points if table[p] == kind]


def test_counter_counts_every_pre_token(english: list[str], counts: PreTokenCounter) -> None:
    expected: Counter[bytes] = Counter()
    for text in english:
        expected.update(pre_token.encode() for pre_token in pre_tokenize(text))
    table = counts.table()
    assert dict(zip(table.column("piece").to_pylist(), table.column("count").to_pylist(), strict=True)) == expected
    assert len(counts) == len(expected)


def test_batches_do_not_change_counts(english: list[str], counts: PreTokenCounter) -> None:
    other = PreTokenCounter()
    for start in range(0, len(english), 7):
        other.add(pa.array(english[start : start + 7]))
    assert other.table().equals(counts.table())


def test_pre_token_longer_than_the_table_is_counted() -> None:
    counter = PreTokenCounter()
    counter.add(pa.array(["a" * 1_000_000]))
    assert counter.table().to_pylist() == [{"piece": b"a" * 1_000_000, "count": 1}]


def test_tables_of_counts_add_up(counts: PreTokenCounter) -> None:
    twice = PreTokenCounter()
    twice.add(pa.array(["a", "b b"]))
    twice.add_counts(count_table({"b": 1, "c": 1 << 40}))
    assert twice.table().equals(count_table({"a": 1, "b": 2, " b": 1, "c": 1 << 40}))
    twice.add_counts(counts.table())
    twice.add_counts(counts.table())
    assert twice.table().num_rows == len(set(counts.table().column("piece").to_pylist()) | {b"a", b"b", b" b", b"c"})


def test_null_text_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        PreTokenCounter().add(pa.array(["a", None]))
