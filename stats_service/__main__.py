"""Runs stats_service: `python -m stats_service --help`."""

import os
import sys

from service_kit.grpc_variables import set_grpc_variables

set_grpc_variables(os.environ)  # before anything loads gRPC

from service_kit.lifecycle import run_service
from stats_service.app import running
from stats_service.settings import Settings


def main() -> None:
    run_service(
        program="stats_service",
        settings_type=Settings,
        running=running,
        arguments=sys.argv[1:],
        environment=os.environ,
    )


if __name__ == "__main__":
    main()
