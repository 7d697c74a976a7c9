"""Reads and writes a GPT-2 tokenizer's files: tokenizer.json, vocab.json with merges.txt, and tiktoken's ranks.

Each of them defines the same thing: which pairs are merged, and in which order. OpenAI's name for merges.txt, vocab.bpe, is read
too.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers

from tokenizer.errors import FormatError
from tokenizer.foreign import CONFIG_JSON, check_added_tokens, check_beside, check_parts, check_vocabulary
from tokenizer.paper import END_OF_TEXT, byte_alphabet, byte_ids
from tokenizer.untrusted import check_file, read_file

MergePair = tuple[int, int]
"""Ids of the two tokens that a merge joins."""

TOKENIZER_JSON = "tokenizer.json"
VOCAB_JSON = "vocab.json"
MERGES_TXT = "merges.txt"
TIKTOKEN_RANKS = "ranks.tiktoken"
MAX_SQUARED_BYTES = 1 << 25
FILES = (TOKENIZER_JSON, VOCAB_JSON, MERGES_TXT, TIKTOKEN_RANKS, CONFIG_JSON)
"""Names of all files that a tokenizer is written to."""
MERGES_NAMES = (MERGES_TXT, "vocab.bpe")
CONTEXT_TOKENS = 1024
"""Context of GPT-2: the longest input that a tokenizer's configuration names, unless the network has another."""

GPT2_MERGES_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
"""sha256 of OpenAI's vocab.bpe. The merges.txt that we write for GPT-2 has the same bytes."""


def spellings(pairs: Sequence[MergePair]) -> list[str]:
    """The printable characters of each id, without the end of text."""
    tokens = sorted(byte_alphabet())
    for left, right in pairs:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def merges_text(pairs: Sequence[MergePair]) -> bytes:
    """Content of merges.txt, the canonical form of a tokenizer: one line per merge."""
    tokens = spellings(pairs)
    lines = [f"{tokens[left]} {tokens[right]}\n" for left, right in pairs]
    return ("#version: 0.2\n" + "".join(lines)).encode()


def all_files(pairs: Sequence[MergePair], context_tokens: int = CONTEXT_TOKENS) -> dict[str, bytes]:
    """Name and content of each file. A folder of these files loads as Hugging Face's GPT2TokenizerFast.

    `context_tokens` is the longest input of the network that the tokenizer goes with.
    """
    vocabulary = {token: number for number, token in enumerate([*spellings(pairs), END_OF_TEXT])}
    return {
        TOKENIZER_JSON: _tokenizer_json(pairs),
        VOCAB_JSON: json.dumps(vocabulary, ensure_ascii=False, separators=(",", ":")).encode(),
        MERGES_TXT: merges_text(pairs),
        TIKTOKEN_RANKS: _tiktoken(pairs),
        CONFIG_JSON: _config(context_tokens),
    }


def library_tokenizer(pairs: Sequence[MergePair]) -> tokenizers.Tokenizer:
    """The tokenizers library's tokenizer, without added tokens, so that no text encodes to one.

    (The library's own switch for that is lost on pickling.)
    """
    tokens = spellings(pairs)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [(tokens[left], tokens[right]) for left, right in pairs]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def read_pairs(path: Path) -> list[MergePair]:
    """The merges in a tokenizer's folder or file. Raises FormatError where it holds no byte-level BPE with GPT-2's ids."""
    file = file_of(path)
    try:
        if file != path:
            check_file(path, file.name)
        data = read_file(file)
    except ValueError as error:
        raise FormatError(f"{file}: not a GPT-2 tokenizer ({error}); give a folder or file that holds one") from error
    pairs = parse_pairs(str(file), data)
    if file != path:
        _check_folder(path, pairs, merges=file.name in MERGES_NAMES)
    return pairs


def _check_folder(folder: Path, pairs: Sequence[MergePair], *, merges: bool) -> None:
    """Raise FormatError where a file beside the tokenizer's own says that its ids are others."""
    try:
        check_beside(folder, {token: number for number, token in enumerate(spellings(pairs))}, merges=merges)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{folder}: not a GPT-2 tokenizer ({_reason(error)}); give a folder or file that holds one") from error


def _reason(error: Exception) -> str:
    """An error of ours as it is, another one with its type."""
    return (str(error) if type(error) is ValueError else repr(error))[:200]


def parse_pairs(name: str, data: bytes) -> list[MergePair]:
    """The merges in a file's content; the name's ending tells the format. Raises FormatError like `read_pairs`."""
    if not data.strip():
        raise FormatError(f"{name}: empty; give a folder or file that holds a tokenizer")
    try:
        if name.endswith(".tiktoken"):
            return _from_ranks(data)
        if name.endswith(".json"):
            return merges_of(json.loads(data))
        lines = data.decode().split("\n")
        return _from_merges(line.split(" ") for line in lines if line and not line.startswith("#version"))[0]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{name}: not a GPT-2 tokenizer ({_reason(error)}); give a folder or file that holds one") from error


def file_of(path: Path) -> Path:
    """The path itself if it is a file, or the tokenizer file in the folder. Raises FormatError where there is none."""
    if path.exists() and not path.is_dir():
        return path
    for name in (TOKENIZER_JSON, *MERGES_NAMES, TIKTOKEN_RANKS):
        if (path / name).exists():
            return path / name
    raise FormatError(f"{path}: no tokenizer there; give a folder with tokenizer.json or merges.txt, or one such file")


def _tokenizer_json(pairs: Sequence[MergePair]) -> bytes:
    tokenizer = library_tokenizer(pairs)
    tokenizer.add_special_tokens([tokenizers.AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return str(tokenizer.to_str(pretty=False)).encode()


def _config(context_tokens: int) -> bytes:
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    config = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "model_max_length": context_tokens, **special}
    return (json.dumps(config, indent=1) + "\n").encode()


def _tiktoken(pairs: Sequence[MergePair]) -> bytes:
    """One line per token: the base64 of its bytes, and its rank. As in OpenAI's file, the ranks of single bytes are their ids."""
    value = _byte_values()
    tokens = [bytes(value[c] for c in token) for token in spellings(pairs)]
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


@cache
def _byte_values() -> dict[str, int]:
    return {character: byte for byte, character in enumerate(byte_alphabet())}


def _from_merges(merges: Iterable[Sequence[str]]) -> tuple[list[MergePair], dict[str, int]]:
    """The merges as pairs of ids, and the id of every token's spelling."""
    numbers = {character: number for number, character in enumerate(sorted(byte_alphabet()))}
    pairs: list[MergePair] = []
    for merge in merges:
        left, right = merge
        pairs.append((numbers[left], numbers[right]))
        numbers[left + right] = len(numbers)
    return pairs, numbers


def merges_of(data: dict[str, Any]) -> list[MergePair]:
    """The merges in a tokenizer.json's content. Raises ValueError where any part of it gives other ids than GPT-2's tokenizer."""
    check_parts(data)
    model = data["model"]
    pairs, numbers = _from_merges(m.split(" ") if isinstance(m, str) else m for m in model["merges"])
    if len(numbers) != 256 + len(pairs):
        raise ValueError("two of its merges make the same token")
    check_vocabulary(model["vocab"], numbers)
    check_added_tokens(data.get("added_tokens") or [], len(numbers))
    return pairs


def _from_ranks(data: bytes) -> list[MergePair]:
    """The merge that makes each token: its two parts are what earlier merges leave of its bytes."""
    ranks = {}
    for line in data.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token, validate=True)] = int(rank)
    if sum(len(token) ** 2 for token in ranks) > MAX_SQUARED_BYTES:
        raise ValueError("its tokens are too long: finding their merges would take minutes")
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise ValueError("ranks are not 0, 1, 2 …")
    tokens = sorted(ranks, key=ranks.__getitem__)
    if tokens[:256] != [bytes([byte_ids().index(number)]) for number in range(256)]:
        raise ValueError("its first 256 tokens are not the bytes in GPT-2's order")
    pairs = []
    for token in tokens[256:]:
        left, right = _last_parts(token, ranks)
        pairs.append((ranks[left], ranks[right]))
    return pairs


def _last_parts(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(parts[i] + parts[i + 1], len(ranks)) for i in range(len(parts) - 1)]
        least = min(joined)
        if least >= ranks[token]:
            raise ValueError(f"no merges lead to the token {token!r}")
        at = joined.index(least)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]
