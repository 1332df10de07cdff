"""fibonacci_service for gRPC clients, beside a handler that does nothing."""
