"""The tables of the GPT-2 paper (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners") that a run is set beside."""

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
    """A row of Table 2. `parameters` is the true count of the released weights; `name` is what the paper calls the model."""

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
"""Table 2. The heads are not in the table; they are those of the released weights."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of the paper: before GPT-2 (`sota`), and of its four sizes in the order of SIZES. None where the text gives none."""

    name: str
    unit: str
    lower_is_better: bool
    sota: float | None
    sizes: tuple[float | None, float | None, float | None, float | None]
    place: str = "Table 3"


TABLE_3: Final = {
    "lambada_perplexity": Row("LAMBADA", "perplexity", True, 99.8, (35.13, 15.60, 10.87, 8.63)),
    "lambada_accuracy": Row("LAMBADA", "accuracy, %", False, 59.23, (45.99, 55.48, 60.12, 63.24)),
    "cbt_cn": Row("Children's Book Test, common nouns", "accuracy, %", False, 85.7, (87.65, 92.35, 93.45, 93.30)),
    "cbt_ne": Row("Children's Book Test, named entities", "accuracy, %", False, 82.3, (83.4, 87.1, 88.0, 89.05)),
    "wikitext2": Row("WikiText-2", "perplexity", True, 39.14, (29.41, 22.76, 19.93, 18.34)),
    "ptb": Row("Penn Treebank", "perplexity", True, 46.54, (65.85, 47.33, 40.31, 35.76)),
    "enwik8": Row("enwik8", "bits per byte", True, 0.99, (1.16, 1.01, 0.97, 0.93)),
    "text8": Row("text8", "bits per character", True, 1.08, (1.17, 1.06, 1.02, 0.98)),
    "wikitext103": Row("WikiText-103", "perplexity", True, 18.3, (37.50, 26.37, 22.05, 17.48)),
    "lm1b": Row("One Billion Word", "perplexity", True, 21.8, (75.20, 55.72, 44.575, 42.16)),
}
"""Table 3, whole. WikiText-2 and WikiText-103 share one test text: the two rows can differ by normaliser and detokeniser alone."""

_ROUGE: Final = ("ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE, mean of three")
TABLE_4: Final = {
    "Bottom-Up Sum": (41.22, 18.68, 38.34, 32.75),
    "Lede-3": (40.38, 17.66, 36.62, 31.55),
    "Seq2Seq + Attn": (31.33, 11.81, 28.83, 23.99),
    "GPT-2 TL;DR:": (29.34, 8.27, 26.58, 21.40),
    "Random-3": (28.78, 8.63, 25.52, 20.98),
    "GPT-2 no hint": (21.58, 4.03, 19.47, 15.03),
}
"""Table 4, whole: ROUGE-1, -2, -L and their mean, of summaries of CNN and Daily Mail articles."""


def _summaries() -> dict[str, Row]:
    """Rows `summaries NAME METRIC`; before GPT-2 stood Bottom-Up Sum, or the baseline itself."""
    rows = {}
    for name, prior in (("GPT-2 TL;DR:", "Bottom-Up Sum"), ("GPT-2 no hint", "Bottom-Up Sum"), ("Lede-3", "Lede-3")):
        for metric, before, value in zip(_ROUGE, TABLE_4[prior], TABLE_4[name], strict=True):
            largest = value if name.startswith("GPT-2") else None
            title = f"CNN and Daily Mail, {name.removeprefix('GPT-2 ')}"
            rows[f"summaries {name} {metric}"] = Row(title, metric, False, before, (None, None, None, largest), "Table 4")
    return rows


OTHER_TASKS: Final = {
    "lambada_unfiltered": Row(
        "LAMBADA, no stop-word filter", "accuracy, %", False, 19.0, (None, None, None, 52.66), "section 3.3"
    ),
    "winograd": Row("Winograd Schema Challenge", "accuracy, %", False, 63.7, (None, None, None, 70.70), "section 3.4"),
    "coqa": Row("CoQA", "F1, %", False, 89.0, (None, None, None, 55.0), "section 3.5"),
    "natural_questions": Row("Natural Questions", "exact match, %", False, None, (None, None, None, 4.1), "section 3.8"),
    "translation_en_fr": Row("WMT-14 English to French", "BLEU", False, None, (None, None, None, 5.0), "section 3.7"),
    "translation_fr_en": Row("WMT-14 French to English", "BLEU", False, 33.5, (None, None, None, 11.5), "section 3.7"),
    **_summaries(),
}
"""What the text and the other tables say of the largest model. CoQA's 89 is a supervised system's, French to English's 33.5 an unsupervised
one's; 19 on LAMBADA is language models' without a restriction to words of the passage."""

ROWS: Final = TABLE_3 | OTHER_TASKS
"""Every row that a result can be set beside, by the name that results carry."""
