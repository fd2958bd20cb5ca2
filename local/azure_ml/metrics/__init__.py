"""Azure Monitor's metrics of the emulator, computed from the requests that really passed."""
