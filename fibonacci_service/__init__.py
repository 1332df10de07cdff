"""Computes exact Fibonacci numbers, keeps what it computed, and reports every answer."""
