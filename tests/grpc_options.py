"""Options of the gRPC servers that tests write themselves."""

from service_kit.grpc_bounds import MAX_CALLS, server_options

#: As patient with pings as the real ones: gRPC's own servers end the connection of a client that sends those of ours.
SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    *server_options(max_request_bytes=4 << 20, max_calls=MAX_CALLS, max_connection_age_seconds=3600),
)
