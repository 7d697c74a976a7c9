"""The input of benchmarks/evaluation.py: files that both sides read, and descriptions of the harness's tasks for them."""

import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from trainer.evals.registry import TASKS
from trainer.evals.text.detokenizers import WIKITEXT, Detokenizer

LONG = 1 << 20
HEADER = "task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {path}}}}}\ntest_split: test\n"
LAMBADA = """output_type: loglikelihood
doc_to_text: "{{text.split(' ')[:-1]|join(' ')}}"
doc_to_target: "{{' '+text.split(' ')[-1]}}"
metric_list: [{metric: perplexity, aggregation: perplexity, higher_is_better: false}, {metric: acc}]
"""
WSC = """output_type: multiple_choice
doc_to_text: label
target_delimiter: ""
process_docs: !function wsc.process_doc
doc_to_target: "{% set index = pronoun_loc + pronoun | length %}{{text[index:]}}"
doc_to_choice: "{% set template = text[:pronoun_loc] %}{{[template+options[0], template+options[1]]}}"
metric_list: [{metric: acc}]
"""
WIKITEXT_PAGE = """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{page}}"
process_results: !function wiki.process_results
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
"""
WIKITEXT_CODE = """
def process_results(doc, results):
    (loglikelihood,) = results
    return {"word_perplexity": (loglikelihood, doc["words"]), "byte_perplexity": (loglikelihood, doc["bytes"]),
            "bits_per_byte": (loglikelihood, doc["bytes"])}
"""
ENDINGS = """output_type: multiple_choice
process_docs: !function hellaswag.process_docs
doc_to_text: "{{query}}"
doc_to_target: "{{label}}"
doc_to_choice: choices
metric_list: [{metric: acc}, {metric: acc_norm}]
"""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of both sides. `page` is the detokenised WikiText, `tasks` the folder of the harness's descriptions."""

    lambada: Path
    winograd: Path
    wikitext: Path
    endings: Path
    tasks: Path
    page: str


def prepare(folder: Path, data: Path, passages: int, lines: int, context_words: int) -> Files:
    """Write `passages` of LAMBADA, all 273 schemas, `lines` of WikiText-2, and choices among the endings of passages."""
    lambada, winograd, wikitext = (TASKS[name].locate([data], LONG)[0] for name in ("lambada", "winograd", "wikitext2"))
    assert isinstance(lambada, Path)
    records = [json.loads(line) for line in lambada.read_text().splitlines()[:passages]]
    tasks = folder / "tasks"
    tasks.mkdir()
    text = "".join(f"{line}\n" for line in Path(wikitext).read_text().split("\n")[:lines])
    page = Detokenizer.of_text(WIKITEXT, text).join_text(text)
    words = len(text.split())
    docs = {
        "lambada": (LAMBADA, records),
        "wsc": (WSC, harness_schemas(Path(winograd))[:273]),
        "wiki_written": (WIKITEXT_PAGE, [{"page": page, "words": words, "bytes": len(page.encode())}]),
        "wiki_raw": (WIKITEXT_PAGE, [{"page": text, "words": words, "bytes": len(text.encode())}]),
        "endings": (ENDINGS, choices(records, context_words)),
    }
    for name, (template, rows) in docs.items():
        path = write(folder / f"{name}.jsonl", rows)
        (tasks / f"{name}.yaml").write_text(HEADER.format(name=f"our_{name}", path=path) + template)
    (tasks / "wiki.py").write_text(WIKITEXT_CODE)
    (folder / "wiki.test.tokens").write_text(text)
    return Files(folder / "lambada.jsonl", Path(winograd), folder / "wiki.test.tokens", folder / "endings.jsonl", tasks, page)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def choices(records: list[dict[str, str]], context_words: int) -> list[dict[str, Any]]:
    """Make questions in HellaSwag's format from LAMBADA's passages: which of four endings of eight words continues the context?

    HellaSwag's own file is not available. A context with its endings must fit the model's context: otherwise the harness cuts each
    candidate separately, while ours cuts all candidates of a question alike.
    """
    rng = random.Random(1)
    parts = [record["text"].rsplit(" ", 8) for record in records]
    questions = []
    for number, (before, *ending) in enumerate(parts):
        context = " ".join(before.split(" ")[-context_words:])
        others = rng.sample([p for i, p in enumerate(parts) if i != number], 3)
        endings = [" ".join(words) for words in (ending, *(other[1:] for other in others))]
        order = rng.sample(range(4), 4)
        label = order.index(0)
        questions.append(
            {"activity_label": "Story", "ctx_a": context, "ctx_b": "", "endings": [endings[i] for i in order], "label": label}
        )
    return questions


def harness_schemas(path: Path) -> list[dict[str, Any]]:
    """Convert the collection to the format of the harness's public dataset."""
    docs = []
    for node in ElementTree.parse(path).getroot().iter("schema"):
        before, pronoun, after = (" ".join((node.findtext(f"text/{tag}") or "").split()) for tag in ("txt1", "pron", "txt2"))
        text = f"{before} {pronoun}" + (after if after[:1] in tuple(".,;:!?'") else f" {after}")
        options = [" ".join((answer.text or "").split()) for answer in node.iterfind("answers/answer")]
        label = "AB".index((node.findtext("correctAnswer") or "").strip()[0])
        docs.append({"text": text, "pronoun": pronoun, "pronoun_loc": len(before) + 1, "options": options, "label": label})
    return docs


def copy_harness_code(python: Path, tasks: Path) -> None:
    """Copy the harness's own code that prepares schemas and endings, from its installation."""
    code = "import importlib.util; print(importlib.util.find_spec('lm_eval').submodule_search_locations[0])"
    folder = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    for name, theirs in (("wsc", "wsc273"), ("hellaswag", "hellaswag")):
        (tasks / f"{name}.py").write_text((folder / "tasks" / theirs / "utils.py").read_text())
