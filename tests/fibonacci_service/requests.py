"""Requests for numbers."""

from service_kit.pb.fibonacci import fib_pb2


def ask(n: int, encoding: int = 0) -> fib_pb2.FibonacciRequest:
    request = fib_pb2.FibonacciRequest()
    request.n, request.encoding = n, fib_pb2.Encoding.ValueType(encoding)
    return request


def batch(*requests: fib_pb2.FibonacciRequest) -> fib_pb2.BatchGetFibRequest:
    return fib_pb2.BatchGetFibRequest(items=[fib_pb2.BatchGetFibItem(request=request) for request in requests])
