"""The program that the runner starts as a worker process: it passes the call to a persistent worker and waits for that to finish.

`python -I -S pipeline/engine/worker_call.py SOCKET`; see `pipeline.engine.worker_pool`.
It imports next to nothing, since it is started for every pipeline.
"""

import json
import os
import socket
import sys

VARIABLES = (
    "CONTROL_API_SERVICE_DESCRIPTOR",
    "LOGGING_API_SERVICE_DESCRIPTOR",
    "PIPELINE_OPTIONS",
    "WORKER_ID",
    "WEBTEXT_RUN_TOKEN",
)
"""Environment variables by which the runner tells a worker process what to serve.

The last is the one of `pipeline.engine.run_token`, which cannot be imported here.
"""


def call(path: str) -> int:
    """Hand the pipeline to a persistent worker. Returns 0 if the worker finished it, else 1."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        request = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        connection.sendall(json.dumps(request).encode() + b"\n")
        return 0 if connection.recv(1) else 1


if __name__ == "__main__":
    sys.exit(call(sys.argv[1]))
