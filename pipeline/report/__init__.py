"""The corpus report and the dataset card: numbers from manifests, Parquet, token shards and training logs, rendered."""
