"""What clients know the service by: its name, and the status code of each error."""

import grpc

from service_kit.pb.stats import stats_pb2
from service_kit.rpc_status import StatusTable
from stats_service.errors import (
    IndexNegative,
    IntervalOutOfRange,
    NumberUnknown,
    OrderUnknown,
    PageSizeOutOfRange,
    PageTokenForeign,
    RecordRefused,
    StoreUnavailable,
    TooManyWatchers,
)

#: The full name, as health checks and reflection call it.
SERVICE_NAME = stats_pb2.DESCRIPTOR.services_by_name["Stats"].full_name

STATUS_TABLE: StatusTable = {
    RecordRefused: grpc.StatusCode.INVALID_ARGUMENT,
    PageSizeOutOfRange: grpc.StatusCode.INVALID_ARGUMENT,
    PageTokenForeign: grpc.StatusCode.INVALID_ARGUMENT,
    OrderUnknown: grpc.StatusCode.INVALID_ARGUMENT,
    IndexNegative: grpc.StatusCode.INVALID_ARGUMENT,
    IntervalOutOfRange: grpc.StatusCode.INVALID_ARGUMENT,
    NumberUnknown: grpc.StatusCode.NOT_FOUND,
    TooManyWatchers: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StoreUnavailable: grpc.StatusCode.UNAVAILABLE,
}
