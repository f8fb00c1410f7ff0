"""History in Redis: a stream for each topic (docs/reference/placement.md lists the keys)."""
