"""Client channels that find a server again soon after it was away, and leave one that has vanished."""

import json

import grpc

from service_kit.grpc_bounds import KEEPALIVE
from service_kit.grpc_tls import ReloadedChannel, channel_credentials
from service_kit.tls import CallTls

Options = tuple[tuple[str, str | int], ...]

_ROUND_ROBIN: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
_LEAVE_OUT_NOT_SERVING: dict[str, object] = {"healthCheckConfig": {"serviceName": ""}}

#: By default a channel waits up to 120 s between two attempts to connect; after a restart of one
#: second it then first answers at 2.5 s. The least pause is none, in spite of its name: it is how long an attempt may
#: take until the server has said its first word, TLS included; an address that swallows packets holds one up for as
#: long. gRPC's transparent retries stay on: they save the calls that race a GOAWAY. A name is looked up again after a
#: second, not after thirty, for a container that comes back may have another address. Channels of one process would
#: share their connections and with them the pause before the next attempt: one opened to a server that has just come
#: back would begin in the pause of one that missed it.
_OPTIONS: Options = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
    *KEEPALIVE,
)


def open_channel(
    target: str,
    *,
    leave_out_not_serving: bool = True,
    tls: CallTls | None = None,
) -> grpc.aio.Channel:
    """A channel to a gRPC target, such as `localhost:5001` or `ipv4:10.0.0.1:5001,10.0.0.2:5001`.

    It goes round all addresses, by default without those whose health is NOT_SERVING, and connects at once.
    """
    config = _ROUND_ROBIN | (_LEAVE_OUT_NOT_SERVING if leave_out_not_serving else {})
    options = (*_OPTIONS, ("grpc.service_config", json.dumps(config)))
    if tls is None:
        return _connecting(grpc.aio.insecure_channel(target, options=options))
    return _open_secure(target, options, tls)


def _open_secure(target: str, options: Options, tls: CallTls) -> grpc.aio.Channel:
    if tls.server_name:
        options = (*options, ("grpc.ssl_target_name_override", tls.server_name))
    return ReloadedChannel(
        lambda: _connecting(grpc.aio.secure_channel(target, channel_credentials(tls.certificates.pem), options)),
        tls.certificates,
        target=target,
    )


def _connecting(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    channel.get_state(try_to_connect=True)
    return channel
