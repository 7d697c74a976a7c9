"""Run in Airflow's environment: execute tasks of the DAG `webtext` with given parameters, as Airflow's task runner does.

Arguments: the DAG's folder, and a JSON file with a list of [task, parameters, month].
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time.context import set_current_context

dag = DagBag(sys.argv[1]).dags["webtext"]
for name, given, month in json.loads(Path(sys.argv[2]).read_text()):
    params = dag.params.dump()
    operator = dag.get_task(name)
    operator.op_args = [month]
    context = {"params": params | given, "dag": dag, "task": operator}
    with set_current_context(context):
        operator.execute(context)
