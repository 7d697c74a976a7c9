import json
import pickle
import random
import resource
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.codec import ENCODERS, LIBRARY, Tokenizer
from tokenizer.errors import FormatError
from tokenizer.paper import END_OF_TEXT, byte_ids

SPECIALS = [
    END_OF_TEXT,
    "<|endoftext",
    "<|im_start|>",
    "<s>",
    "</s>",
    "[CLS]",
    "[PAD]",
    "<unk>",
    "<|fim_prefix|>",
    "<pad>",
    "Ċ",
    "Ġthe",
]
VALID = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" \n\t'<|>endoftx")), max_size=60)


def library_ids(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    ids, _ = tokenizer.encode_arrow(pa.array(texts, pa.large_string()), encoder=LIBRARY)
    return ids.tolist()  # type: ignore[no-any-return]


def awkward(documents: int) -> list[str]:
    """Seeded random strings of characters that are rare in prose."""
    generator = random.Random(11)
    points = [
        *range(0x20, 0x250),
        *range(0x300, 0x370),
        *range(0x4E00, 0x4F00),
        *range(0x1F300, 0x1F700),
        0,
        7,
        10,
        13,
        0x200D,
        0xFEFF,
        0xFFFD,
    ]
    parts = [*SPECIALS, "  ", "\n\n", "'s", "aaaa", "1234", "----", "Ω≈ç√", "e\u0301\u0301", "\u202e", "\x00", "日本語"]

    def part() -> str:
        return generator.choice(parts) if generator.random() < 0.4 else chr(generator.choice(points))

    return ["".join(part() for _ in range(generator.randint(0, 40))) for _ in range(documents)]


@given(VALID)
@settings(max_examples=100, deadline=None)
def test_any_text_round_trips_and_never_encodes_to_the_end_of_text(trained: Tokenizer, text: str) -> None:
    ids = trained.encode(text)
    assert trained.decode(ids) == text
    assert all(number < trained.eot_id for number in ids)
    assert [*ids, trained.eot_id] == library_ids(trained, [text])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_ten_thousand_awkward_documents_round_trip(trained: Tokenizer, encoder: str) -> None:
    texts = awkward(10_000)
    ids, offsets = trained.encode_arrow(pa.array(texts, pa.large_string()), encoder=encoder)
    assert [trained.decode(ids[a:b]) for a, b in pairwise(offsets)] == texts
    assert int(np.count_nonzero(ids == trained.eot_id)) == len(texts)
    assert ids.tolist() == library_ids(trained, texts)


@pytest.mark.parametrize("text", SPECIALS)
def test_text_never_becomes_a_special_token(trained: Tokenizer, text: str) -> None:
    for tokenizer in (trained, pickle.loads(pickle.dumps(trained))):
        ids = tokenizer.encode(f"a{text}b")
        assert max(ids) < tokenizer.eot_id
        assert tokenizer.decode(ids) == f"a{text}b"


def test_long_pre_tokens_encode_as_in_the_library(trained: Tokenizer) -> None:
    generator = random.Random(2)
    texts = ["".join(generator.choice("etaoin") for _ in range(generator.randint(40, 900))) for _ in range(200)]
    texts += [unit * 300 for unit in ("a", "ab", "-", "=-", "0", "é", "中", " ", "\n")]
    ids, _ = trained.encode_arrow(pa.array(texts, pa.large_string()))
    assert ids.tolist() == library_ids(trained, texts)


def test_similar_pre_tokens_are_not_confused_in_the_cache(trained: Tokenizer) -> None:
    """Pre-tokens of every length near the cache's limits and 256 beyond, each twice; the second tokenizer gives each few ids."""
    generator, e = random.Random(3), byte_ids()[ord("e")]
    texts = [piece for size in [*range(1, 64), *range(250, 290)] for piece in ("e" * size, "e" * (size - 1) + "t", "\0" * size)]
    texts += ["".join(generator.choices("et", [9, 1], k=generator.randint(8, 33))) for _ in range(30_000)]
    texts += ["".join(generator.choices("adeinorst", k=generator.randint(5, 9))) for _ in range(30_000)]
    for tokenizer in (trained, Tokenizer([(e, e), *((256 + i, 256 + i) for i in range(6))])):
        ids, _ = tokenizer.encode_arrow(pa.array(texts + texts, pa.large_string()))
        assert ids.tolist() == library_ids(tokenizer, texts) * 2


def test_threads_and_array_slices_share_an_encoder(trained: Tokenizer) -> None:
    texts = awkward(2_000)
    whole = pa.array(texts, pa.large_string())
    expected = library_ids(trained, texts)
    with ThreadPoolExecutor(4) as threads:
        parts = threads.map(lambda start: trained.encode_arrow(whole.slice(start, 100))[0], range(0, len(texts), 100))
        assert np.concatenate(list(parts)).tolist() == expected
    chunks = pa.chunked_array([whole.slice(0, 900), whole.slice(900)])
    assert trained.encode_arrow(chunks)[0].tolist() == expected
    assert not len(trained.encode_arrow(pa.chunked_array([], pa.string()))[0])


def test_invalid_utf8_round_trips_without_reading_out_of_bounds(trained: Tokenizer) -> None:
    """Arrow does not validate the strings of a file that it reads."""
    generator = random.Random(4)
    texts = [b"\xf0", b"a\x80a", b"\xf7\xbf\xbf\xbf", b"\xe0", b"\xc3"] * 40
    texts += [
        bytes(generator.choices((0x20, 0x61, 0x27, 0x80, 0xBF, 0xC3, 0xE3, 0xF0, 0xFF), k=generator.randint(0, 90)))
        for _ in range(2_000)
    ]
    texts += [b"\xf0"] * 70
    offsets = np.cumsum([0, *map(len, texts)])
    array = pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))
    for eot in (True, False):
        ids, starts = trained.encode_arrow(array, eot=eot)
        assert [trained.decode_bytes(ids[a:b]) for a, b in pairwise(starts)] == texts


MONSTERS = {
    "letters": "a",
    "blanks": " ",
    "nul": "\x00",
    "newlines": "\n",
    "dashes": "-",
    "digits": "7",
    "cjk": "漢",
    "emoji": "👩‍👩‍👧",
    "zalgo": "z\u0301\u0322\u0489",
    "combining": "\u0301",
    "end_of_text": END_OF_TEXT,
    "acgt": "acgtgca",
    "base64": "aGVsbG8gd29ybGQh",
    "quotes": "'",
    "mixed": " a1'-\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MONSTERS)
def test_monster_texts_come_back_within_bounded_memory(trained: Tokenizer, name: str) -> None:
    """10 MB without a space. An encoder of quadratic cost would not end."""
    unit = MONSTERS[name]
    text = unit * (10_000_000 // len(unit.encode()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ids, _ = trained.encode_arrow(pa.array([text], pa.large_string()))
    growth_mebibytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert trained.decode(ids) == text
    assert growth_mebibytes < 600


def test_pickling_keeps_the_merges(trained: Tokenizer) -> None:
    again = pickle.loads(pickle.dumps(trained))
    assert again.pairs == trained.pairs
    assert again.sha256 == trained.sha256


def test_incomplete_character_decodes_to_the_replacement_character(trained: Tokenizer) -> None:
    ids = [trained.token_bytes.index(bytes([byte])) for byte in "é".encode()]
    assert trained.decode(ids[:1]) == "\ufffd"
    assert trained.decode_bytes(ids) == "é".encode()


def test_lone_surrogate_is_refused(trained: Tokenizer) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        trained.encode("\ud800")


def test_unknown_encoder_is_refused(trained: Tokenizer) -> None:
    with pytest.raises(ValueError, match="'fast': must be one of compiled, tokenizers, tiktoken"):
        trained.encode_arrow(pa.array(["a"]), encoder="fast")


def test_more_merges_than_fit_into_16_bit_ids_are_refused() -> None:
    with pytest.raises(FormatError, match="65,279 merges: at most 65,278"):
        Tokenizer([(0, 0)] * 65_279)
    assert Tokenizer([(0, 0)] * 65_278).eot_id == 0xFFFE


def test_merges_of_tokens_that_do_not_exist_are_refused() -> None:
    with pytest.raises(FormatError, match="merge 0 joins"):
        Tokenizer([(300, 1)])


def test_empty_text_encodes_to_no_ids(trained: Tokenizer) -> None:
    assert trained.encode("") == []
    assert trained.encode_batch([]) == []
    ids, offsets = trained.encode_arrow(pa.array(["", ""]))
    assert ids.tolist() == [trained.eot_id] * 2
    assert offsets.tolist() == [0, 1, 2]


def test_openais_vocabulary_encodes_each_webtext_sample_to_63_tokens(shared_data: Path) -> None:
    gpt2 = Tokenizer.load(shared_data / "bpe")
    lines = (shared_data / "webtext" / "webtext.test.sample.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    batch = gpt2.encode_batch(texts)
    assert len(texts) == 4_723
    assert {len(ids) for ids in batch} == {63}
    assert [gpt2.decode(ids) for ids in batch] == texts
    vocabulary = tokenizers.models.BPE.read_file(str(shared_data / "bpe/encoder.json"), str(shared_data / "bpe/vocab.bpe"))[0]
    assert vocabulary[END_OF_TEXT] == gpt2.eot_id == 50_256
