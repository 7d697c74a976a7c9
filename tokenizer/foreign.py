"""Parts of other programs' tokenizer files that change ids: each is GPT-2's, or refused by its name.

`transformers` and `tokenizers` write normalizers, prefixes, added tokens and other vocabularies into the files that GPT-2's
tokenizer has too. Whoever reads only the merges would encode every text, but to other ids than the network was trained on.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenizer.paper import END_OF_TEXT
from tokenizer.untrusted import check_file, read_file

VOCABULARIES = ("vocab.json", "encoder.json")
"""Hugging Face's and OpenAI's name of the file that gives each token its id, beside the merges."""
CONFIG_JSON = "tokenizer_config.json"
ADDED_TOKENS_JSON = "added_tokens.json"

_MODEL_PARTS = (
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
)
"""Switches of a BPE model that change ids where they are set: GPT-2's has none of them."""
_CONFIG_PARTS = ("add_prefix_space", "add_bos_token", "add_eos_token")


def check_parts(data: Mapping[str, Any]) -> None:
    """Raise ValueError, which names the part, unless a tokenizer.json encodes each text as GPT-2's tokenizer does.

    Truncation and padding are left aside: they cut and fill batches, and programs set them anew for each.
    """
    if data["model"].get("type", "BPE") != "BPE" or data.get("pre_tokenizer") is None:
        raise ValueError("its model is not byte-level BPE")
    if data.get("normalizer") is not None:
        raise ValueError(f"it has a normalizer ({_kind(data['normalizer'])}), GPT-2's tokenizer has none")
    _check_pre_tokenizer(data["pre_tokenizer"])
    for name in _MODEL_PARTS:
        if data["model"].get(name):
            raise ValueError(f"its model has {name} {data['model'][name]!r:.50}, GPT-2's has none")
    for name in ("post_processor", "decoder"):
        if data.get(name) is not None and data[name]["type"] != "ByteLevel":
            raise ValueError(f"its {name} is {_kind(data[name])}, GPT-2's is ByteLevel")


def check_vocabulary(vocabulary: object, numbers: Mapping[str, int], name: str = "its vocabulary") -> None:
    """Raise ValueError unless a vocabulary gives the ids in GPT-2's order: 256 bytes, the merges, perhaps the end of text."""
    if not isinstance(vocabulary, dict):
        raise ValueError(f"{name} is no table of tokens and ids")  # noqa: TRY004 (of a file)
    expected = {**numbers, END_OF_TEXT: len(numbers)}
    if vocabulary in (numbers, expected):
        return
    unmade = sorted(token for token in vocabulary if token not in expected)
    if unmade and {token: vocabulary[token] for token in numbers if token in vocabulary} == numbers:
        raise ValueError(f"{name} has {len(unmade):,} entries that no merge makes, such as {unmade[0]!r:.50}; take them out")
    raise ValueError(f"{name}: ids are not in GPT-2's order: 256 bytes, then the merges")


def check_added_tokens(tokens: Collection[Mapping[str, Any]], eot_id: int) -> None:
    """Raise ValueError for a token that is cut out of texts before the merges: only the end of text may be one."""
    for token in tokens:
        if token["content"] != END_OF_TEXT:
            raise ValueError(f"it has the added token {token['content']!r:.50}, GPT-2's has {END_OF_TEXT} alone")
        if token["id"] != eot_id:
            raise ValueError(f"{END_OF_TEXT} has the id {token['id']!r:.20}, GPT-2's order gives it {eot_id}")


def check_beside(folder: Path, numbers: Mapping[str, int], *, merges: bool) -> None:
    """Check the files beside a tokenizer's own. Raises ValueError where one of them says that ids are others than GPT-2's.

    `merges`: the tokenizer was read from its merges, so that a vocabulary beside them gives the ids.
    """
    for name in VOCABULARIES if merges else ():
        if (body := _read(folder, name)) is not None:
            check_vocabulary(body, numbers, name)
    for token, number in (_read(folder, ADDED_TOKENS_JSON) or {}).items():
        try:
            check_added_tokens([{"content": token, "id": number}], len(numbers))
        except ValueError as error:
            raise ValueError(f"{ADDED_TOKENS_JSON}: {error}") from error
    config = _read(folder, CONFIG_JSON) or {}
    for name in _CONFIG_PARTS:
        if config.get(name):
            raise ValueError(f"{CONFIG_JSON} sets {name}, GPT-2's does not")


def _check_pre_tokenizer(part: Mapping[str, Any]) -> None:
    if part["type"] != "ByteLevel":
        raise ValueError(f"its pre_tokenizer is {_kind(part)}, GPT-2's is ByteLevel")
    if part["add_prefix_space"]:
        raise ValueError("its pre_tokenizer sets add_prefix_space, GPT-2's does not")
    if not part.get("use_regex", True):
        raise ValueError("its pre_tokenizer has use_regex off, GPT-2's splits text by a regular expression")


def _kind(part: Mapping[str, Any]) -> str:
    """Type of a part; of a sequence of parts, their types."""
    inner = next((value for value in part.values() if isinstance(value, list) and value and isinstance(value[0], dict)), None)
    kinds = [str(each.get("type")) for each in inner] if inner and part["type"] == "Sequence" else [str(part["type"])]
    return " and ".join(kinds)[:60]


def _read(folder: Path, name: str) -> Any:
    """Content of a JSON file in the folder; None if there is none."""
    return json.loads(read_file(folder / name)) if check_file(folder, name) is not None else None
