"""GET /fib through the three services at several numbers of connections, beside what does less, in turns."""
