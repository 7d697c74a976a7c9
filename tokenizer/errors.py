"""What can be wrong with a file of this package's formats."""


class FormatError(ValueError):
    """A tokenizer, a shard or a manifest is missing, damaged or of another kind; the message names the file and the way out."""
