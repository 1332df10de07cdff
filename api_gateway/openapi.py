"""Prints the OpenAPI document of the HTTP API: `make openapi` keeps it in docs/openapi.json."""

import asyncio
import json

from api_gateway.app import create_app, fibonacci_client, stats_client
from api_gateway.settings import Settings
from service_kit.grpc_channel import open_channel
from service_kit.metrics import Metrics


async def document() -> str:
    settings = Settings()
    # The channels connect to nothing until they are used.
    async with open_channel(settings.fibonacci_target) as to_fibonacci, open_channel(settings.stats_target) as to_stats:
        app = create_app(
            fibonacci=fibonacci_client(settings, to_fibonacci),
            stats=stats_client(settings, to_stats),
            metrics=Metrics(service="api_gateway"),
            draining=asyncio.Event(),
        )
        return json.dumps(app.openapi(), indent=2, ensure_ascii=False)


if __name__ == "__main__":
    print(asyncio.run(document()))
