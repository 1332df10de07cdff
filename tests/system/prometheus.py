"""A real Prometheus with the project's configuration, at the addresses of processes that run here."""

import math
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.prometheus import CONFIGURATION, FOLDER, program, read

START_SECONDS = 20.0
#: Instead of 15 s, so that a test need not wait long for two samples.
INTERVAL = "500ms"
_LISTENS = re.compile(r'msg="Listening on".* address=(\S+)')


class Prometheus:
    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def values(self, query: str) -> list[float]:
        """Of the series that it finds, those that are numbers. Raises where the query is none."""
        response = self._client.get("/api/v1/query", params={"query": query})
        assert response.status_code == 200, f"{query}\n{response.text}"
        data = response.json()["data"]
        found = [data["result"]] if data["resultType"] == "scalar" else [series["value"] for series in data["result"]]
        return [number for _, text in found if math.isfinite(number := float(text))]

    def rule_faults(self) -> dict[str, str]:
        """By name, what the evaluation of a rule said."""
        groups = self._client.get("/api/v1/rules").json()["data"]["groups"]
        return {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if "lastError" in rule}

    def close(self) -> None:
        self._client.close()


@contextmanager
def scraping(ports: Mapping[str, int]) -> Iterator[Prometheus]:
    """One that scrapes the jobs at these ports of this machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configuration = folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(_configuration(ports)), encoding="utf-8")
        log = folder / "log"
        options = [f"--config.file={configuration}", f"--storage.tsdb.path={folder}/data"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program("prometheus"), *options, "--web.listen-address=127.0.0.1:0"],
                env={"PATH": os.environ["PATH"]},
                stderr=output,
            )
        try:
            with closing(Prometheus(f"http://{_address(log, process)}")) as prometheus:
                yield prometheus
        finally:
            process.kill()
            process.wait()


def _configuration(ports: Mapping[str, int]) -> Any:
    """The project's, with these ports and a shorter interval."""
    configuration = read(CONFIGURATION)
    configuration["global"] = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
    configuration["rule_files"] = [str(FOLDER / pattern) for pattern in configuration["rule_files"]]
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    assert jobs.keys() == ports.keys()
    for name, job in jobs.items():
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[name]}"]}]
    return configuration


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    patience_ends = time.monotonic() + START_SECONDS
    while (listens := _LISTENS.search(log.read_text(encoding="utf-8"))) is None:
        if process.poll() is not None or time.monotonic() > patience_ends:
            raise RuntimeError(f"Prometheus did not start: {log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.02)
    return listens.group(1)
