import pickle

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from pipeline.engine.runner import Options


def test_views_are_made_once_and_share_what_is_set() -> None:
    options = Options(["--runner=FlinkRunner", "--type_check_additional=all"])
    view = options.view_as(StandardOptions)
    view.streaming = True
    assert options.view_as(StandardOptions) is view
    assert options.view_as(TypeOptions).view_as(StandardOptions).streaming
    assert options.get_all_options()["streaming"]
    assert (
        options.get_all_options()
        == PipelineOptions(["--runner=FlinkRunner", "--type_check_additional=all", "--streaming"]).get_all_options()
    )


def test_they_travel_with_what_was_set() -> None:
    options = Options(["--runner=FlinkRunner"])
    options.view_as(StandardOptions).streaming = True
    there = pickle.loads(pickle.dumps(options))
    assert there.view_as(StandardOptions).streaming
    assert there.view_as(StandardOptions).runner == "FlinkRunner"
