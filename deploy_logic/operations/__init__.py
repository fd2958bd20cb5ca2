"""What may be asked for from outside: by events, by people, by the timer."""
