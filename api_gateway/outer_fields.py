"""The fields that every answer has, for one that comes from outside the layer that adds them."""

from typing import TypeVar

from starlette.responses import Response

from api_gateway.security_headers import FIELDS
from service_kit.request_id import HEADER, current_request_id

R = TypeVar("R", bound=Response)


def with_outer_fields(response: R) -> R:
    """The response itself, with the id of the current request and what a browser is told."""
    response.raw_headers.extend((*FIELDS, (HEADER.lower().encode(), current_request_id.get().encode())))
    return response
