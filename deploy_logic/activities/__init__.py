"""One function per effect on the outside."""
