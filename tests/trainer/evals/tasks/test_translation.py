from pathlib import Path

import pytest
from evals_stubs import LONG_CONTEXT, headline, memorizing_texts, run_task, uniform

from tokenizer.errors import InputError

WORDS = ("one", "two", "three", "four", "five", "six", "seven")


def test_translation_perfect_adversarial_and_uniform(tmp_path: Path) -> None:
    english = [f"There are {n} little cats in the old house of my aunt." for n in WORDS]
    french = [f"Il y a {n} petits chats dans la vieille maison de ma tante." for n in WORDS]
    paths = []
    for name, rows in (("newstest2014-fren-src.en.sgm", english), ("newstest2014-fren-ref.fr.sgm", french)):
        paths.append(tmp_path / name)
        segments = "".join(f'<seg id="{i}">{row}</seg>\n' for i, row in enumerate(rows, 1))
        paths[-1].write_text(f"<srcset>\n<doc>\n{segments}</doc>\n</srcset>\n")
    seed = "".join(f"{e} = {f}\n" for e, f in zip(english[:5], french[:5], strict=True))
    right = [f"{seed}{e} = {f}\n" for e, f in zip(english[5:], french[5:], strict=True)]
    result = headline(run_task("translation_en_fr", memorizing_texts(*right, memory=80, lead=False), *paths))
    assert (result.value, result.examples) == (pytest.approx(100.0), 2)
    for model in (uniform(context_tokens=LONG_CONTEXT), memorizing_texts(*right, memory=80, lead=False, sign=-1)):
        assert headline(run_task("translation_en_fr", model, *paths)).value == 0.0
    back = [f"{s}{f} = {e}\n" for s, e, f in zip([seed_fr(english, french)] * 2, english[5:], french[5:], strict=True)]
    assert headline(
        run_task("translation_fr_en", memorizing_texts(*back, memory=80, lead=False), *paths[::-1])
    ).value == pytest.approx(100.0)
    opposite = memorizing_texts(*back, memory=80, lead=False, sign=-1)
    assert headline(run_task("translation_fr_en", opposite, *paths[::-1])).value == 0.0
    paths[1].write_text("<seg>one</seg>")
    with pytest.raises(InputError, match="7 and 1 sentences"):
        run_task("translation_en_fr", uniform(), *paths)


def seed_fr(english: list[str], french: list[str]) -> str:
    return "".join(f"{f} = {e}\n" for e, f in zip(english[:5], french[:5], strict=True))
