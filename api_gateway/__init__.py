"""The HTTP face of the system: no state, no mathematics; it asks the two gRPC services."""
