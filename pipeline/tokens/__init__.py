"""The stage `tokens`: unique documents to Arrow token shards."""
