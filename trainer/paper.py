"""Constants and results of the GPT-2 paper (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners")."""

from dataclasses import dataclass
from typing import Final

VOCABULARY_TOKENS: Final = 50_257
"""Section 2.3: "The vocabulary is expanded to 50,257"."""

CONTEXT_TOKENS: Final = 1024
"""Section 2.3: "We also increase the context size from 512 to 1024 tokens"."""

BATCH_SEQUENCES: Final = 512
"""Section 2.3: "a larger batchsize of 512 is used"."""


@dataclass(frozen=True, slots=True)
class Size:
    """Row of Table 2. `parameters` is the actual count of the released weights, `name` the paper's name for the model."""

    name: str
    layers: int
    width: int
    heads: int
    parameters: int


SIZES: Final = (
    Size("117M", 12, 768, 12, 124_439_808),
    Size("345M", 24, 1024, 16, 354_823_168),
    Size("762M", 36, 1280, 20, 774_030_080),
    Size("1542M", 48, 1600, 25, 1_557_611_200),
)
"""Table 2. The number of heads is not in the table; it comes from the released weights."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A result in the paper: the state of the art before GPT-2, and GPT-2's sizes in the order of SIZES. None if not reported."""

    name: str
    unit: str
    lower_is_better: bool
    sota: float | None
    sizes: tuple[float | None, float | None, float | None, float | None]
    source: str = "Table 3"


TABLE_3: Final = {
    "lambada_perplexity": PaperRow("LAMBADA", "perplexity", True, 99.8, (35.13, 15.60, 10.87, 8.63)),
    "lambada_accuracy": PaperRow("LAMBADA", "accuracy, %", False, 59.23, (45.99, 55.48, 60.12, 63.24)),
    "cbt_cn": PaperRow("Children's Book Test, common nouns", "accuracy, %", False, 85.7, (87.65, 92.35, 93.45, 93.30)),
    "cbt_ne": PaperRow("Children's Book Test, named entities", "accuracy, %", False, 82.3, (83.4, 87.1, 88.0, 89.05)),
    "wikitext2": PaperRow("WikiText-2", "perplexity", True, 39.14, (29.41, 22.76, 19.93, 18.34)),
    "ptb": PaperRow("Penn Treebank", "perplexity", True, 46.54, (65.85, 47.33, 40.31, 35.76)),
    "enwik8": PaperRow("enwik8", "bits per byte", True, 0.99, (1.16, 1.01, 0.97, 0.93)),
    "text8": PaperRow("text8", "bits per character", True, 1.08, (1.17, 1.06, 1.02, 0.98)),
    "wikitext103": PaperRow("WikiText-103", "perplexity", True, 18.3, (37.50, 26.37, 22.05, 17.48)),
    "lm1b": PaperRow("One Billion Word", "perplexity", True, 21.8, (75.20, 55.72, 44.575, 42.16)),
}
"""Table 3, complete. WikiText-2 and WikiText-103 share one test text: only normalizer and detokenizer make the rows differ."""

_ROUGE: Final = ("ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE, mean of three")
TABLE_4: Final = {
    "Bottom-Up Sum": (41.22, 18.68, 38.34, 32.75),
    "Lede-3": (40.38, 17.66, 36.62, 31.55),
    "Seq2Seq + Attn": (31.33, 11.81, 28.83, 23.99),
    "GPT-2 TL;DR:": (29.34, 8.27, 26.58, 21.40),
    "Random-3": (28.78, 8.63, 25.52, 20.98),
    "GPT-2 no hint": (21.58, 4.03, 19.47, 15.03),
}
"""Table 4, complete: ROUGE-1, ROUGE-2, ROUGE-L and their mean for summaries of CNN and Daily Mail articles."""


def _summaries() -> dict[str, PaperRow]:
    """Rows `summaries NAME METRIC`. The state of the art before GPT-2 is Bottom-Up Sum; the Lede-3 rows list Lede-3 itself."""
    rows = {}
    for name, prior in (("GPT-2 TL;DR:", "Bottom-Up Sum"), ("GPT-2 no hint", "Bottom-Up Sum"), ("Lede-3", "Lede-3")):
        for metric, before, value in zip(_ROUGE, TABLE_4[prior], TABLE_4[name], strict=True):
            largest = value if name.startswith("GPT-2") else None
            title = f"CNN and Daily Mail, {name.removeprefix('GPT-2 ')}"
            rows[f"summaries {name} {metric}"] = PaperRow(title, metric, False, before, (None, None, None, largest), "Table 4")
    return rows


OTHER_TASKS: Final = {
    "lambada_unfiltered": PaperRow(
        "LAMBADA, no stop-word filter", "accuracy, %", False, 19.0, (None, None, None, 52.66), "section 3.3"
    ),
    "winograd": PaperRow("Winograd Schema Challenge", "accuracy, %", False, 63.7, (None, None, None, 70.70), "section 3.4"),
    "coqa": PaperRow("CoQA", "F1, %", False, 89.0, (None, None, None, 55.0), "section 3.5"),
    "natural_questions": PaperRow("Natural Questions", "exact match, %", False, None, (None, None, None, 4.1), "section 3.8"),
    "translation_en_fr": PaperRow("WMT-14 English to French", "BLEU", False, None, (None, None, None, 5.0), "section 3.7"),
    "translation_fr_en": PaperRow("WMT-14 French to English", "BLEU", False, 33.5, (None, None, None, 11.5), "section 3.7"),
    **_summaries(),
}
"""Results of the largest model from the text and the other tables. The state of the art is a supervised system's for CoQA (89),
an unsupervised one's for French to English (33.5), and for LAMBADA (19) language models' without a restriction to words of the
passage."""

ROWS: Final = TABLE_3 | OTHER_TASKS
"""All rows for comparison with our results, by the name in `Result.row`."""
