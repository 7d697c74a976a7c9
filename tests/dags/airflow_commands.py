"""Run in Airflow's environment: commands of `airflow`, each a line of stdin with its words in JSON, in one process.

Airflow takes seconds to import, so several commands share it. After a command's output comes a line of its own: the first argument of
this program, and the exit code.
"""

import json
import os
import sys

from airflow.cli import cli_parser

commands = os.fdopen(os.dup(0))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # no program that a task starts reads a command
for line in commands:
    code = 0
    try:
        given = cli_parser.get_parser().parse_args(json.loads(line))
        given.func(given)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    sys.stderr.flush()
    print(f"\n{sys.argv[1]} {code}", flush=True)
