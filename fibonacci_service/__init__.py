"""Computes exact Fibonacci numbers, keeps what it computed, and reports every answer."""

import os

# Read when gRPC is loaded, so it has to stand before everything else. Starting a worker forks, and gRPC's handlers for
# that abort one child in twenty under load; the child needs none of gRPC.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
