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


def test_a_worked_example() -> None:
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
def test_any_text_is_cut_as_the_library_cuts_it(text: str) -> None:
    assert pre_tokenize(text) == library_split(text)


def narrow_split(text: str) -> list[str]:
    """A character at a time."""
    data = np.frombuffer(text.encode(), np.uint8)
    ends = [0]
    while ends[-1] < len(data):
        ends.append(int(pre_token_end(data, ends[-1], len(data), classes())))
    return [data[start:stop].tobytes().decode() for start, stop in pairwise(ends)]


@pytest.mark.parametrize("most", [15, 150])
def test_awkward_strings_are_cut_as_the_library_cuts_them(most: int) -> None:
    generator = random.Random(5)
    for _ in range(3_000):
        text = "".join(generator.choice(AWKWARD) for _ in range(generator.randint(1, most)))
        assert pre_tokenize(text) == narrow_split(text) == library_split(text), ascii(text)


@pytest.mark.parametrize("part", ["'s", "'re", " '", "  ", "\xa0", "\u3000", " \u3000 ", "é", "中", "𝒜", "!", "1", "a", "\n \n"])
def test_pieces_across_the_end_of_a_window_are_whole(part: str) -> None:
    for before in range(WINDOW + 2):
        for text in ("a" * before + part + "b", " a" * (before // 2) + part + "b", "a " * (before // 2) + part):
            assert pre_tokenize(text) == narrow_split(text) == library_split(text), (before, text)


def test_what_follows_a_text_does_not_change_its_pieces() -> None:
    generator = random.Random(6)
    texts = ["".join(generator.choice(AWKWARD) for _ in range(generator.randint(0, 30))) for _ in range(3_000)]
    together, alone = PreTokenCounter(), Counter(piece.encode() for text in texts for piece in library_split(text))
    together.add(pa.array(texts))
    table = together.table()
    assert dict(zip(table.column("piece").to_pylist(), table.column("count").to_pylist(), strict=True)) == alone


@pytest.mark.parametrize(("kind", "pattern"), [(LETTER, r"\p{L}"), (NUMBER, r"\p{N}"), (SPACE, r"\s")])
def test_the_classes_are_the_librarys(kind: int, pattern: str) -> None:
    points = [point for point in range(0x3100) if not 0xD800 <= point < 0xE000] + list(range(0x1F000, 0x1FC00))
    text = "".join(map(chr, points))
    rest = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "removed").pre_tokenize_str(text)
    others = {position for _, (start, stop) in rest for position in range(start, stop)}
    table = classes()
    assert [point for position, point in enumerate(points) if position not in others] == [p for p in points if table[p] == kind]


def test_counting_counts_every_piece(english: list[str], counts: PreTokenCounter) -> None:
    expected: Counter[bytes] = Counter()
    for text in english:
        expected.update(piece.encode() for piece in pre_tokenize(text))
    table = counts.table()
    assert dict(zip(table.column("piece").to_pylist(), table.column("count").to_pylist(), strict=True)) == expected
    assert len(counts) == len(expected)


def test_counting_in_many_batches_changes_nothing(english: list[str], counts: PreTokenCounter) -> None:
    other = PreTokenCounter()
    for start in range(0, len(english), 7):
        other.add(pa.array(english[start : start + 7]))
    assert other.table().equals(counts.table())


def test_a_piece_longer_than_the_table_is_counted() -> None:
    counter = PreTokenCounter()
    counter.add(pa.array(["a" * 1_000_000]))
    assert counter.table().to_pylist() == [{"piece": b"a" * 1_000_000, "count": 1}]


def test_counted_tables_add_up(counts: PreTokenCounter) -> None:
    twice = PreTokenCounter()
    twice.add(pa.array(["a", "b b"]))
    twice.add_counts(count_table({"b": 1, "c": 1 << 40}))
    assert twice.table().equals(count_table({"a": 1, "b": 2, " b": 1, "c": 1 << 40}))
    twice.add_counts(counts.table())
    twice.add_counts(counts.table())
    assert twice.table().num_rows == len(set(counts.table().column("piece").to_pylist()) | {b"a", b"b", b" b", b"c"})


def test_a_missing_text_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        PreTokenCounter().add(pa.array(["a", None]))
