"""The stage `tokens`: documents to Arrow token shards."""
