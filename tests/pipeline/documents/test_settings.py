import pytest

from pipeline.documents.quality import FILTERS
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.settings import DocumentsSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_characters": -1}, "--min-characters -1: at least 0"),
        ({"page_cpu_seconds": 0.0}, "--page-cpu-seconds 0.0: must be more than 0"),
        ({"page_memory_mb": 1}, "--page-memory-mb 1: at least 832"),
        ({"min_confidence": 1.1}, "--min-confidence 1.1: from 0 to 1"),
        ({"languages": ()}, "--languages: name at least one, or 'all'"),
        ({"filters": ("c5",)}, "--filters c5: not one of gopher, c4, fineweb"),
    ],
)
def test_value_out_of_range_is_refused_with_its_flag(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DocumentsSettings(**settings)


def test_default_settings_give_the_default_rules() -> None:
    assert DocumentsSettings().rules() == DEFAULT_RULES


def test_filters_run_in_the_order_of_the_registry() -> None:
    assert DocumentsSettings(filters=tuple(reversed(FILTERS))).rules().filters == tuple(FILTERS)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"extractor": "cascada"}, "extractor 'cascada': not one of blocks, cascade, trafilatura, resiliparse"),
        ({"filters": ("c5",)}, "filters c5: not one of gopher, c4, fineweb"),
    ],
)
def test_rules_with_an_unknown_name_are_refused(rules: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExtractionRules(**rules)
