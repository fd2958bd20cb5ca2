"""The command line: the offline half on the pure modules, the online half on the HTTP API."""
