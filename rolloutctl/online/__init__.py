"""The half of the command line that talks to a running app, over its HTTP API."""
