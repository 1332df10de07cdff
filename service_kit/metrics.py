"""What a process tells Prometheus: counts that are plain integers where they are counted, and are read at a scrape."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from platform import python_version

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

#: The buckets that OpenTelemetry recommends for durations.
DURATION_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
DISTRIBUTION = "exact-fibonacci"

#: The values of a metric's labels, in the order of their names.
Labels = tuple[str, ...]
Read = Callable[[], float] | Callable[[], Mapping[Labels, float]]


class Histogram:
    """How often which sizes were seen. `observe` takes half a microsecond, and nothing is locked."""

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
        names = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Histograms:
    """One for each set of labels that was seen. The callers see to it that these are few: never an n, never an id."""

    def __init__(self, bounds: tuple[float, ...] = DURATION_BOUNDS_SECONDS) -> None:
        self._bounds = bounds
        self.by_labels: dict[Labels, Histogram] = {}

    def observe(self, labels: Labels, size: float) -> None:
        histogram = self.by_labels.get(labels)
        if histogram is None:
            histogram = self.by_labels[labels] = Histogram(self._bounds)
        histogram.observe(size)


class Metrics:
    """The metrics of one process. `read` is called at each scrape, from whichever thread that comes in.

    It gives the value, or one for each set of labels where the metric has `label_names`.
    """

    def __init__(self, *, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = (service, version(DISTRIBUTION), python_version())
        self.gauge("build_info", "What runs here.", lambda: {build: 1.0}, ("service", "version", "python_version"))

    def counter(self, name: str, documentation: str, read: Read, label_names: Labels = ()) -> None:
        """`name` without `_total`, which is added."""
        self._register(lambda: _filled(CounterMetricFamily(name, documentation, labels=label_names), read))

    def gauge(self, name: str, documentation: str, read: Read, label_names: Labels = ()) -> None:
        self._register(lambda: _filled(GaugeMetricFamily(name, documentation, labels=label_names), read))

    def histogram(
        self, name: str, documentation: str, histograms: Histograms | Histogram, label_names: Labels = ()
    ) -> None:
        def collect() -> Metric:
            family = HistogramMetricFamily(name, documentation, labels=label_names)
            found = {(): histograms} if isinstance(histograms, Histogram) else histograms.by_labels
            for labels, histogram in tuple(found.items()):  # a copy, for the scrape may be in another thread
                family.add_metric(labels, histogram.buckets(), histogram.total)
            return family

        self._register(collect)

    def _register(self, collect: Callable[[], Metric]) -> None:
        self.registry.register(_Collector(collect))


class _Collector(Collector):
    def __init__(self, collect: Callable[[], Metric]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        yield self._collect()


def _filled(family: CounterMetricFamily | GaugeMetricFamily, read: Read) -> Metric:
    found = read()
    for labels, value in found.items() if isinstance(found, Mapping) else [((), found)]:
        family.add_metric(labels, value)
    return family
