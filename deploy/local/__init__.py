"""The three services on one machine, under supervisor."""
