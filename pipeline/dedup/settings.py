"""The settings of deduplication, which are the flags of the stage `dedup`."""

import re
from dataclasses import dataclass

from pipeline import paper
from pipeline.dedup import lsh_parameters, minhash
from pipeline.dedup.index import index_shards
from pipeline.dedup.removals import NEAR, NONE, REMOVALS
from pipeline.dedup.spans import SpanRules
from pipeline.engine.settings import setting

MOST_PERMUTATIONS = 1 << 14
"""A signature of more takes more memory than its document."""


@dataclass(frozen=True, slots=True)
class DedupSettings:
    """Flags of the stage."""

    remove_duplicates: str = setting(
        NEAR,
        "near: also those that are nearly the same; exact: those of one address, or with the same words; none",
        choices=REMOVALS,
    )
    threshold: float = setting(paper.NEAR_DUPLICATE_THRESHOLD, "remove documents at least this similar to a kept one (Jaccard)")
    shingle: str = setting("words:5", "compare runs of N words or characters", metavar="words:N|chars:N")
    recall: float = setting(paper.NEAR_DUPLICATE_RECALL, "find this share of the pairs 0.1 above the threshold", metavar="SHARE")
    bands: int = setting(0, "bands per signature: more bands find more pairs (0: as many as --recall needs)", metavar="N")
    rows: int = setting(8, "minima per band: more rows find fewer dissimilar pairs", metavar="N")
    signature_seed: int = setting(minhash.SEED, "seed of the permutations, as in datasketch")
    transitive: bool = setting(False, "keep one document per chain of similar documents, as other tools do")
    substring: int = setting(0, "cut runs of N words that an earlier document also has (0: none)", metavar="N")
    paragraphs: int = setting(0, "cut paragraphs of at least N words that an earlier document also has (0: none)", metavar="N")
    index: bool = setting(True, "write the index that a later month is compared with: about as large as the text")
    against: tuple[str, ...] = setting(
        (), "also remove documents that are in these earlier dedup folders", recorded=False, reads=index_shards, metavar="DIR"
    )

    def __post_init__(self) -> None:
        self._check_removal()
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"--threshold {self.threshold}: from 0 to 1")
        if self.bands < 0 or not 1 <= self.rows <= lsh_parameters.MAX_PERMUTATIONS:
            raise ValueError(
                f"--bands {self.bands} --rows {self.rows}: 0 or more bands, 1 to {lsh_parameters.MAX_PERMUTATIONS} rows per band"
            )
        if max(self.bands, 1) * self.rows > MOST_PERMUTATIONS:
            raise ValueError(
                f"--bands {self.bands} --rows {self.rows}: {max(self.bands, 1) * self.rows:,} permutations, at most "
                f"{MOST_PERMUTATIONS:,}; give fewer bands or rows"
            )
        if not 0 <= self.signature_seed < 1 << 32:
            raise ValueError(f"--signature-seed {self.signature_seed}: from 0 to 4,294,967,295, as in datasketch")
        if not 0.0 < self.recall < 1.0:
            raise ValueError(f"--recall {self.recall}: more than 0 and less than 1")
        if self.substring < 0 or self.paragraphs < 0:
            raise ValueError(f"--substring {self.substring} --paragraphs {self.paragraphs}: 0 or more words")
        unit, _, length = self.shingle.partition(":")
        if unit not in {"words", "chars"} or not re.fullmatch(r"[1-9]\d{0,5}", length, re.ASCII):
            raise ValueError(f"--shingle {self.shingle}: words:N or chars:N, N from 1 to 999,999")

    def _check_removal(self) -> None:
        if self.remove_duplicates not in REMOVALS:
            raise ValueError(f"--remove-duplicates {self.remove_duplicates}: one of {', '.join(REMOVALS)}")
        if self.transitive and self.remove_duplicates != NEAR:
            raise ValueError(
                f"--transitive is a rule for near duplicates, which --remove-duplicates {self.remove_duplicates} keeps; "
                "leave one of them out (--no-transitive)"
            )
        if self.remove_duplicates == NONE and self.against:
            raise ValueError(
                "--against removes documents that are in earlier months, but --remove-duplicates none removes none; "
                "leave one of them out (--against without a folder compares with none)"
            )

    @property
    def shingle_length(self) -> int:
        """Units per shingle."""
        return int(self.shingle.partition(":")[2])

    @property
    def characters(self) -> bool:
        """Whether the units are characters."""
        return self.shingle.startswith("chars:")

    @property
    def span_rules(self) -> SpanRules | None:
        """The rules that cut spans from the kept documents, or None."""
        return SpanRules(self.substring, self.paragraphs) if self.substring or self.paragraphs else None

    @property
    def bands_and_rows(self) -> tuple[int, int]:
        """The number of bands and of rows per band: as given, or as the recall needs."""
        if self.bands:
            return self.bands, self.rows
        return lsh_parameters.parameters_for_recall(self.recall, self.threshold, self.rows)
