"""What was measured or answered, held against what was asked for: verdicts with figures."""
