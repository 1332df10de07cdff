"""What metrics and traces take of a processor for each request: the services with them and without, in turns."""
