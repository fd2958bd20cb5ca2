"""A match and an endpoint's snapshot become ordered steps."""
