import pytest
from pydantic import ValidationError

from api_gateway.settings import Settings


def test_the_gateway_listens_and_calls_where_the_documents_say() -> None:
    settings = Settings()
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 3002)
    assert (settings.fibonacci_target, settings.stats_target) == ("localhost:5001", "localhost:5002")
    assert settings.deadline_seconds == 5


def test_a_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_DEADLINE_SECONDS", "2.5")
    monkeypatch.setenv("GATEWAY_FIBONACCI_TARGET", "ipv4:10.0.0.1:5001,10.0.0.2:5001")
    settings = Settings()
    assert (settings.deadline_seconds, settings.fibonacci_target) == (2.5, "ipv4:10.0.0.1:5001,10.0.0.2:5001")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN_PORT", "65536"),
        ("DEADLINE_SECONDS", "0"),
        ("DEADLINE_SECONDS", "601"),
        ("DEADLINE_SECONDS", "nan"),
        ("MAX_WAITING", "0"),
        ("MAX_STREAMS", "0"),
        ("FIBONACCI_TARGET", "with space"),
        ("FIBONACCI_TARGET", ""),
        ("STATS_TARGET", "foo:::bar"),
        ("LOG_REQUESTS", "some"),
        ("HSTS_SECONDS", "-1"),
        ("HSTS_SECONDS", "100"),  # for it is said over TLS only
        ("RATE_LIMIT", "often"),
        ("TRUSTED_PROXIES", "proxy"),
        ("CORS_ORIGINS", "example.org"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "listen_port", 1)  # noqa: B010 - a type checker refuses the assignment too
