"""What a process tells Prometheus: counts that are plain integers where they are counted, and are read at a scrape.

All of it is on one event loop, the scrape too: nothing is locked, and what a scrape reads is of one moment.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from platform import python_version

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

#: Where a scraper asks.
PATH = "/metrics"
#: The buckets that OpenTelemetry recommends for durations.
DURATION_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
DISTRIBUTION = "exact-fibonacci"

#: The values of a metric's labels, in the order of their names. They are few: never an n, never an id.
Labels = tuple[str | int, ...]
#: What is read at a scrape: the value, or one for each label, or for each set of them.
Read = Callable[[], float] | Callable[[], Mapping[str, float]] | Callable[[], Mapping[Labels, float]]


class Histogram:
    """How often which sizes were seen."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS_SECONDS) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, size: float) -> None:
        self.counts[bisect_left(self._bounds, size)] += 1
        self.total += size

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each with its upper bound, and with those below it."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Histograms(dict[Labels, Histogram]):
    """One for each set of labels that was seen."""

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS_SECONDS) -> None:
        super().__init__()
        self._bounds = bounds

    def observe(self, labels: Labels, size: float) -> None:
        self.of(labels).observe(size)

    def of(self, labels: Labels) -> Histogram:
        """That of these labels, for whoever observes so often that finding it counts."""
        histogram = self.get(labels)
        if histogram is None:
            histogram = self[labels] = Histogram(self._bounds)
        return histogram


class Metrics:
    """The metrics of one process."""

    def __init__(self, *, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build: Labels = (service, version(DISTRIBUTION), python_version())
        self.gauge("build_info", "What runs here.", lambda: {build: 1}, ("service", "version", "python_version"))

    def counter(self, name: str, documentation: str, read: Read, label_names: tuple[str, ...] = ()) -> None:
        """`name` without `_total`, which is added."""
        self._register(lambda: _filled(CounterMetricFamily(name, documentation, labels=label_names), read))

    def gauge(self, name: str, documentation: str, read: Read, label_names: tuple[str, ...] = ()) -> None:
        self._register(lambda: _filled(GaugeMetricFamily(name, documentation, labels=label_names), read))

    def histogram(
        self,
        name: str,
        documentation: str,
        histograms: Mapping[Labels, Histogram],
        label_names: tuple[str, ...] = (),
    ) -> None:
        def collect() -> Metric:
            family = HistogramMetricFamily(name, documentation, labels=label_names)
            for labels, histogram in histograms.items():
                family.add_metric([*map(str, labels)], histogram.buckets(), histogram.total)
            return family

        self._register(collect)

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that an Accept field asks for, and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except TypeError:  # the library compares a version that is no number
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        return encode(self.registry), content_type

    def _register(self, collect: Callable[[], Metric]) -> None:
        self.registry.register(_Collector(collect))


class _Collector(Collector):
    def __init__(self, collect: Callable[[], Metric]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        yield self._collect()


def _filled(family: CounterMetricFamily | GaugeMetricFamily, read: Read) -> Metric:
    found = read()
    if not isinstance(found, Mapping):
        family.add_metric([], found)
        return family
    for labels, value in found.items():
        family.add_metric([labels] if isinstance(labels, str) else [*map(str, labels)], value)
    return family
