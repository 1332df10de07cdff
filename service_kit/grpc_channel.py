"""Client channels that find a server again soon after it was away."""

import json

import grpc

#: Round robin over every address of the target, leaving out those that say NOT_SERVING.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
}

#: By default a channel waits up to 120 s between two attempts to connect; after a restart of one
#: second it then first answers at 2.5 s. gRPC's transparent retries stay on: they save the calls
#: that race a GOAWAY.
CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.service_config_disable_resolution", 1),
)


def open_channel(target: str) -> grpc.aio.Channel:
    """A channel to a gRPC target, such as `localhost:5001` or `ipv4:10.0.0.1:5001,10.0.0.2:5001`."""
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
