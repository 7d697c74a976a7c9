"""Settings of the stage `overlap`."""

from dataclasses import dataclass

from pipeline.engine.settings import flag_of, setting
from pipeline.overlap.evaluation_files import read_examples, set_name
from pipeline.paper import OVERLAP_NGRAM_WORDS
from tokenizer.errors import InputError, path_fault

__all__ = ["OverlapSettings"]


def read_set(item: str) -> None:
    """Parse an evaluation set. Raises InputError where its file is missing or not as it is published."""
    _, path = _name_and_path(item)
    try:
        for _ in read_examples(path):
            pass
    except OSError as error:
        raise InputError(f"--evaluation-sets {path}: {path_fault(error)}") from error


@dataclass(frozen=True, slots=True)
class OverlapSettings:
    """The evaluation sets to search for, and whether documents that hold them are removed."""

    evaluation_sets: tuple[str, ...] = setting(
        (),
        "files as published, each PATH or NAME=PATH (names of Table 6: ptb wikitext2 …)",
        recorded=False,
        reads=read_set,
        metavar="SET",
    )
    ngram_words: int = setting(OVERLAP_NGRAM_WORDS, "words per n-gram (the paper's 8)", metavar="N")
    remove_overlapping: bool = setting(
        False, "leave overlapping documents out of the corpus that this folder gives to later stages"
    )
    least_grams: int = setting(1, "a document overlaps if n-grams are found at this many places of it or more", metavar="N")

    def __post_init__(self) -> None:
        for name in ("ngram_words", "least_grams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{flag_of(name)} {getattr(self, name)}: must be at least 1")

    def sets(self) -> dict[str, str]:
        """Name to path. Raises InputError where no set is given, or two have one name.

        >>> OverlapSettings(("evals/ptb.txt", "lambada=evals/test.jsonl")).sets()
        {'ptb': 'evals/ptb.txt', 'lambada': 'evals/test.jsonl'}
        """
        pairs = [_name_and_path(item) for item in self.evaluation_sets]
        if not pairs:
            raise InputError("--evaluation-sets: name at least one evaluation file to search for")
        if len({name for name, _ in pairs}) < len(pairs):
            raise InputError(f"--evaluation-sets {' '.join(self.evaluation_sets)}: two sets have one name; write NAME=PATH")
        return dict(pairs)


def _name_and_path(item: str) -> tuple[str, str]:
    name, mark, path = item.partition("=")
    return (name, path) if mark else (set_name(item), item)
