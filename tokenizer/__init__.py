"""GPT-2's byte-level BPE, and the token-shard format that pipeline and trainer share."""
