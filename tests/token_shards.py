"""A folder of token shards, with the tokenizer beside them, for tests that need no pipeline."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.shards import Header, Manifest, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of


def write_token_shards(folder: Path, splits: Mapping[str, Sequence[str]], entries: int = 300) -> Tokenizer:
    """Write each split's texts as one shard; the vocabulary is trained on all of them."""
    folder.mkdir(parents=True)
    vocabulary = train([text for texts in splits.values() for text in texts], entries)
    vocabulary.save(folder)
    found = {name: _write_split(folder, name, texts, vocabulary) for name, texts in splits.items()}
    Manifest(str(folder), vocabulary.sha256, vocabulary.vocab_size, vocabulary.eot_id, found).save()
    return vocabulary


def _write_split(folder: Path, name: str, texts: Sequence[str], vocabulary: Tokenizer) -> SplitEntry:
    ids, offsets = vocabulary.encode_arrow(pa.array(texts, pa.large_string()))
    header = Header(name, 0, 1, len(texts), len(ids), vocabulary.sha256, vocabulary.vocab_size, vocabulary.eot_id)
    path = folder / header.name
    with path.open("wb") as sink:
        writer = ShardWriter(sink, header)
        numbers = np.arange(len(texts), dtype="<u8").repeat(2).view(np.uint8).reshape(-1, 16)
        writer.write(TokenBatch(ids, offsets, numbers))
        writer.close()
    entry = ShardEntry(path.name, len(texts), len(ids), path.stat().st_size, sha256_of(path))
    return SplitEntry(len(texts), len(ids), sum(len(text.encode()) for text in texts), (entry,))
