from pathlib import Path

import pytest
from evals_stubs import memorizing_texts, run_task, uniform

from tokenizer.errors import InputError
from trainer.evals.tasks import winograd

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


def test_candidates_replace_the_pronoun_in_correct_spelling(schemas: Path) -> None:
    first, second = winograd.read_schemas(schemas)
    assert first.sentence(0) == "The trophy doesn't fit into the case because the trophy is too large."
    assert second.sentence(1) == "Ann asked Mary about Mary's work, of course."


def test_winograd_perfect_adversarial_and_uniform(schemas: Path) -> None:
    right = [s.sentence(s.answer) for s in winograd.read_schemas(schemas)]
    assert [r.value for r in run_task("winograd", memorizing_texts(*right, least=12), schemas)] == [100.0, 100.0]
    assert [r.value for r in run_task("winograd", memorizing_texts(*right, sign=-1), schemas)] == [0.0, 0.0]
    partial, _ = run_task("winograd", uniform(), schemas)
    assert partial.value == 0.0  # both endings cost the same, and a tie is no answer


def test_a_malformed_schema_is_rejected_with_its_number(schemas: Path) -> None:
    schemas.write_text(SCHEMAS.replace("<correctAnswer>B", "<correctAnswer>C"))
    with pytest.raises(InputError, match="schema 2: needs a pronoun, text after it, two answers, and A or B"):
        winograd.read_schemas(schemas)
    schemas.write_text("<collection>\n<schema>")
    with pytest.raises(InputError, match="line 2: not XML"):
        winograd.read_schemas(schemas)
