"""Errors of this package's file formats."""


class FormatError(ValueError):
    """A tokenizer, shard or manifest is missing, damaged or of another format; the message names the file and what to do next."""
