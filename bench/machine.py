"""What a figure was measured on, with nothing that names the machine or its owner."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.h2load import PROGRAM

LIBRARIES = ("asyncpg", "fastapi", "gmpy2", "grpcio", "httptools", "sqlalchemy", "uvicorn", "uvloop")


def describe_machine() -> dict[str, object]:
    """`load_average` is the kernel's, over the last minute: well above 0 means that the figures had company."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: version(name) for name in LIBRARIES},
        "load_client": subprocess.run(
            [PROGRAM, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "load_average": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
