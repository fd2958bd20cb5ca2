"""The replayed story of a rollout, and how it waits, asks, bakes, settles and goes back."""
