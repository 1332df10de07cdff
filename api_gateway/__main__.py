"""Runs api_gateway: `python -m api_gateway --help`."""

import os
import sys

from service_kit.grpc_variables import set_grpc_variables

set_grpc_variables(os.environ)  # before anything loads gRPC

from api_gateway.app import running
from api_gateway.settings import Settings
from service_kit.lifecycle import run_service


def main() -> None:
    run_service(
        program="api_gateway",
        settings_type=Settings,
        running=running,
        arguments=sys.argv[1:],
        environment=os.environ,
    )


if __name__ == "__main__":
    main()
