import re
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pyarrow as pa
import pytest
from token_shards import write_token_shards

import trainer
from pipeline.extract import extract, page_from_response
from pipeline.minhash import signatures
from pipeline.records import Document, RawPage
from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.pre_tokens import pre_tokenize
from trainer.cli import main as trainer_main

DOCS = Path(__file__).parents[1] / "docs" / "library.md"
COLLECTED: dict[str, list[int]] = {}


def collect(url: str, ids: np.ndarray) -> None:
    COLLECTED[url] = ids.tolist()


def response(name: str, text: str) -> tuple[str, bytes, dict[str, str]]:
    paragraphs = "".join(f"<p>{paragraph}</p>" for paragraph in text.split("\n\n"))
    body = f"<html><body><article><h1>{name}</h1>{paragraphs}</article></body></html>"
    return f"https://docs.example/{name}", body.encode(), {"Content-Type": "text/html; charset=utf-8"}


def blocks() -> list[str]:
    """The Python of the page."""
    return re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the parts of the demo's that the page names: token shards and a run, made by the real programs."""
    folder = tmp_path_factory.mktemp("library") / "demo"
    tokens = folder / "corpus" / "tokens"
    write_token_shards(tokens, {"train": [3 * topics[name] for name in ("while", "if", "for", "try")]})
    shape = ("--layers", "1", "--heads", "2", "--width", "16", "--context", "64", "--vocabulary", "300")
    steps = ("--steps", "1", "--batch-tokens", "64", "--warmup-steps", "1", "--device", "cpu")
    data = ("--data", str(tokens), "--out", str(folder / "run"))
    assert trainer_main(["train", "tiny", *data, *shape, *steps]) == 0
    return folder


def test_the_first_lines_in_the_docs_run(demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = blocks()
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    monkeypatch.chdir(demo.parent)
    capsys.readouterr()
    _, body, _ = response("while", 3 * topics["while"])
    exec(compile(code, str(DOCS), "exec"), {"html": body})
    printed = capsys.readouterr().out
    assert "<Document " in printed
    assert "url='https://docs.example/while'" in printed
    assert 0.8 < float(re.findall(r"similarity (\S+)", printed)[0]) < 1
    assert "<Tokenizer of 400 entries" in printed
    assert len(re.findall(r"^[0-9a-f]{32} \d+ tokens$", printed, re.MULTILINE)) == 4
    assert printed.splitlines()[-1]


def test_the_pipeline_in_the_docs_goes_from_pages_to_token_ids(tmp_path: Path) -> None:
    _, code = blocks()
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


PAGE = "<html><title>Rain</title><body><p>" + "It rained all day and most of the night in the old town by the caf\u00e9. " * 4


@pytest.mark.parametrize(
    "html",
    [
        PAGE,
        PAGE.encode(),
        bytearray(PAGE.encode()),
        memoryview(PAGE.encode()),
        PAGE.replace("<title>", "<meta charset=latin1><title>"),
    ],
)
def test_a_page_may_be_text_or_bytes(html: str) -> None:
    for url in ("", "https://docs.example/rain"):
        document = extract(html, url=url)
        assert isinstance(document, Document), document
        assert (document.url, document.title, document.domain) == (url, "Rain", "docs.example" if url else "")
        assert "caf\u00e9" in document.text


def test_a_page_of_text_is_the_page_of_its_bytes() -> None:
    raw = RawPage("", PAGE.encode(), charset="utf-8")
    assert extract(raw) == extract(PAGE)
    assert len(repr(extract(PAGE))) < 200
    assert repr(RawPage("http://a.example/", b"x" * 5000)) == "<RawPage 'http://a.example/' text/html, 5,000 bytes>"


WRONG = {
    "page: a int": lambda: extract(17),
    "page: a NoneType": lambda: extract(None),
    "page: a list": lambda: extract([PAGE]),
    "url: a int": lambda: extract(PAGE, url=3),
    "ftp://a.example": lambda: extract(PAGE, url="ftp://a.example"),
    "url 'http://b.example'": lambda: extract(RawPage("http://a.example/", b""), url="http://b.example"),
    "texts: a str; give a list of str": lambda: signatures(PAGE),
    "texts: a int": lambda: signatures(3),
    "texts[1]: a bytes": lambda: signatures([PAGE, PAGE.encode()]),
    "texts: an Arrow array of int64": lambda: signatures(pa.array([1, 2])),
    "permutations 0": lambda: signatures([PAGE], permutations=0),
    "shingle -1": lambda: signatures([PAGE], shingle=-1),
    "counts: a str": lambda: train(PAGE, 300),
    "counts[0]: a int": lambda: train([3], 300),
    "text: a list": lambda: Tokenizer([]).encode([PAGE]),
    "texts: a str": lambda: Tokenizer([]).encode_batch(PAGE),
    "path: a int": lambda: trainer.load(3),
    "/nowhere": lambda: trainer.load("/nowhere"),
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_the_argument(message: str) -> None:
    with pytest.raises((TypeError, ValueError, InputError)) as raised:
        WRONG[message]()
    assert message in str(raised.value)


@pytest.mark.parametrize("kind", [list, tuple, iter, pa.array, np.array, lambda texts: pa.chunked_array([texts[:1], texts[1:]])])
def test_signatures_take_any_kind_of_list(kind: object) -> None:
    texts = [topics["while"], topics["if"], topics["while"]]
    found = signatures(kind(texts))
    assert (found[0] == found[2]).all()
    assert (found[0] != found[1]).any()
    assert np.array_equal(found, signatures(pa.array(texts)))


def test_a_tokenizer_of_texts_is_that_of_their_counts() -> None:
    texts = [topics["while"], topics["if"]]
    of_texts = train(texts, 300)
    assert of_texts.pairs == train(Counter(piece for text in texts for piece in pre_tokenize(text)), 300).pairs
    assert repr(of_texts) == f"<Tokenizer of 300 entries, sha256 {of_texts.sha256[:12]}>"


def test_a_loaded_model_tells_and_takes_long_prompts(demo: Path) -> None:
    model = trainer.load(demo / "run")
    assert "1 layers of 16, context 64, vocabulary 300>" in repr(model)
    text = topics["while"]
    assert model.sample(text, 8, seed=3) == model.sample(text, 8, seed=3)
    assert model.sample(text, 8, temperature=0) == model.sample(text[-400:], 8, temperature=0)
    for wrong in (0, 64, -1):
        with pytest.raises(ValueError, match="tokens"):
            model.sample("x", wrong)
    with pytest.raises(InputError):
        trainer.load(demo / "corpus")
