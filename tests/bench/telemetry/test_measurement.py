import httpx

from bench.figures import Load, Turn
from bench.system import new_system
from bench.telemetry.measurement import OFF, ON, TRACED, UNTOLD, figures
from service_kit.metrics import PATH
from tests.scrapes import Scrape


def turn(cpu_us: float) -> Turn:
    load = Load(requests_per_second=1_000, p50_ms=1, p99_ms=2)
    return Turn(load, {"api_gateway": cpu_us * 0.75, "fibonacci_service": cpu_us * 0.25})


def test_turns_of_the_same_place_are_compared() -> None:
    told = {
        figure.name: figure
        for figure in figures(
            {OFF: [turn(50), turn(100)], ON: [turn(51), turn(110)], TRACED: [turn(75), turn(100)]},
        )
    }

    default = told[f"ratio of CPU, {ON} / {OFF}"]
    assert [round(ratio, 2) for ratio in default.samples] == [1.02, 1.1]
    assert default.meets_aim is False
    assert told[f"ratio of CPU, {TRACED} / {OFF}"].samples == [1.5, 1]
    assert told[f"CPU us/request of the three services, {ON}"].samples == [51, 110]


def test_a_service_without_telemetry_answers_and_tells_of_no_request() -> None:
    with new_system(launcher=UNTOLD) as system:
        answer = httpx.get(f"{system.url}/fib?n=10")
        scrape = Scrape(httpx.get(f"{system.url}{PATH}").text)

    assert answer.json()["value"] == "55"
    assert "http_server_request_duration_seconds" in {family.name for family in scrape.families}
    for name in (
        "http_server_request_duration_seconds",
        "rpc_client_attempt_duration_seconds",
        "gateway_batch_requests",
    ):
        assert scrape.value(f"{name}_count") == 0
