"""Held-out documents on which every corpus' networks are judged: a corpus' validation split, or texts from a file or folder."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest

LONGEST_BYTES = 16_384
"""Bytes of a document that are scored, from its beginning: no single document decides a set."""
SHORTEST_BYTES = 200
TEXT_FIELDS = ("text", "content", "sentence")
OPENERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Texts of a held-out set by name. `origin` is where they come from; `removed` counts those that a corpus trains on."""

    name: str
    origin: str
    texts: tuple[str, ...]
    removed: int = 0

    @property
    def sha256(self) -> str:
        """Hash (hex) of the texts."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()

    def without(self, contaminated: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> "HeldOut":
        """The set without the marked texts."""
        kept = tuple(text for text, marked in zip(self.texts, contaminated, strict=True) if not marked)
        return replace(self, texts=kept, removed=self.removed + len(self.texts) - len(kept))


def from_corpus(name: str, manifest: Manifest, tokenizer: Tokenizer, most: int) -> HeldOut:
    """At most `most` documents of a corpus' validation split, by hash. Raises InputError where it has none that are long enough."""
    try:
        shards = manifest.open("validation") if "validation" in manifest.splits else []
    except FormatError as error:
        raise InputError(str(error)) from error
    texts = (tokenizer.decode(tokens[:-1]) for shard in shards for _, tokens in shard.documents())
    chosen = _choose(texts, most)
    if not chosen:
        raise InputError(
            f"{manifest.folder}: no held-out document of {SHORTEST_BYTES} bytes or more in its validation split; "
            "run the stage 'tokens' with a larger --validation-share"
        )
    return HeldOut(name, manifest.folder, chosen)


def from_path(path: Path, most: int) -> HeldOut:
    """At most `most` documents of a file or folder, by hash.

    A .jsonl file has a document per line; a .txt file is one document per stretch between lines of `<|endoftext|>`, or cut into
    pieces at blank lines where it has none; a folder holds such files. gzip, bzip2 and xz are read. Raises InputError.
    """
    if not path.exists():
        raise InputError(f"--held-out {path}: no such file or folder")
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    readable = [each for each in files if _kind(each) in (".jsonl", ".txt", ".tokens", "")]
    chosen = _choose((text for file in readable for text in _texts(file)), most)
    if not chosen:
        raise InputError(
            f"--held-out {path}: no text of {SHORTEST_BYTES} bytes or more; give .jsonl files with a field 'text', or .txt files"
        )
    return HeldOut(path.name.split(".")[0], str(path), chosen)


def _kind(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix not in OPENERS]
    return suffixes[-1] if suffixes else ""


def _texts(path: Path) -> Iterator[str]:
    opener = OPENERS.get(path.suffix)
    try:
        data = opener(path.read_bytes()) if opener else path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeDecodeError) as error:
        raise InputError(f"--held-out {path}: cannot be read as UTF-8 text ({error})") from error
    if _kind(path) == ".jsonl":
        yield from _json_lines(path, text)
    elif "<|endoftext|>" in text:
        yield from (part.strip() for part in text.split("<|endoftext|>"))
    else:
        yield from _pieces(text)


def _json_lines(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"--held-out {path}, line {number}: not JSON ({error})") from error
        value = next((row[name] for name in TEXT_FIELDS if name in row), None) if isinstance(row, dict) else None
        if not isinstance(value, str):
            raise InputError(f"--held-out {path}, line {number}: an object with a field 'text' is expected")
        yield value


def _pieces(text: str) -> Iterator[str]:
    """A long text in pieces of some thousand bytes that end at blank lines, or at line ends where it has none."""
    separator = "\n\n" if "\n\n" in text else "\n"
    piece: list[str] = []
    size = 0
    for paragraph in text.split(separator):
        piece.append(paragraph)
        size += len(paragraph)
        if size >= LONGEST_BYTES // 4:
            yield separator.join(piece)
            piece, size = [], 0
    if piece:
        yield separator.join(piece)


def _choose(texts: Iterator[str], most: int) -> tuple[str, ...]:
    """The `most` texts with the smallest hashes, cut to LONGEST_BYTES, in the order of their hashes; each text once."""
    found: dict[bytes, str] = {}
    for text in texts:
        cut = text.encode(errors="replace")[:LONGEST_BYTES].decode(errors="ignore")
        if len(cut.encode()) < SHORTEST_BYTES:
            continue
        found[hashlib.blake2b(cut.encode(), digest_size=16).digest()] = cut
        if len(found) > 4 * most:
            found = dict(sorted(found.items())[:most])
    return tuple(text for _, text in sorted(found.items())[:most])
