"""What people write: one model per part, the files it is read from, and every complaint."""
