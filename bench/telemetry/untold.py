"""A service that measures nothing: `python -m bench.telemetry.untold api_gateway`.

No setting turns metrics off, for nobody should need to. Here what each request is measured with does nothing; the plain
counts stay, for the account is made of them.
"""

import runpy
import sys

from api_gateway.http_counts import HttpCounts
from service_kit import loop_lag
from service_kit.metrics import Histogram, Histograms

_EVER = 1e9


def measure_nothing() -> None:
    for measuring, method in ((Histogram, "observe"), (Histograms, "observe"), (HttpCounts, "served")):
        setattr(measuring, method, _nothing)
    loop_lag.INTERVAL_SECONDS = _EVER


def _nothing(*_: object, **_named: object) -> None:
    pass


if __name__ == "__main__":
    measure_nothing()
    service = sys.argv.pop(1)
    runpy.run_module(service, run_name="__main__", alter_sys=True)
