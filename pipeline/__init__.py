"""The data pipeline: Reddit links in, Arrow token shards out. Each module is one theme; `python -m pipeline --help` runs it."""
