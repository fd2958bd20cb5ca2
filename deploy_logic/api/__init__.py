"""The HTTP API: one table of routes, and what is answered by each."""
