"""What one client may demand of a gRPC server, and how soon each end notices that the other is gone."""

Options = tuple[tuple[str, int], ...]

#: Calls that one client may have open at a time over one connection; a further one waits for its turn at the client.
MAX_CALLS = 10_000
#: A request id, the context of a trace and its baggage, which may have 8 KiB, and what proxies add. gRPC would refuse
#: at random between a soft bound and a hard one, so both are the same.
_MAX_METADATA_BYTES = 16 << 10
#: For TLS, and for the first frame of HTTP/2; gRPC would wait two minutes.
_HANDSHAKE_MS = 10_000

#: After so much silence an end pings the other, and after so much more it gives the connection up: together less than
#: the deadline of a request by default, so that what a vanished server was asked can still be asked of another.
#: gRPC answers a ping in a thread of its own: Python that computes for seconds keeps no ping waiting.
_PING_AFTER_MS = 2_000
_PING_TIMEOUT_MS = 2_000
#: A client that pings more often than this is told to be calm, and then to go.
_LEAST_PING_INTERVAL_MS = 1_000

KEEPALIVE: Options = (
    ("grpc.keepalive_time_ms", _PING_AFTER_MS),
    ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", _PING_TIMEOUT_MS),  # without it a ping has a minute, whatever the line above says
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # no bound: by default from the third on there is one a minute
)


def server_options(*, max_request_bytes: int, max_calls: int, max_connection_age_seconds: float) -> Options:
    """What is larger is refused with RESOURCE_EXHAUSTED before any code of ours sees it.

    A connection of that age is closed to new calls, and the client opens another; its calls go on for as long as they
    take, so ageing costs none of them.
    """
    return (
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", max_calls),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.max_connection_age_ms", round(max_connection_age_seconds * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_INTERVAL_MS),
        *KEEPALIVE,
    )
