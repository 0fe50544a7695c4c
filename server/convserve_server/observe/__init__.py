"""What operators see of a server from outside: log, lines for requests, traces, a profile."""
