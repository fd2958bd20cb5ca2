"""A Functions host in Python: runs a function app in Microsoft's own worker library."""
