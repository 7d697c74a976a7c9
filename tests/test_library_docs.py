import re
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from pipeline.extract import extract, page_from_response
from pipeline.records import Document
from tokenizer.bpe import train
from tokenizer.pre_tokens import pre_tokenize

DOCS = Path(__file__).parents[1] / "docs" / "library.md"
COLLECTED: dict[str, list[int]] = {}


def collect(url: str, ids: np.ndarray) -> None:
    COLLECTED[url] = ids.tolist()


def response(name: str, text: str) -> tuple[str, bytes, dict[str, str]]:
    paragraphs = "".join(f"<p>{paragraph}</p>" for paragraph in text.split("\n\n"))
    body = f"<html><body><article><h1>{name}</h1>{paragraphs}</article></body></html>"
    return f"https://docs.example/{name}", body.encode(), {"Content-Type": "text/html; charset=utf-8"}


def test_the_pipeline_in_the_docs_goes_from_pages_to_token_ids(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    vocabulary = train(Counter(pre_tokenize("".join(topics[name] for name in sorted(topics)))), 400)
    vocabulary.save(tmp_path)
    responses = [
        response("while", 3 * topics["while"]),
        response("while-again", 3 * topics["while"] + " Copied."),
        response("if", 5 * topics["if"]),
        response("short", "Too short."),
    ]
    COLLECTED.clear()
    exec(compile(code, str(DOCS), "exec"), {"responses": responses, "tokenizer": str(tmp_path), "collect": collect})
    documents = {url: extract(page_from_response(url, body, headers)) for url, body, headers in responses}
    assert len(COLLECTED) == 2
    assert "https://docs.example/if" in COLLECTED
    for url, ids in COLLECTED.items():
        document = documents[url]
        assert isinstance(document, Document)
        assert ids == [*vocabulary.encode(document.text), vocabulary.eot_id]
