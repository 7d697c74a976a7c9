import pytest

from pipeline.overlap.settings import OverlapSettings
from tokenizer.errors import InputError


def test_missing_sets_and_sets_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="at least one evaluation file"):
        OverlapSettings().sets()
    with pytest.raises(InputError, match="two sets have one name"):
        OverlapSettings(("a/x.txt", "b/x.txt")).sets()
