"""What the runner starts in place of a worker process: hands what it was told to a standing one and waits for its end.

`python -I -S pipeline/engine/worker_call.py SOCKET`; see `pipeline.engine.worker_pool`.
Imports next to nothing: it is started for every pipeline.
"""

import json
import os
import socket
import sys

TOLD = ("CONTROL_API_SERVICE_DESCRIPTOR", "LOGGING_API_SERVICE_DESCRIPTOR", "PIPELINE_OPTIONS", "WORKER_ID")


def call(path: str) -> int:
    """0 where the standing worker ended well, else 1."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        told = {name: os.environ[name] for name in TOLD if name in os.environ}
        connection.sendall(json.dumps(told).encode() + b"\n")
        return 0 if connection.recv(1) else 1


if __name__ == "__main__":
    sys.exit(call(sys.argv[1]))
