import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from service_kit.grpc_channel import open_channel
from service_kit.targets import check_target


@pytest.mark.parametrize(
    "target",
    [
        "localhost:{port}",
        "127.0.0.1:{port}",
        "dns:localhost:{port}",
        "dns:/localhost:{port}",
        "dns:///localhost:{port}",
        "ipv4:127.0.0.1:{port}",
        "ipv4:127.0.0.1:{port},127.0.0.2:{port}",
        "unix:{folder}/socket",
        "unix://{folder}/socket",
    ],
)
async def test_what_it_accepts_gRPC_reaches(target: str, short_folder: str) -> None:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.add_insecure_port(f"unix:{short_folder}/socket")
    await server.start()
    target = target.format(port=port, folder=short_folder)
    try:
        check_target(target)
        async with open_channel(target) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    finally:
        await server.stop(0)


@pytest.fixture
def short_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A path that fits into the address of a socket, which has a hundred characters."""
    return str(tmp_path_factory.mktemp("s"))


@pytest.mark.parametrize(
    "target",
    [
        "fibonacci_service:5001",
        "fibonacci.internal.:5001",
        "service",
        "::1",
        "[::1]:5001",
        "dns://8.8.8.8/fibonacci.internal:5001",
        "ipv6:[::1]:5001",
        "xds:///fibonacci",
    ],
)
def test_it_accepts_names_and_addresses_of_elsewhere(target: str) -> None:
    check_target(target)


@pytest.mark.parametrize(
    "target",
    [
        "foo:::bar",
        "http://localhost:5001",
        "localhost:",
        "localhost:port",
        "localhost:65536",
        "localhost:5001,localhost:5002",
        "localhost/path",
        ":5001",
        "-a:5001",
        "[::1:5001",
        "[::1]5001",
        "dns:",
        "dns:///",
        "dns:///a:b:c",
        "ipv4:localhost:5001",
        "ipv4:10.0.0.1",
        "ipv4:10.0.0.1:5001,",
        "ipv4:[::1]:5001",
        "ipv6:127.0.0.1:5001",
        "ipv6:[::1]",
        "unix:",
        "unix:///",
    ],
)
def test_what_gRPC_could_never_reach_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r"is not written like|has the port|names nothing"):
        check_target(target)
