"""One endpoint's memory and its decisions, and what stands over all endpoints."""
