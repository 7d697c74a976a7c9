"""Every task against models that know everything, nothing, or the opposite, with scores computed by hand."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from evals_stubs import SURE, Bytes, Stub, Words, knowing, uniform

from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.registry import TASKS, where
from trainer.evals.results import Result
from trainer.evals.tasks import lambada, winograd
from trainer.evals.tasks.childrens_books import read_questions
from trainer.evals.tasks.coqa import read_turns

LONG = 1 << 14
WORDS = ("one", "two", "three", "four", "five", "six", "seven")


def examine(task: str, model: Stub, *paths: Path, codec: Bytes | Words | None = None, **options: object) -> list[Result]:
    candidate = Candidate(model, codec or Bytes(), **options)  # type: ignore[arg-type]
    return TASKS[task].run(candidate, list(paths))


def headline(results: list[Result]) -> Result:
    (found,) = [result for result in results if result.row is not None]
    return found


def value(results: list[Result], part: str, metric: str = "accuracy, %") -> float:
    (found,) = [result for result in results if part in result.protocol and result.metric == metric]
    return found.value


def knows(*texts: str, sign: float = 1.0, lead: bool = True, memory: int = 24, least: int = 1) -> Stub:
    rows = [[*([256] if lead else []), *text.encode(), 256] for text in texts]
    return knowing(rows, memory=memory, sign=sign, least=least, context_tokens=LONG)


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


# LAMBADA


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    return write(tmp_path / "lambada_test.jsonl", {"text": "he gave her the ring"}, {"text": "they went to the sea"})


def ranking(codec: Words, words: Sequence[str]) -> Stub:
    """Always thinks the words likely in this order, 0.5 nats apart, on a vocabulary of 400."""
    ids = [codec.encode(f" {word}")[0] for word in words]
    return Stub(lambda _seen: {i: SURE - place / 2 for place, i in enumerate(ids)}, vocabulary=400)


def test_lambada_by_hand(passages: Path) -> None:
    codec = Words()
    results = examine("lambada", ranking(codec, ["the", "ring", "sea"]), passages, codec=codec)
    for unit in ("last word", "last token"):
        assert value(results, f"{unit}, greedy, stop-word filter off") == 0.0
        assert value(results, f"{unit}, greedy, stop-word filter on") == 50.0
    total = 1 + math.exp(-0.5) + math.exp(-1)
    assert value(results, "of the last word", "perplexity") == pytest.approx(total * math.exp(0.75), rel=1e-5)


def test_the_last_token_can_be_right_where_the_word_is_not(passages: Path) -> None:
    results = examine("lambada", knows("he gave her the sing", "they went to the sea", lead=False), passages)
    assert value(results, "last word, greedy, stop-word filter off") == 50.0
    assert value(results, "last token, greedy, stop-word filter off") == 100.0


def test_lambada_perfect_and_adversarial(passages: Path) -> None:
    texts = ["he gave her the ring", "they went to the sea"]
    assert [r.value for r in examine("lambada", knows(*texts, lead=False), passages)] == pytest.approx([100] * 4 + [1.0] * 2)
    bad = examine("lambada", knows(*texts, lead=False, sign=-1), passages)
    assert [r.value for r in bad[:4]] == [0.0] * 4
    assert bad[4].value > 1e40


def test_lambada_reads_the_word_with_its_space(passages: Path) -> None:
    asked = lambada.last_word_request(Candidate(uniform(), Bytes()), "he gave her the ring")
    assert bytes(list(asked.tokens)[asked.first :]) == b" ring"


# Children's Book Test

STORY = [f"Sentence {i} is of Mary and the {w} ." for i, w in enumerate(["cat", "dog"] * 10, 1)]
QUERY = "Then the XXXXX did n't answer ` me . '"


@pytest.fixture
def question(tmp_path: Path) -> Path:
    lines = [f"{i} {sentence}" for i, sentence in enumerate(STORY, 1)]
    path = tmp_path / "cbtest_CN_valid_2000ex.txt"
    path.write_text("\n".join([*lines, f"21 {QUERY}\tdog\t\tcat|dog|Mary"]) + "\n\n")
    return path


@pytest.mark.parametrize("task", ["cbt_cn", "cbt_ne"])
def test_childrens_books_perfect_and_adversarial(task: str, question: Path) -> None:
    written = " ".join(line.replace(" .", ".") for line in STORY) + " Then the dog didn't answer 'me.'"
    results = examine(task, knows(written), question)
    assert headline(results).value == 100.0
    assert headline(results).detokeniser.startswith("cbt, invertible")
    assert headline(examine(task, knows(written, sign=-1), question)).value == 0.0
    raw = " ".join(STORY) + f" {QUERY.replace('XXXXX', 'dog')}"
    assert [r.value for r in examine(task, knows(raw), question)][1] == 100.0


def test_a_model_that_knows_nothing_takes_the_shortest_or_none(question: Path) -> None:
    assert [r.value for r in examine("cbt_cn", uniform(context_tokens=LONG), question)] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 a\n3 b\n", "line 2: expected sentence 2, not '3'"),
        ("1 a\n2 b\n", "ends in the middle of a story, after sentence 2"),
        ("".join(f"{i} a\n" for i in range(1, 21)) + "21 no blank\tx\t\tx|y\n", "line 21: expected 'sentence with XXXXX"),
    ],
)
def test_malformed_books_get_one_line(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "books.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=line):
        list(read_questions(path))


# Winograd

SCHEMAS = """<collection>
<schema><text><txt1>The trophy doesn't fit into the case because</txt1><pron> it </pron><txt2> is too large.</txt2></text>
<answers><answer>The trophy </answer><answer>the case</answer></answers><correctAnswer> A. </correctAnswer></schema>
<schema><text><txt1>Ann asked Mary about</txt1><pron>her</pron><txt2>work, of course.</txt2></text>
<answers><answer>Ann</answer><answer>Mary</answer></answers><correctAnswer>B</correctAnswer></schema>
</collection>"""


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    path = tmp_path / "WSCollection.xml"
    path.write_text(SCHEMAS)
    return path


def test_winograd_substitutes_as_it_would_be_written(schemas: Path) -> None:
    first, second = winograd.read_schemas(schemas)
    assert first.sentence(0) == "The trophy doesn't fit into the case because the trophy is too large."
    assert second.sentence(1) == "Ann asked Mary about Mary's work, of course."


def test_winograd_perfect_adversarial_and_ignorant(schemas: Path) -> None:
    right = [s.sentence(s.answer) for s in winograd.read_schemas(schemas)]
    assert [r.value for r in examine("winograd", knows(*right, least=12), schemas)] == [100.0, 100.0]
    assert [r.value for r in examine("winograd", knows(*right, sign=-1), schemas)] == [0.0, 0.0]
    partial, _ = examine("winograd", uniform(), schemas)
    assert partial.value == 0.0  # both endings cost the same: a tie is no answer


def test_winograd_names_the_schema_that_is_malformed(schemas: Path) -> None:
    schemas.write_text(SCHEMAS.replace("<correctAnswer>B", "<correctAnswer>C"))
    with pytest.raises(InputError, match="schema 2: needs a pronoun, two answers, and A or B"):
        winograd.read_schemas(schemas)
    schemas.write_text("<collection>\n<schema>")
    with pytest.raises(InputError, match="line 2: not XML"):
        winograd.read_schemas(schemas)


# Perplexity

TOKENISED = " \n = Robert Boulter = \n \n He was born in 1970 , in a well @-@ known house . \n"
WRITTEN = "\n= Robert Boulter =\n\nHe was born in 1970, in a well-known house.\n"


@pytest.fixture
def tokenised(tmp_path: Path) -> Path:
    path = tmp_path / "wiki.test.tokens"
    path.write_text(TOKENISED)
    return path


def test_perplexities_by_hand(tokenised: Path) -> None:
    results = examine("wikitext2", uniform(), tokenised, strides=(1024,))
    words = len(TOKENISED.split())
    assert words == 17
    nats = len(WRITTEN.encode()) * math.log(257)
    found = {r.normaliser: r.value for r in results if r.detokeniser != "none"}
    assert found["BPE token"] == pytest.approx(257)
    assert found["word of the original"] == pytest.approx(math.exp(nats / 17), rel=1e-5)
    assert found["word or line end of the original"] == pytest.approx(math.exp(nats / 21), rel=1e-5)
    raw = {r.normaliser: r.value for r in results if r.detokeniser == "none"}
    assert raw["word of the original"] == pytest.approx(math.exp(len(TOKENISED) * math.log(257) / 17), rel=1e-5)


@pytest.mark.parametrize("task", ["wikitext2", "wikitext103"])
def test_perplexity_perfect_and_adversarial(task: str, tokenised: Path) -> None:
    assert headline(examine(task, knows(WRITTEN), tokenised)).value == pytest.approx(1.0)
    assert headline(examine(task, knows(WRITTEN, sign=-1), tokenised)).value > 1e30


@pytest.mark.parametrize(
    ("task", "text", "written"),
    [
        ("ptb", " no it was n't black monday \n but N % of $ N \n", "no it wasn't black monday\nbut N% of $N\n"),
        ("lm1b", 'He said , " no " .\nIt \'s ( not ) so .\n', 'He said, "no".\nIt\'s (not) so.\n'),
    ],
)
def test_the_other_texts_perfect_and_adversarial(task: str, text: str, written: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(text)
    assert headline(examine(task, knows(written), path)).value == pytest.approx(1.0)
    assert headline(examine(task, knows(written, sign=-1), path)).value > 1e30
    units = len(text.split()) + text.count("\n")
    by_hand = math.exp(len(written) * math.log(257) / units)
    assert headline(examine(task, uniform(), path)).value == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("task", ["enwik8", "text8"])
def test_bits_by_hand(task: str, tmp_path: Path) -> None:
    path = tmp_path / task
    path.write_text("the caf\N{LATIN SMALL LETTER E WITH ACUTE} of anarchism")
    assert headline(examine(task, uniform(), path)).value == pytest.approx(math.log2(257))
    assert headline(examine(task, knows(path.read_text()), path)).value == pytest.approx(0.0, abs=1e-9)
    assert headline(examine(task, knows(path.read_text(), sign=-1), path)).value > 100


# Questions, conversations, summaries, translations


def test_natural_questions_by_hand(tmp_path: Path) -> None:
    pairs = [(f"what is {i}", [f"the {word}", word.upper()]) for i, word in enumerate(WORDS)]
    path = write(tmp_path / "NQ-open.dev.jsonl", *({"question": q, "answer": a} for q, a in pairs))
    seed = "".join(f"Q: {q}?\nA: {a[0]}\n\n" for q, a in pairs[:5])
    right = [f"{seed}Q: what is 5?\nA: Six.\n", f"{seed}Q: what is 6?\nA: The seven\n"]
    wrong = [right[0], f"{seed}Q: what is 6?\nA: not seven\n"]
    assert headline(examine("natural_questions", knows(*right, memory=400), path)).value == 100.0
    assert headline(examine("natural_questions", knows(*wrong, memory=400), path)).value == 50.0
    assert headline(examine("natural_questions", knows(*right, memory=400, sign=-1), path)).value == 0.0


def test_coqa_by_hand(tmp_path: Path) -> None:
    story = {
        "story": "Cotton was a little white kitten.",
        "questions": [{"input_text": "What was Cotton?"}, {"input_text": "Which colour?"}],
        "answers": [{"input_text": "a white kitten"}, {"input_text": "white"}],
    }
    path = tmp_path / "coqa-dev-v1.0.json"
    path.write_text(json.dumps({"data": [story]}))
    first, second = [turn.prompt for turn in read_turns(path)]
    assert second == f"{first} a white kitten\nQ: Which colour?\nA:"
    perfect = knows(f"{first} the white kitten\n", f"{second} White.\n", memory=200)
    assert headline(examine("coqa", perfect, path)).value == 100.0
    opposite = knows(f"{first} the white kitten\n", f"{second} White.\n", memory=200, sign=-1)
    assert headline(examine("coqa", opposite, path)).value == 0.0
    half = knows(f"{first} a big white kitten indeed\n", f"{second} black\n", memory=200)  # 2·2/(4+2) and 0
    assert headline(examine("coqa", half, path)).value == pytest.approx(100 / 3)
    assert headline(examine("coqa", uniform(context_tokens=LONG), path)).value == 0.0


def test_summaries_by_hand(tmp_path: Path) -> None:
    article, truth = "A cat sat. It ran off. We saw it. Nobody minded.", "The cat ran. We saw."
    path = write(tmp_path / "cnn_dailymail_test.jsonl", {"article": article, "highlights": truth})
    perfect = examine("summaries", knows(f"{article}\nTL;DR: {truth} ", memory=200, lead=False), path)
    with_hint = {r.metric: r.value for r in perfect if r.protocol.startswith("after")}
    assert with_hint == pytest.approx({"ROUGE-1": 100, "ROUGE-2": 100, "ROUGE-L": 100, "ROUGE, mean of three": 100})
    lead = {r.metric: r.value for r in perfect if r.protocol.startswith("no model")}
    # said: a cat sat it ran off we saw it (9); meant: the cat ran we saw (5); common: cat, ran, we, saw; bigram: we saw
    assert lead["ROUGE-1"] == pytest.approx(100 * 2 * 4 / 14)
    assert lead["ROUGE-2"] == pytest.approx(100 * 2 * 1 / 12)
    assert lead["ROUGE-L"] == pytest.approx(100 * 2 * 4 / 14)
    opposite = knows(f"{article}\nTL;DR: {truth} ", memory=200, lead=False, sign=-1)
    for model in (uniform(context_tokens=LONG), opposite):
        assert {r.value for r in examine("summaries", model, path)[:4]} == {0.0}


def test_translation_perfect_adversarial_and_ignorant(tmp_path: Path) -> None:
    english = [f"There are {n} little cats in the old house of my aunt." for n in WORDS]
    french = [f"Il y a {n} petits chats dans la vieille maison de ma tante." for n in WORDS]
    paths = []
    for name, rows in (("newstest2014-fren-src.en.sgm", english), ("newstest2014-fren-ref.fr.sgm", french)):
        paths.append(tmp_path / name)
        segments = "".join(f'<seg id="{i}">{row}</seg>\n' for i, row in enumerate(rows, 1))
        paths[-1].write_text(f"<srcset>\n<doc>\n{segments}</doc>\n</srcset>\n")
    seed = "".join(f"{e} = {f}\n" for e, f in zip(english[:5], french[:5], strict=True))
    right = [f"{seed}{e} = {f}\n" for e, f in zip(english[5:], french[5:], strict=True)]
    found = headline(examine("translation_en_fr", knows(*right, memory=80, lead=False), *paths))
    assert (found.value, found.examples) == (pytest.approx(100.0), 2)
    for model in (uniform(context_tokens=LONG), knows(*right, memory=80, lead=False, sign=-1)):
        assert headline(examine("translation_en_fr", model, *paths)).value == 0.0
    back = [f"{s}{f} = {e}\n" for s, e, f in zip([seed_fr(english, french)] * 2, english[5:], french[5:], strict=True)]
    assert headline(examine("translation_fr_en", knows(*back, memory=80, lead=False), *paths[::-1])).value == pytest.approx(100.0)
    opposite = knows(*back, memory=80, lead=False, sign=-1)
    assert headline(examine("translation_fr_en", opposite, *paths[::-1])).value == 0.0
    paths[1].write_text("<seg>one</seg>")
    with pytest.raises(InputError, match="7 and 1 sentences"):
        examine("translation_en_fr", uniform(), *paths)


def seed_fr(english: list[str], french: list[str]) -> str:
    return "".join(f"{f} = {e}\n" for e, f in zip(english[:5], french[:5], strict=True))


def test_hellaswag_by_hand(tmp_path: Path) -> None:
    record = {"activity_label": "Baking", "ctx_a": "She mixes.", "ctx_b": "then she", "label": 1}
    path = write(tmp_path / "hellaswag_val.jsonl", record | {"endings": ["cries.", "bakes the cake [step].", "runs out.", "is"]})
    right = "Baking: She mixes. Then she bakes the cake ."
    assert [r.value for r in examine("hellaswag", knows(right, lead=False), path)] == [100.0] * 3
    assert [r.value for r in examine("hellaswag", knows(right, lead=False, sign=-1), path)] == [0.0] * 3
    write(path, record | {"endings": ["cries.", "bakes.", "runs out.", "is"], "label": ""})
    with pytest.raises(InputError, match="line 1: no label"):
        examine("hellaswag", uniform(), path)


# Files


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'{"text": "a b"}\n{"text": \n', "line 2: not JSON"),
        (b'{"text": "a b"}\n{"txt": "a"}\n', r"line 2: a record needs 'text' \(text\)"),
        (b'{"text": "a b"}\n\xff\xfe\n', "line 2: not UTF-8"),
        (b"\n", "empty"),
    ],
)
def test_malformed_lines_are_named(data: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "lambada_test.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=line):
        examine("lambada", uniform(), path)


def test_every_task_says_where_its_files_are_published() -> None:
    text = where()
    for task in TASKS.values():
        assert task.name in text
        for source in task.files:
            assert source.address in text
    assert "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226" in text


def test_real_files_are_read_whole(shared_data: Path) -> None:
    folder = shared_data / "evals"
    quick = {"codec": Bytes(), "limit": 3}
    expected = {"lambada": 3, "winograd": 3, "cbt_cn": 1, "cbt_ne": 1, "natural_questions": 3, "coqa": 3}
    for name, examples in expected.items():
        paths = TASKS[name].locate([folder], LONG)
        assert not isinstance(paths, str), name
        found = examine(name, uniform(context_tokens=LONG), *paths, **quick)  # type: ignore[arg-type]
        assert {result.examples for result in found} == {examples}, name
    assert len(winograd.read_schemas(folder / "WSCollection285.xml")) == 285
    answers = [schema.answer for schema in winograd.read_schemas(folder / "WSCollection285.xml")]
    assert 0.4 < sum(answers) / 285 < 0.6
