"""Beam's local job service, with as many workers a job as its first argument says: its own main hands that option on to nobody."""

import sys
from typing import Any

from apache_beam.runners.portability import local_job_service, local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner


class ManyWorkers(fn_runner.FnApiRunner):
    """The runner behind the service, asking its pool for several processes."""

    workers = 1

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self._num_workers = self.workers


if __name__ == "__main__":
    ManyWorkers.workers = int(sys.argv[1])
    local_job_service.fn_runner.FnApiRunner = ManyWorkers
    local_job_service_main.run(sys.argv[2:])
