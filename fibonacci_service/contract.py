"""What clients know the service by: its name, and the status code of each error."""

import grpc

from fibonacci_service.errors import (
    BatchTooLarge,
    ColumnsDiffer,
    CountTooSmall,
    EncodingNeeded,
    EncodingUnknown,
    IndexNegative,
    IndexTooLarge,
    NumeralMalformed,
    NumeralTooLong,
    NumeralTooSmall,
    RangeTooHigh,
    SliceOutOfRange,
    WorkerLost,
    WorkersBusy,
)
from service_kit.pb.fibonacci import fib_pb2
from service_kit.rpc_status import StatusTable

#: The full name, as health checks and reflection call it.
SERVICE_NAME = fib_pb2.DESCRIPTOR.services_by_name["Fibonacci"].full_name

STATUS_TABLE: StatusTable = {
    IndexNegative: grpc.StatusCode.INVALID_ARGUMENT,
    IndexTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    EncodingUnknown: grpc.StatusCode.INVALID_ARGUMENT,
    BatchTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    ColumnsDiffer: grpc.StatusCode.INVALID_ARGUMENT,
    EncodingNeeded: grpc.StatusCode.OUT_OF_RANGE,
    NumeralMalformed: grpc.StatusCode.INVALID_ARGUMENT,
    NumeralTooLong: grpc.StatusCode.INVALID_ARGUMENT,
    NumeralTooSmall: grpc.StatusCode.INVALID_ARGUMENT,
    CountTooSmall: grpc.StatusCode.INVALID_ARGUMENT,
    RangeTooHigh: grpc.StatusCode.INVALID_ARGUMENT,
    SliceOutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    WorkersBusy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    WorkerLost: grpc.StatusCode.UNAVAILABLE,
}
