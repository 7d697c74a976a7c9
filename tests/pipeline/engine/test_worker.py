import inspect

from apache_beam.runners.worker.statesampler import StateSampler

from pipeline.engine.runner import Engine
from pipeline.engine.worker import SAMPLE_INTERVAL_MS


def test_beam_samples_bundles_often_enough_to_end_them_promptly() -> None:
    Engine().pipeline(1)
    assert inspect.signature(StateSampler).parameters["sampling_period_ms"].default == SAMPLE_INTERVAL_MS
