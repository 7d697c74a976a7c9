"""Parts of other programs' tokenizer files: each that changes ids is refused by its name, and what is accepted gives equal ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError

TEXT = "Don't  STOP the Cafe\u0301 page\n\n  of 3 things <|endoftext|> and more"


@pytest.fixture(scope="module")
def good(trained: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("good")
    trained.save(folder)
    body: dict[str, Any] = json.loads((folder / "tokenizer.json").read_bytes())
    return body


def added(content: str, number: int) -> dict[str, Any]:
    kinds = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **kinds}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
PARTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "lowercase": (lambda t: t.update(normalizer={"type": "Lowercase"}), "normalizer .Lowercase"),
    "nfc": (lambda t: t.update(normalizer={"type": "NFC"}), "normalizer .NFC"),
    "two normalizers": (
        lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]}),
        "NFD and StripAccents",
    ),
    "strip": (lambda t: t.update(normalizer={"type": "Strip", "strip_left": True, "strip_right": True}), "normalizer .Strip"),
    "no regex": (lambda t: t.update(pre_tokenizer={**BYTES, "use_regex": False}), "use_regex"),
    "prefix space": (
        lambda t: t.update(pre_tokenizer={**BYTES, "use_regex": True, "add_prefix_space": True}),
        "add_prefix_space",
    ),
    "whitespace": (lambda t: t.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer is Whitespace"),
    "digits first": (
        lambda t: t.update(
            pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]}
        ),
        "Digits and ByteLevel",
    ),
    "dropout": (lambda t: t["model"].update(dropout=0.5), "dropout 0.5"),
    "suffix": (lambda t: t["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
    "whole words first": (lambda t: t["model"].update(ignore_merges=True), "ignore_merges"),
    "an added word": (lambda t: t["added_tokens"].append(added("the", 999)), "added token 'the'"),
    "a padding token": (lambda t: t["added_tokens"].append({**added("[PAD]", 999), "special": True}), "PAD"),
    "another end": (lambda t: t["added_tokens"][0].update(id=7), "has the id 7"),
    "padded rows": (lambda t: t["model"]["vocab"].update({f"<unused{i}>": 900 + i for i in range(3)}), "3 entries that no merge"),
    "a template": (
        lambda t: t.update(post_processor={"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}),
        "TemplateProcessing",
    ),
    "another decoder": (lambda t: t.update(decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}), "WordPiece"),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_that_changes_ids_is_refused_by_name(good: dict[str, Any], tmp_path: Path, kind: str) -> None:
    change, message = PARTS[kind]
    body = json.loads(json.dumps(good))
    change(body)
    (tmp_path / "tokenizer.json").write_text(json.dumps(body))
    with pytest.raises(FormatError, match=message):
        Tokenizer.load(tmp_path)


NEUTRAL: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda _: None,
    "truncation": lambda t: t.update(
        truncation={"direction": "Right", "max_length": 1024, "strategy": "LongestFirst", "stride": 0}
    ),
    "no dropout": lambda t: t["model"].update(dropout=0.0, continuing_subword_prefix="", end_of_word_suffix=""),
    "no decoder": lambda t: t.update(decoder=None, post_processor=None),
    "pairs as text": lambda t: t["model"].update(merges=[" ".join(pair) for pair in t["model"]["merges"]]),
}


@pytest.mark.parametrize("kind", NEUTRAL)
def test_what_is_accepted_gives_the_librarys_ids(good: dict[str, Any], tmp_path: Path, kind: str) -> None:
    body = json.loads(json.dumps(good))
    NEUTRAL[kind](body)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(body))
    library = tokenizers.Tokenizer.from_file(str(path))
    text = TEXT.replace("<|endoftext|>", "")  # no text encodes to the end of text here: its own rule
    assert Tokenizer.load(tmp_path).encode(text) == library.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("name", ["vocab.json", "encoder.json"])
def test_merges_are_read_with_the_vocabulary_beside_them(trained: Tokenizer, tmp_path: Path, name: str) -> None:
    trained.save(tmp_path)
    merges, vocabulary = (tmp_path / "merges.txt").read_bytes(), json.loads((tmp_path / "vocab.json").read_bytes())
    other = tmp_path / "other"
    other.mkdir()
    (other / "merges.txt").write_bytes(merges)
    (other / name).write_text(json.dumps(vocabulary))
    assert Tokenizer.load(other).pairs == trained.pairs
    (other / name).write_text(json.dumps({token: len(vocabulary) - 1 - number for token, number in vocabulary.items()}))
    with pytest.raises(FormatError, match=rf"{name}: ids are not in GPT-2's order"):
        Tokenizer.load(other)
    (other / name).write_text("[1, 2")
    with pytest.raises(FormatError, match="not a GPT-2 tokenizer"):
        Tokenizer.load(other)


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("added_tokens.json", {"<pad>": 999}, "added_tokens.json: it has the added token '<pad>'"),
        ("tokenizer_config.json", {"add_prefix_space": True}, "sets add_prefix_space"),
        ("tokenizer_config.json", {"add_bos_token": True}, "sets add_bos_token"),
    ],
)
def test_files_beside_the_tokenizers_own_are_heeded(
    trained: Tokenizer, tmp_path: Path, name: str, body: dict[str, Any], message: str
) -> None:
    trained.save(tmp_path)
    (tmp_path / name).write_text(json.dumps(body))
    with pytest.raises(FormatError, match=message):
        Tokenizer.load(tmp_path)


def test_the_configuration_names_the_networks_context(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save(tmp_path, 64)
    assert json.loads((tmp_path / "tokenizer_config.json").read_bytes())["model_max_length"] == 64
