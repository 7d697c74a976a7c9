"""A corpus that lives for years: random steps, and a fixed year of steps that random ones seldom take together."""

import pytest
from deduplication import document
from hypothesis import HealthCheck, settings
from month_files import text
from months import FULL, Years, after


@pytest.mark.slow
def test_a_year_that_trains_and_takes_down() -> None:
    """Steps that few random examples take together: three runs, of which the second began before a removal and a late month."""
    years = Years()
    years.start()
    try:
        for month, numbers in (("2017-02", [0, 1, 2, 3]), ("2017-03", [3, 4, 5, 9]), ("2017-04", [])):
            years.add_month(month, numbers)
        years.publish()
        years.train()
        after(years)
        years.take_down(4)
        after(years)
        years.publish()
        years.train()
        years.add_month("2017-01", [9, 12, 13])
        years.take_down(0)  # the second run and the joined set are of months that have changed since
        years.take_down(12)
        after(years)
        years.rename()
        years.publish()
        years.train()
        after(years)
        first, second, third = (run.documents for run in years.runs)
        four, twelve, thirteen = (document(text(number), "").document_id.hex() for number in (4, 12, 13))
        assert four in first - second
        assert thirteen in third - second
        assert {four, twelve}.isdisjoint(third)
    finally:
        years.teardown()


TestYears = pytest.mark.slow(Years.TestCase)
TestYears.settings = settings(
    max_examples=30 if FULL else 6,
    stateful_step_count=20 if FULL else 12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
