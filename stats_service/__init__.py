"""Owns the account of every answer: counts each once, keeps it, and sums it up."""
