"""The Beam stages of one month by Airflow's Beam operator, for an Airflow with the Apache Beam and Google providers.

The operator cannot be imported without the Google provider, so this DAG exists only if that is installed. It starts the same
commands as the DAG `webtext`. A stage is several short pipelines, and on Dataflow the operator would stop waiting at the id of
the first job. So the operator gets the local runner, and the options name the real one: of two --runner flags the last counts.
"""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

from airflow.sdk import Asset, Param, dag

CORPUS = Asset("webtext_beam_corpus")
PATIENT = {"retries": 3, "retry_delay": timedelta(minutes=1), "retry_exponential_backoff": True}
PARAMS = {
    "dump": Param("/data/reddit/RS_2017-12.zst", type="string", minLength=1, description="a dump of submissions"),
    "corpus": Param("/data/webtext/2017-12", type="string", minLength=1, description="corpus folder; gs:// for Dataflow"),
    "python": Param("python", type="string", minLength=1, description="interpreter that webtext is installed for"),
    "created_before": Param("none", type="string", description="only submissions before this day (the paper: 2018-01-01)"),
    "against": Param([], type="array", items={"type": "string"}, description="dedup folders of earlier months"),
    "runner": Param("FnApiRunner", type="string", minLength=1, description="Beam runner, such as DataflowRunner"),
    "options": Param({}, type="object", description="Beam's own options: project, region, temp_location, machine_type …"),
    "pages_options": Param({}, type="object", description="more options of the crawl: contact, fetch_from …"),
    "vocabulary_options": Param({}, type="object", description="more options of the vocabulary"),
}
STAGES: dict[str, dict[str, Any]] = {
    "links": {"submissions": "{{ params.dump }}", "created_before": "{{ params.created_before }}"},
    "pages": {},
    "documents": {},
    "dedup": {},
    "vocabulary": {},
    "tokens": {},
}
"""Stages in the order of the data, with their options from the parameters."""

if find_spec("airflow.providers") and find_spec("airflow.providers.apache") and find_spec("airflow.providers.google"):
    from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator

    class StageOperator(BeamRunPythonPipelineOperator):  # type: ignore[misc]
        """Runs `webtext STAGE`. Its flags are pipeline options; the run's parameters add Beam's."""

        template_fields = (*BeamRunPythonPipelineOperator.template_fields, "py_interpreter")

        def execute(self, context: Any) -> Any:
            """Merge the options and start the stage."""
            params = context["params"]
            more = params.get(f"{self.py_file}_options", {}) | ({"against": params["against"]} if self.py_file == "dedup" else {})
            self.pipeline_options = {**self.pipeline_options, **params["options"], **more, "runner": params["runner"]}
            return super().execute(context)

    @dag(
        schedule=None,
        start_date=datetime(2005, 6, 1, tzinfo=UTC),
        max_active_runs=1,
        default_args=PATIENT,
        params=PARAMS,
        tags=["webtext", "beam"],
        doc_md=__doc__,
    )
    def webtext_beam() -> None:
        """Run the stages one after another."""
        before = None
        for name, options in STAGES.items():
            stage = StageOperator(
                task_id=name,
                runner="FnApiRunner",
                py_file=name,
                py_options=["-m", "pipeline"],
                py_interpreter="{{ params.python }}",
                pipeline_options={"corpus": "{{ params.corpus }}", **options},
                pool="webtext_fetch" if name == "pages" else "default_pool",
                outlets=[CORPUS] if name == "tokens" else [],
            )
            if before is not None:
                before >> stage
            before = stage

    webtext_beam()
