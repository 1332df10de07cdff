import pytest

from service_kit.metrics import Histogram, Histograms, Metrics
from tests.scrapes import Scrape


@pytest.mark.parametrize(
    ("size", "counts"),
    [(-1, [1, 0, 0]), (0.5, [1, 0, 0]), (1.0, [1, 0, 0]), (1.001, [0, 1, 0]), (2.0, [0, 1, 0]), (2.1, [0, 0, 1])],
)
def test_a_size_is_in_the_first_bucket_whose_bound_it_does_not_exceed(size: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(size)

    assert histogram.counts == counts
    assert histogram.total == size


def test_a_bucket_is_told_with_those_below_it() -> None:
    histogram = Histogram((0.005, 1.0))
    for size in (0.001, 0.002, 0.5, 9.0):
        histogram.observe(size)

    assert histogram.buckets() == [("0.005", 2), ("1.0", 3), ("+Inf", 4)]


def test_each_set_of_labels_has_its_own_histogram_and_numbers_are_told_as_text() -> None:
    histograms = Histograms((1.0,))
    histograms.observe(("GET", 200), 0.5)
    histograms.observe(("GET", 404), 0.5)
    histograms.observe(("GET", 200), 1.5)
    metrics = Metrics(service="demo")
    metrics.histogram("demo_seconds", "How long.", histograms, ("method", "status"))
    scrape = Scrape(metrics.exposed("")[0].decode())

    assert scrape.value("demo_seconds_count", method="GET", status="200") == 2
    assert scrape.value("demo_seconds_sum", status="200") == 2
    assert scrape.value("demo_seconds_bucket", status="404", le="1.0") == 1


def test_what_is_counted_after_a_scrape_is_in_the_next_one() -> None:
    counts = {"black": 1}
    metrics = Metrics(service="demo")
    metrics.counter("demo_cats", "How many.", lambda: counts, ("colour",))
    metrics.gauge("demo_moon", "Its phase.", lambda: counts["black"] / 4)
    first = Scrape(metrics.exposed("")[0].decode())
    counts["black"], counts["white"] = 2, 5
    second = Scrape(metrics.exposed("")[0].decode())

    assert (first.value("demo_cats_total"), first.value("demo_moon")) == (1, 0.25)
    assert second.value("demo_cats_total", colour="black") == 2
    assert second.value("demo_cats_total", colour="white") == 5


def test_two_processes_in_one_test_share_nothing() -> None:
    first, second = Metrics(service="one"), Metrics(service="other")
    first.gauge("demo", "Only here.", lambda: 1)

    assert b"\ndemo 1.0\n" in first.exposed("")[0]
    assert b"demo" not in second.exposed("")[0]
