"""Which versions: schemes, ranges, and rules that are parsed once and asked often."""
