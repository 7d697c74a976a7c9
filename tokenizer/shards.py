"""Token shards, which the pipeline writes and a trainer maps: writer, reader and manifest (docs/formats.md)."""

from tokenizer.shard_format import BATCH_TOKENS, Header, TokenBatch
from tokenizer.shard_manifest import Manifest, ShardEntry, SplitEntry, sha256_of
from tokenizer.shard_reader import Shard
from tokenizer.shard_writer import ShardWriter

__all__ = ["BATCH_TOKENS", "Header", "Manifest", "Shard", "ShardEntry", "ShardWriter", "SplitEntry", "TokenBatch", "sha256_of"]
