import json
import random
from typing import Any

import pyarrow as pa
import pytest
import tokenizers

from tokenizer import merges as merging
from tokenizer.bpe import count_table, train
from tokenizer.codec import Tokenizer
from tokenizer.counting import PreTokenCounter
from tokenizer.formats import spellings


def library_merges(texts: list[str], vocab_size: int, **options: int) -> list[list[str]]:
    """Merges that tokenizers' own trainer learns from the texts."""
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1, special_tokens=[], initial_alphabet=alphabet, show_progress=False, **options
    )
    library.train_from_iterator(iter(texts), trainer)
    merges: list[list[str]] = json.loads(library.to_str())["model"]["merges"]
    return merges


def merges_of(tokenizer: Tokenizer) -> list[list[str]]:
    tokens = spellings(tokenizer.pairs)
    return [[tokens[left], tokens[right]] for left, right in tokenizer.pairs]


def count_table_of(texts: list[str]) -> pa.Table:
    counter = PreTokenCounter()
    counter.add(pa.array(texts, pa.large_string()))
    return counter.table()


@pytest.mark.slow
def test_merges_of_real_text_equal_the_librarys(english: list[str], counts: PreTokenCounter) -> None:
    merges = merges_of(train(counts.table(), 50_257))
    assert merges == library_merges(english, 50_257)
    assert len(merges) > 20_000


@pytest.mark.parametrize("limit", [{"min_frequency": 2}, {"min_frequency": 50}, {"max_token_length": 5}])
def test_limits_give_the_librarys_merges(english: list[str], limit: dict[str, int]) -> None:
    some = english[:40]
    merges = merges_of(train(count_table_of(some), 2_000, **limit))
    if "max_token_length" in limit:
        limit = {"max_token_length": limit["max_token_length"] + 1}  # the library's limit is exclusive
    assert merges == library_merges(some, 2_000, **limit)


def test_sweeping_for_lack_of_room_changes_no_merge(counts: PreTokenCounter, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(counts.table(), 3_000)
    begin, make_room, calls = merging._begin, merging.make_room, []

    def begin_with_little_room(text: Any, *others: Any) -> Any:
        state = begin(text, *others)
        return state._replace(pool=state.pool[: len(text)].copy())

    monkeypatch.setattr(merging, "_begin", begin_with_little_room)
    monkeypatch.setattr(merging, "make_room", lambda *state: calls.append(1) or make_room(*state))
    assert train(counts.table(), 3_000).pairs == expected.pairs
    assert len(calls) > 1


def test_character_runs_and_ties_merge_as_in_the_library() -> None:
    generator = random.Random(7)
    texts = ["".join(generator.choice("aab") for _ in range(generator.randint(1, 40))) + " " for _ in range(400)]
    merges = merges_of(train(count_table_of(texts), 900))
    assert merges == library_merges(texts, 900)
    assert len(merges) > 300


def test_non_latin_scripts_merge_as_in_the_library() -> None:
    generator = random.Random(3)
    alphabet = "абвгд αβγ 漢字仮名 😀🎉 \n\n\téü's"
    texts = ["".join(generator.choice(alphabet) for _ in range(60)) for _ in range(300)]
    assert merges_of(train(count_table_of(texts), 1_200)) == library_merges(texts, 1_200)


def test_order_of_counts_does_not_matter(counts: PreTokenCounter) -> None:
    table = counts.table()
    rows = list(range(table.num_rows))
    random.Random(1).shuffle(rows)
    assert train(table.take(rows), 3_000).pairs == train(table, 3_000).pairs


def test_counts_beyond_32_bits_are_summed() -> None:
    many = 1 << 33
    tokenizer = train({"ab": many, "cd": many + 1, "ef": 5}, 257 + 3)
    assert [tokenizer.token_bytes[256 + i] for i in range(3)] == [b"cd", b"ab", b"ef"]


def test_max_token_length_bounds_every_token(counts: PreTokenCounter) -> None:
    tokenizer = train(counts.table(), 2_000, max_token_length=5)
    assert max(len(token) for token in tokenizer.token_bytes) == 5
    assert tokenizer.vocab_size == 2_000


def test_vocabulary_is_smaller_where_pairs_run_out() -> None:
    assert train({"ab": 3}, 300).vocab_size == 258
    assert train({}, 300).vocab_size == 257


def test_count_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"-2 for b'ab'"):
        train({"ab": -2}, 300)


def test_limits_that_leave_no_merge_are_refused() -> None:
    with pytest.raises(ValueError, match="vocab_size 256"):
        train({"ab": 1}, 256)
    with pytest.raises(ValueError, match="max_token_length 1"):
        train({"ab": 1}, 300, max_token_length=1)


def test_count_table_is_sorted() -> None:
    assert count_table({"b": 2, "a": 1}).to_pylist() == [{"piece": b"a", "count": 1}, {"piece": b"b", "count": 2}]
