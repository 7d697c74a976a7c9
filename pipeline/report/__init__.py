"""The corpus report: numbers from manifests, Parquet, token shards and training logs; one page and one JSON of them."""
