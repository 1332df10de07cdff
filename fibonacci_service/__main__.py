"""Runs fibonacci_service: `python -m fibonacci_service --help`."""

import os
import sys

from service_kit.grpc_variables import set_grpc_variables

set_grpc_variables(os.environ)  # before anything loads gRPC

from fibonacci_service.app import running
from fibonacci_service.settings import Settings
from service_kit.lifecycle import run_service


def main() -> None:
    run_service(
        program="fibonacci_service",
        settings_type=Settings,
        running=running,
        arguments=sys.argv[1:],
        environment=os.environ,
    )


if __name__ == "__main__":
    main()
