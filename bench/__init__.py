"""Measured claims: what the three services do in a second, beside bare ASGI, in one run. `python -m bench --help`."""
