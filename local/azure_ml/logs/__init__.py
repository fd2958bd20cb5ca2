"""Log Analytics of the emulator: a few tables, and an honest part of its query language."""
