"""Files, manifests and shards on any file system."""
