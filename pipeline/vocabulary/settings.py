"""Settings of the stage `vocabulary`."""

from dataclasses import dataclass

from pipeline.engine.settings import setting
from tokenizer.bpe import COUNTS, TRAINERS
from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.formats import GPT2_MERGES_SHA256
from tokenizer.merges import MAX_IDS
from tokenizer.paper import VOCAB_SIZE

__all__ = ["VocabularySettings"]


@dataclass(frozen=True, slots=True)
class VocabularySettings:
    """Whether to train a tokenizer or to use a ready one, and the limits of training."""

    tokenizer: str = setting("train", "train a tokenizer, or use the one at --tokenizer-path", choices=("train", "gpt2", "given"))
    tokenizer_path: str | None = setting(
        None, "folder or file of a ready tokenizer", recorded=False, reads=Tokenizer.load, metavar="PATH"
    )
    trainer: str = setting(
        COUNTS, "train from counts of pre-tokens, or from the text by the tokenizers library, in one process", choices=TRAINERS
    )
    vocab_size: int = setting(VOCAB_SIZE, "entries: 256 bytes, merges, end of text", metavar="N")
    min_frequency: int = setting(0, "merge only pairs that occur this often; the vocabulary may end smaller", metavar="N")
    max_token_length: int | None = setting(None, "longest token in bytes (GPT-2 has no limit; its longest is 128)", metavar="N")
    smaller_vocabulary: bool = setting(False, "accept fewer entries where the text runs out of pairs")
    sample_bytes: int | None = setting(None, "train on a seeded sample of about this many bytes of text", metavar="N")
    sample_seed: int = setting(0, "seed of the sample", metavar="N")
    keep_counts: bool = setting(False, "keep the tables of pre-tokens and counts")

    def __post_init__(self) -> None:
        if not 257 <= self.vocab_size <= MAX_IDS + 1:
            raise ValueError(
                f"--vocab-size {self.vocab_size}: must be from 257 (256 bytes and the end of text) to {MAX_IDS + 1:,} (ids have 16 bits)"
            )
        if self.min_frequency < 0:
            raise ValueError(f"--min-frequency {self.min_frequency}: must be at least 0")
        if self.max_token_length is not None and self.max_token_length < 2:
            raise ValueError(f"--max-token-length {self.max_token_length}: must be at least 2 bytes, the shortest merge")
        if self.tokenizer == "train" and self.tokenizer_path is not None:
            raise ValueError(
                f"--tokenizer-path {self.tokenizer_path}: needs --tokenizer gpt2 or given; leave it out to train a tokenizer"
            )
        if self.tokenizer != "train" and self.tokenizer_path is None:
            raise ValueError(f"--tokenizer {self.tokenizer} needs --tokenizer-path: the folder or file of a ready tokenizer")
        if self.sample_bytes is not None and self.sample_bytes < 1:
            raise ValueError(f"--sample-bytes {self.sample_bytes}: must be at least 1; leave it out to train on all text")

    def check(self) -> None:
        """Raise InputError where --tokenizer gpt2 names another tokenizer than GPT-2's."""
        if self.tokenizer == "gpt2":
            self.ready_tokenizer()

    def ready_tokenizer(self) -> Tokenizer:
        """The tokenizer at --tokenizer-path. Raises InputError for anything but a GPT-2 tokenizer, and with `--tokenizer gpt2` for
        other merges than GPT-2's."""
        try:
            tokenizer = Tokenizer.load(str(self.tokenizer_path))
        except FormatError as error:
            raise InputError(str(error)) from error
        if self.tokenizer == "gpt2" and tokenizer.sha256 != GPT2_MERGES_SHA256:
            raise InputError(
                f"--tokenizer-path {self.tokenizer_path}: not GPT-2's own merges (sha256 {tokenizer.sha256}); use --tokenizer given"
            )
        return tokenizer
